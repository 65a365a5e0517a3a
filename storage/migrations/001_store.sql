-- Jobs, their attempts and results. Times are milliseconds since 1970.

CREATE TABLE jobs (
	-- created · 2^20 + a number that tells jobs of one millisecond apart: the order of
	-- listings is the order of the table, and a span of time is a span of keys.
	key INTEGER PRIMARY KEY,
	id TEXT NOT NULL UNIQUE,
	state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
	-- none: a worker has it. stored: results are safe, the queue has not confirmed.
	-- visible: listings show it. superseded: the queue has another winner.
	publish TEXT NOT NULL CHECK (publish IN ('none', 'stored', 'visible', 'superseded')),
	modality TEXT,
	model TEXT,
	prompt TEXT,
	negative_prompt TEXT,
	submitter TEXT,
	params TEXT,
	digest TEXT,
	token TEXT,
	error TEXT,
	priority INTEGER NOT NULL,
	variants INTEGER NOT NULL,
	created INTEGER NOT NULL,
	started INTEGER NOT NULL,
	finished INTEGER NOT NULL
) STRICT;

-- The key stands behind the column in each of these, so a filtered page needs no sorting.
CREATE INDEX jobs_by_state ON jobs (state) WHERE publish = 'visible';
CREATE INDEX jobs_by_modality ON jobs (modality) WHERE publish = 'visible';
CREATE INDEX jobs_by_model ON jobs (model) WHERE publish = 'visible';
CREATE INDEX jobs_by_submitter ON jobs (submitter) WHERE publish = 'visible';
CREATE INDEX jobs_by_digest ON jobs (digest) WHERE publish = 'visible';
CREATE INDEX jobs_pending ON jobs (finished) WHERE publish = 'stored';

CREATE TABLE tags (
	id INTEGER PRIMARY KEY,
	name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE job_tags (
	tag INTEGER NOT NULL REFERENCES tags (id),
	job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
	PRIMARY KEY (tag, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_tags_by_job ON job_tags (job);

CREATE TABLE attempts (
	job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
	n INTEGER NOT NULL,
	token TEXT NOT NULL,
	worker TEXT,
	host TEXT,
	device TEXT,
	driver TEXT,
	version TEXT,
	model_digest TEXT,
	outcome TEXT NOT NULL,
	error TEXT,
	timings TEXT,
	started INTEGER NOT NULL,
	ended INTEGER NOT NULL,
	PRIMARY KEY (job, n),
	UNIQUE (job, token)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
	id INTEGER PRIMARY KEY,
	job INTEGER NOT NULL REFERENCES jobs (key) ON DELETE CASCADE,
	variant INTEGER NOT NULL,
	role TEXT NOT NULL,
	number INTEGER NOT NULL,
	format TEXT NOT NULL,
	mime TEXT,
	sha256 TEXT NOT NULL,
	bytes INTEGER NOT NULL,
	width INTEGER NOT NULL,
	height INTEGER NOT NULL,
	duration REAL NOT NULL,
	seed INTEGER NOT NULL, -- 64 bits, the highest one as the sign
	infotext TEXT,
	metadata TEXT,
	state TEXT NOT NULL CHECK (state IN ('stored', 'visible')),
	created INTEGER NOT NULL,
	UNIQUE (job, variant, role, number)
) STRICT;
CREATE INDEX artifacts_by_sha256 ON artifacts (sha256);

CREATE TABLE models (
	name TEXT NOT NULL,
	digest TEXT NOT NULL,
	modality TEXT,
	info TEXT,
	first_used INTEGER NOT NULL,
	last_used INTEGER NOT NULL,
	PRIMARY KEY (name, digest)
) STRICT, WITHOUT ROWID;
