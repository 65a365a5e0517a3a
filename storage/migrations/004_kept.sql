-- Results that a person wants to keep whatever becomes old, and what makes the oldest ones and
-- the room that files take cheap to find.

ALTER TABLE jobs ADD COLUMN starred INTEGER NOT NULL DEFAULT 0;

CREATE INDEX jobs_by_end ON jobs (finished) WHERE publish = 'visible' AND starred = 0;
CREATE INDEX jobs_starred ON jobs (starred) WHERE publish = 'visible' AND starred = 1;

-- One file may be the result of several jobs: its bytes count once.
DROP INDEX artifacts_by_sha256;
CREATE INDEX artifacts_by_sha256 ON artifacts (sha256, bytes);
