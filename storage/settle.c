/* Jobs that several hosts had a hand in. */
#include "storage/settle.h"

#include "base/clock.h"
#include "storage/internal.h"

/* Inside a transaction. *shown: whether the job is to be made visible. */
static int settle(struct store *s, int64_t key, uint64_t ours, bool winner, bool *shown,
		  struct error *err)
{
	int64_t left = 0, now = clock_wall_ms();
	int status =
	    db_run(s, err, "DELETE FROM artifacts WHERE job = ?1 AND (?2 >> variant) & 1 = 0",
		   I(key), I(ours));
	if (!status)
		status =
		    db_int(s, &left, err, "SELECT count(*) FROM artifacts WHERE job = ?", I(key));
	*shown = winner || left > 0;
	if (!status && *shown)
		status = db_run(s, err,
				"UPDATE jobs SET state = 'done', publish = 'stored', error = NULL, "
				"finished = CASE finished WHEN 0 THEN ?2 ELSE finished END "
				"WHERE key = ?1",
				I(key), I(now));
	else if (!status)
		status =
		    db_run(s, err, "UPDATE jobs SET publish = 'superseded' WHERE key = ?", I(key));
	if (!status)
		status = db_run(s, err,
				"UPDATE attempts SET outcome = ?2, ended = ?3 "
				"WHERE job = ?1 AND outcome = 'running'",
				I(key), T(*shown ? "crashed" : "superseded"), I(now));
	return status;
}

int store_job_settle(struct store *s, const char *id, uint64_t ours, bool winner, struct error *err)
{
	int64_t key, visible = 0;
	bool shown = false;
	int status = store_job_begin(s, id, &key, err);
	if (status)
		return status;
	status =
	    db_int(s, &visible, err,
		   "SELECT publish = 'visible' AND state = 'done' FROM jobs WHERE key = ?",
		   I(key));
	if (!status && !visible)
		status = settle(s, key, ours, winner, &shown, err);
	status = db_end(s, status, err);
	return !status && shown ? store_job_visible(s, id, err) : status;
}

int store_unsettled(struct store *s, struct store_pending **list, size_t *count, struct error *err)
{
	sqlite3_stmt *statement;
	*list = NULL;
	*count = 0;
	int status = db_query_values(s, &statement, err,
				     "SELECT id, token, created FROM jobs WHERE publish = 'none' "
				     "ORDER BY created",
				     NULL, 0);
	return status ? status : store_read_pending(s, statement, list, count, err);
}
