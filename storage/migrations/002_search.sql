-- Words of the prompts. The text itself stays in jobs; the porter stemmer brings English
-- plurals together and leaves other scripts alone. No triggers keep it up to date: SQLite before
-- 3.41 forbids FTS5 in triggers when the schema is not trusted. storage/jobs.c does.

CREATE VIRTUAL TABLE prompts USING fts5 (
	prompt,
	content = 'jobs',
	content_rowid = 'key',
	tokenize = 'porter unicode61 remove_diacritics 2'
);

INSERT INTO prompts (prompts) VALUES ('rebuild');
