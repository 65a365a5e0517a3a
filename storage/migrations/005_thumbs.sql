-- Small pictures of results, beside them; how many bytes each has, 0 where there is none. And what a
-- daemon has already done of what was asked of all of them.

ALTER TABLE artifacts ADD COLUMN thumb INTEGER NOT NULL DEFAULT 0;
CREATE INDEX artifacts_bare ON artifacts (id) WHERE role = 'main' AND thumb = 0;

CREATE TABLE places (
	name TEXT PRIMARY KEY,
	at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
