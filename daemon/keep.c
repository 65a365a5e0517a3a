/* keep_results: results beyond an age or a size, the oldest first. */
#include "daemon/keep.h"

#include "base/clock.h"
#include "base/log.h"
#include "queue/inputs.h"
#include "storage/keep.h"

enum {
	PAUSE_MS = 60000,
	PIECE_MS = 250, /* the supervisor has other things to do, and a watchdog to feed */
	PIECE_JOBS = 200
};

struct piece {
	struct store *store;
	struct queue *queue;
	const char *why;
	int64_t ended_before, excess; /* excess: bytes to be freed; INT64_MAX: all of them */
	struct store_removed removed;
	int *spared; /* jobs at the beginning of the list that are left for another time */
	bool more;   /* there was more than fits into a piece */
};

/* Whether a job that waits starts from one of its results. */
static int is_needed(struct piece *p, const char *id, bool *needed, struct error *err)
{
	char **names;
	size_t count;
	int status = store_result_names(p->store, id, &names, &count, err);
	if (status)
		return status;
	status = queue_inputs_used(p->queue, names, count, needed, err);
	store_names_free(names, count);
	return status;
}

/* A job that runs again, that the queue cannot let go yet or from whose results another starts is left
 * for another time. */
static int remove_one(struct piece *p, const char *id, struct error *err)
{
	struct store_removed before = p->removed;
	bool needed = false;
	int status = is_needed(p, id, &needed, err);
	if (status)
		return status;
	status = needed ? SUMI_BUSY : queue_forget(p->queue, id, err);
	if (status == SUMI_BUSY) {
		(*p->spared)++;
		return SUMI_OK;
	}
	/* On a full disk Redis writes nothing: first what makes room. */
	bool full = status == SUMI_FULL;
	if (status == SUMI_OK || status == SUMI_NOTFOUND || full)
		status = store_remove(p->store, id, &p->removed, err);
	if (!status && full)
		queue_forget(p->queue, id, err); /* else its entry ends with keep_done */
	if (!status)
		log_info("keep.deleted", "id=%s why=%s files=%d bytes=%lld", id, p->why,
			 p->removed.files - before.files,
			 (long long)(p->removed.bytes - before.bytes));
	return status;
}

static int remove_piece(struct piece *p, struct error *err)
{
	struct store_pending *list;
	size_t count, i;
	int64_t end = clock_mono_us() / 1000 + PIECE_MS;
	int status = store_oldest(p->store, p->ended_before, p->excess != INT64_MAX, *p->spared,
				  PIECE_JOBS, &list, &count, err);
	int64_t start = p->removed.bytes;
	int seen = p->removed.jobs + *p->spared;
	for (i = 0; i < count && !status && p->removed.bytes - start < p->excess &&
		    clock_mono_us() / 1000 < end;
	     i++)
		status = remove_one(p, list[i].id, err);
	bool enough = p->removed.bytes - start >= p->excess;
	p->more |= !enough && p->removed.jobs + *p->spared > seen && (i < count || count == PIECE_JOBS);
	store_pending_free(list, count);
	return status;
}

static int remove_old(struct keeper *k, struct piece *p, const struct config_keep *keep,
		      struct error *err)
{
	if (!keep->age_ms)
		return SUMI_OK;
	p->why = "age";
	p->spared = &k->spared[0];
	p->ended_before = clock_wall_ms() - keep->age_ms;
	p->excess = INT64_MAX;
	return remove_piece(p, err);
}

/* The sum over all files is made once a look, not with every piece. */
static int find_excess(struct keeper *k, struct piece *p, const struct config_keep *keep,
		       struct error *err)
{
	int64_t bytes = 0;
	int status = k->excess > 0 ? SUMI_OK : store_result_bytes(p->store, &bytes, err);
	if (!status && k->excess <= 0)
		k->excess = bytes - keep->bytes;
	return status;
}

static int remove_excess(struct keeper *k, struct piece *p, const struct config_keep *keep,
			 struct error *err)
{
	if (!keep->bytes)
		return SUMI_OK;
	int status = find_excess(k, p, keep, err);
	if (status)
		return status;
	if (k->excess <= 0) {
		k->told = false;
		return SUMI_OK;
	}
	int64_t before = p->removed.bytes;
	p->why = "size";
	p->spared = &k->spared[1];
	p->ended_before = INT64_MAX;
	p->excess = k->excess;
	status = remove_piece(p, err);
	k->excess -= p->removed.bytes - before;
	bool stuck = !status && k->excess > 0 && !p->more;
	if (stuck && !k->told)
		log_warn("keep.full",
			 "excess=%lld limit=%lld reason=\"what is left is starred, not done, or what a waiting job starts from\"",
			 (long long)k->excess, (long long)keep->bytes);
	k->told = stuck;
	return status;
}

void keep_results(struct keeper *k, const struct config_keep *keep, struct store *store,
		  struct queue *queue, int64_t now)
{
	struct piece p = {.store = store, .queue = queue};
	struct error err;
	if (now < k->next || (!keep->age_ms && !keep->bytes))
		return;
	int status = remove_old(k, &p, keep, &err);
	if (!status)
		status = remove_excess(k, &p, keep, &err);
	if (status)
		log_warn("keep.failed", "error=\"%s\"", err.text);
	bool on = p.more && !status;
	k->next = now + (on ? 0 : PAUSE_MS);
	if (!on)
		k->excess = k->spared[0] = k->spared[1] = 0;
}
