/* The end of jobs. The queue decides who was first; what a store shows of a job are the results
 * that the queue took from it. */
#include "daemon/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/hash.h"
#include "base/log.h"
#include "storage/settle.h"

void settle_mark(const char *token, char out[SETTLE_MARK_SIZE])
{
	char hex[SHA256_HEX_SIZE];
	sha256_hex(token, strlen(token), hex);
	snprintf(out, SETTLE_MARK_SIZE, "%.*s", SETTLE_MARK_SIZE - 1, hex);
}

static bool made_here(const struct store_attempt *attempts, size_t count, const char *mark)
{
	char own[SETTLE_MARK_SIZE];
	for (size_t i = 0; i < count; i++) {
		settle_mark(attempts[i].token, own);
		if (strcmp(own, mark) == 0)
			return true;
	}
	return false;
}

/* Bit k: result k came from here. Results that nobody told of (Redis forgot them) count as the
 * winner's. */
static int find_ours(struct store *store, const struct queue_entry *entry, const char *id,
		     bool winner, uint64_t *ours, struct error *err)
{
	struct store_attempt *attempts;
	size_t count, i;
	json_t *files;
	int status = store_attempts(store, id, &attempts, &count, err);
	if (status)
		return status;
	*ours = winner ? ~(uint64_t)0 : 0;
	json_array_foreach(entry->variant_results, i, files)
	{
		json_t *file = json_array_get(files, 0);
		json_int_t variant = json_integer_value(json_object_get(file, "variant"));
		const char *mark = json_string_value(json_object_get(file, "lease"));
		if (!mark || variant < 0 || variant > 63)
			continue;
		uint64_t bit = (uint64_t)1 << variant;
		*ours = made_here(attempts, count, mark) ? *ours | bit : *ours & ~bit;
	}
	store_attempts_free(attempts, count);
	return SUMI_OK;
}

static int settle_done(struct store *store, struct queue *queue, const char *id, bool winner,
		       struct error *err)
{
	struct queue_entry entry;
	uint64_t ours;
	int status = queue_get(queue, id, &entry, err);
	/* What the queue has of it is damaged: the results are not. */
	if (status == SUMI_CORRUPT || status == SUMI_INVALID || status == SUMI_TOOBIG)
		return store_job_settle(store, id, winner ? ~(uint64_t)0 : 0, winner, err);
	if (status)
		return status;
	status = find_ours(store, &entry, id, winner, &ours, err);
	queue_entry_clear(&entry);
	return status ? status : store_job_settle(store, id, ours, winner, err);
}

int settle_finish(struct store *store, struct queue *queue, const struct queue_finish *finish,
		  struct error *err)
{
	enum queue_finish_result result;
	int status = queue_finish(queue, finish, &result, err);
	if (status)
		return status;
	crash_point("finished");
	status = settle_done(store, queue, finish->id, result != QUEUE_SUPERSEDED, err);
	crash_point("visible");
	return status;
}

int settle_pending(struct store *store, struct queue *queue, const char *worker, struct error *err)
{
	struct store_pending *list;
	size_t count;
	int status = store_pending(store, &list, &count, err);
	if (status)
		return status;
	for (size_t i = 0; i < count && !status; i++) {
		struct store_job job;
		status = store_job_get(store, list[i].id, &job, err);
		if (status)
			break;
		struct queue_finish finish = {
		    .id = list[i].id,
		    .token = list[i].token,
		    .worker = worker,
		    .job_json = job.params,
		};
		status = settle_finish(store, queue, &finish, err);
		/* The queue knows nothing of it and cannot be told: the result is there all the same. */
		if (status == SUMI_NOTFOUND || status == SUMI_CORRUPT)
			status = store_job_settle(store, list[i].id, ~(uint64_t)0, true, err);
		if (!status)
			log_info("job.replayed", "id=%s", list[i].id);
		store_job_free(&job);
	}
	store_pending_free(list, count);
	return status;
}

/* Redis came back without the job: what the store knows of it is enough to send it again. */
static int send_again(struct store *store, struct queue *queue, const char *id, struct error *err)
{
	struct store_job row;
	struct job job = {0};
	int status = store_job_get(store, id, &row, err);
	if (status)
		return status;
	status = job_parse_json(row.params, strlen(row.params), &job, err);
	if (!status)
		status = queue_submit(queue, &job, err);
	if (!status)
		log_warn("job.sent_again", "id=%s reason=\"the queue has forgotten it\"", id);
	job_clear(&job);
	store_job_free(&row);
	return status;
}

/* A job that was given back here while the queue took no word of it: its lease would end as if its worker
 * had died. */
static int give_back(struct store *store, struct queue *queue, const char *id, struct error *err)
{
	struct store_attempt *attempts;
	size_t count;
	int status = store_attempts(store, id, &attempts, &count, err);
	if (status)
		return status;
	const struct store_attempt *last = count ? &attempts[count - 1] : NULL;
	if (last && last->outcome && strcmp(last->outcome, "released") == 0) {
		struct queue_lease lease = {0};
		snprintf(lease.id, sizeof lease.id, "%s", id);
		snprintf(lease.token, sizeof lease.token, "%s", last->token);
		status = queue_release(queue, &lease, last->error ? last->error : "", NULL, err);
		if (!status)
			log_info("job.released", "id=%s reason=\"%s\" late=1", id,
				 last->error ? last->error : "");
		else if (status == SUMI_LOST) /* it was told, or somebody has it by now */
			status = SUMI_OK;
	}
	store_attempts_free(attempts, count);
	return status;
}

static int settle_stray(struct store *store, struct queue *queue, const struct store_pending *p,
			int64_t remembered_ms, struct error *err)
{
	struct queue_entry entry;
	int status = queue_get(queue, p->id, &entry, err);
	if (status == SUMI_NOTFOUND && clock_wall_ms() - p->finished < remembered_ms)
		return send_again(store, queue, p->id, err);
	if (status == SUMI_NOTFOUND)
		return store_job_ended(store, p->id, "failed", "the queue has forgotten the job", 0,
				       err);
	if (status)
		return status;
	enum job_state state = entry.state;
	if (state == JOB_FAILED || state == JOB_CANCELLED)
		status = store_job_ended(store, p->id, job_state_word(state), entry.error,
					 entry.finished_ms, err);
	queue_entry_clear(&entry);
	if (state == JOB_RUNNING)
		status = give_back(store, queue, p->id, err);
	if (state == JOB_DONE)
		status = settle_done(store, queue, p->id, false, err);
	if (!status && job_state_is_final(state))
		log_info("job.settled", "id=%s state=%s", p->id, job_state_word(state));
	return status;
}

int settle_strays(struct store *store, struct queue *queue, int64_t remembered_ms,
		  struct error *err)
{
	struct store_pending *list;
	size_t count;
	int status = store_unsettled(store, &list, &count, err);
	for (size_t i = 0; i < count && status != SUMI_CONNECT && status != SUMI_TIMEOUT; i++) {
		status = settle_stray(store, queue, &list[i], remembered_ms, err);
		if (status)
			log_warn("settle.failed", "id=%s error=\"%s\"", list[i].id, err->text);
	}
	store_pending_free(list, count);
	return status;
}
