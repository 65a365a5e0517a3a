/* Going through the queue. */
#include "queue/walk.h"

#include <stdlib.h>
#include <string.h>

const enum job_state walk_live[WALK_LIVE] = {JOB_RUNNING, JOB_READY, JOB_DELAYED, JOB_BLOCKED};

enum {
	PAGE = 500,
	OVERLAP = 100, /* how many may leave the front between two pages */
	ADMIT = 1000
};

struct walk {
	walk_function *each;
	void *context;
	json_t *before, *now; /* ids of the last page and of this one */
};

static int visit(struct walk *w, const struct queue_entry *entries, size_t count,
		 struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < count && !status; i++) {
		json_object_set_new(w->now, entries[i].id, json_true());
		if (!json_object_get(w->before, entries[i].id))
			status = w->each(w->context, &entries[i], err);
	}
	json_decref(w->before);
	w->before = w->now;
	w->now = json_object();
	return status;
}

int walk_queue(struct queue *queue, enum job_state state, walk_function *each, void *context,
	       struct error *err)
{
	struct walk w = {each, context, json_object(), json_object()};
	size_t offset = 0, count = PAGE;
	int status = SUMI_OK;
	while (!status && count) {
		struct queue_entry *entries;
		status = queue_list(queue, state, offset, PAGE, &entries, &count, err);
		if (status)
			break;
		status = visit(&w, entries, count, err);
		queue_list_free(entries, count);
		offset += PAGE - OVERLAP;
	}
	json_decref(w.before);
	json_decref(w.now);
	return status == SUMI_CANCELLED ? SUMI_OK : status;
}

int walk_moved(struct queue *queue, bool waited, walk_function *each, void *context, struct error *err)
{
	int status = waited ? walk_queue(queue, JOB_READY, each, context, err) : SUMI_OK;
	return status ? status : walk_queue(queue, JOB_RUNNING, each, context, err);
}

int walk_admit(struct queue *queue, struct error *err)
{
	struct queue_stats stats;
	struct queue_admitted a;
	int status = queue_stats(queue, &stats, err);
	/* Each call empties the front of the intake, or a daemon has done so meanwhile. */
	for (int64_t left = stats.intake; left > 0 && !status; left -= ADMIT)
		status = queue_admit(queue, ADMIT, &a, err);
	return status;
}
