/* Jobs: entering, deleting, their tags and prompts. */
#include "storage/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define LAST_CREATED ((int64_t)1 << 42) /* year 2109: keys stay within 63 bits */

int store_check_id(const char *id, struct error *err)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
	size_t n = id ? strlen(id) : 0;
	if (n == 0 || n > STORE_ID_MAX || id[0] == '.' || strspn(id, allowed) != n)
		return error_set(
		    err, SUMI_INVALID,
		    "job id '%.40s': 1 to %d letters, digits and ._:- are allowed, no dot first",
		    id ? id : "", STORE_ID_MAX);
	return SUMI_OK;
}

int store_job_key(struct store *s, const char *id, int64_t *key, struct error *err)
{
	*key = -1;
	int status = db_int(s, key, err, "SELECT key FROM jobs WHERE id = ?", T(id));
	if (!status && *key < 0)
		status =
		    error_set(err, SUMI_NOTFOUND, "job %.*s is not in the store", STORE_ID_MAX, id);
	return status;
}

int store_job_begin(struct store *s, const char *id, int64_t *key, struct error *err)
{
	int status = db_begin(s, err);
	if (status)
		return status;
	status = store_job_key(s, id, key, err);
	return status ? db_end(s, status, err) : SUMI_OK;
}

/* ---- entering ---- */

int store_put_tags(struct store *s, int64_t key, char *const *tags, size_t count, struct error *err)
{
	int status = db_run(s, err, "DELETE FROM job_tags WHERE job = ?", I(key));
	for (size_t i = 0; i < count && !status; i++) {
		status = db_run(s, err, "INSERT INTO tags (name) VALUES (?) ON CONFLICT DO NOTHING",
				T(tags[i]));
		if (!status)
			status = db_run(s, err,
					"INSERT INTO job_tags (tag, job) SELECT id, ?2 FROM tags "
					"WHERE name = ?1 ON CONFLICT DO NOTHING",
					T(tags[i]), I(key));
	}
	return status;
}

/* A job without tags keeps those that its row has. */
static int put_tags(struct store *s, int64_t key, const struct store_job *job, struct error *err)
{
	return job->tag_count ? store_put_tags(s, key, job->tags, job->tag_count, err) : SUMI_OK;
}

/* The search index holds no text of its own: what is taken out must be what was put in. */
static int index_prompt(struct store *s, int64_t key, struct error *err)
{
	return db_run(
	    s, err,
	    "INSERT INTO prompts (rowid, prompt) SELECT key, prompt FROM jobs WHERE key = ?",
	    I(key));
}

static int unindex_prompt(struct store *s, int64_t key, struct error *err)
{
	return db_run(s, err,
		      "INSERT INTO prompts (prompts, rowid, prompt) "
		      "SELECT 'delete', key, prompt FROM jobs WHERE key = ?",
		      I(key));
}

int store_job_delete(struct store *s, const char *id, struct error *err)
{
	int64_t key = -1;
	int status = db_int(s, &key, err, "SELECT key FROM jobs WHERE id = ?", T(id));
	if (status || key < 0)
		return status;
	status = unindex_prompt(s, key, err);
	return status ? status : db_run(s, err, "DELETE FROM jobs WHERE key = ?", I(key));
}

int store_job_insert(struct store *s, const struct store_job *job, const char *publish,
		     int64_t *key, struct error *err)
{
	if (job->created <= 0 || job->created >= LAST_CREATED)
		return error_set(err, SUMI_INVALID, "job %s: created at %lld ms is no time",
				 job->id, (long long)job->created);
	int64_t first = job->created << STORE_KEY_SHIFT;
	int64_t end = (job->created + 1) << STORE_KEY_SHIFT;
	*key = first;
	int status = db_int(s, key, err,
			    "SELECT key + 1 FROM jobs WHERE key >= ? AND key < ? "
			    "ORDER BY key DESC LIMIT 1",
			    I(first), I(end));
	if (!status && *key == end)
		status = error_set(err, SUMI_TOOBIG, "job %s: too many jobs of one millisecond",
				   job->id);
	if (!status)
		status = store_insert(s, "jobs", store_job_columns, job, "key, publish",
				      DB_VALUES(I(*key), T(publish)), err);
	if (!status)
		status = index_prompt(s, *key, err);
	return status ? status : put_tags(s, *key, job, err);
}

/* Fills what the caller left open. Strings stay borrowed except params. */
static int complete_job(const struct store_job *in, struct store_job *job, struct error *err)
{
	*job = *in;
	job->state = "running";
	job->error = NULL;
	job->finished = 0;
	job->variants = in->variants > 0 ? in->variants : 1;
	job->created = in->created ? in->created : clock_wall_ms();
	int status = store_check_id(in->id, err);
	return status ? status : store_canonical_json(in->params, "params", &job->params, err);
}

static int update_job(struct store *s, int64_t key, const struct store_job *job, struct error *err)
{
	int status = unindex_prompt(s, key, err);
	if (!status)
		status = db_run(
		    s, err,
		    "UPDATE jobs SET state = 'running', publish = 'none', error = NULL, "
		    "finished = 0, modality = coalesce(?2, modality), "
		    "model = coalesce(?3, model), prompt = coalesce(?4, prompt), "
		    "negative_prompt = coalesce(?5, negative_prompt), "
		    "submitter = coalesce(?6, submitter), params = coalesce(?7, params), "
		    "digest = coalesce(?8, digest), token = coalesce(?9, token), "
		    "priority = ?10, variants = ?11, started = ?12 WHERE key = ?1",
		    I(key), T(job->modality), T(job->model), T(job->prompt),
		    T(job->negative_prompt), T(job->submitter), T(job->params), T(job->digest),
		    T(job->token), I(job->priority), I(job->variants), I(job->started));
	if (!status)
		status = index_prompt(s, key, err);
	return status ? status : put_tags(s, key, job, err);
}

int store_job_put(struct store *s, const struct store_job *in, struct error *err)
{
	struct store_job job;
	int64_t key = -1, settled = 0;
	int status = complete_job(in, &job, err);
	if (!status)
		status = db_begin(s, err);
	if (status)
		goto done;
	status = db_int(s, &key, err, "SELECT key FROM jobs WHERE id = ?", T(job.id));
	if (!status && key >= 0)
		status =
		    db_int(s, &settled, err,
			   "SELECT publish = 'stored' OR (publish = 'visible' AND state = 'done') "
			   "FROM jobs WHERE key = ?",
			   I(key));
	if (!status && key < 0)
		status = store_job_insert(s, &job, "none", &key, err);
	else if (!status && !settled)
		status = update_job(s, key, &job, err);
	status = db_end(s, status, err);
done:
	free(job.params != in->params ? job.params : NULL);
	return status;
}
