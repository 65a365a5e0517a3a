-- Jobs that no listing shows yet: after a crash, or when another host took one over, the queue
-- is asked what became of them.

CREATE INDEX jobs_unsettled ON jobs (created) WHERE publish = 'none';
