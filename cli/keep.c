/* sumi delete, star, unstar: what stays and what goes. */
#include <string.h>

#include "base/clock.h"
#include "cli/each.h"
#include "cli/follow.h"
#include "cli/verbs.h"
#include "storage/keep.h"

enum { TRIES = 25, PAUSE_MS = 200 };

#define ENDED_STATES (SELECT_STATE(DONE) | SELECT_STATE(FAILED) | SELECT_STATE(CANCELLED))
#define WAITING_STATES (SELECT_STATE(READY) | SELECT_STATE(DELAYED) | SELECT_STATE(BLOCKED))

/* A job that waits ends before it goes. *known: the queue has it. */
static int end_waiting(struct each *e, const char *id, bool *known, struct error *err)
{
	struct queue_entry entry;
	struct store_job row;
	enum queue_cancel_result result = QUEUE_CANCELLED;
	int status = find_entry(e->queue, id, &entry, err);
	*known = status == SUMI_OK;
	/* On a full disk nothing is taken out of the intake. */
	if (status)
		return status == SUMI_NOTFOUND || status == SUMI_FULL ? SUMI_OK : status;
	enum job_state state = entry.state;
	bool results = entry.variants > 0;
	queue_entry_clear(&entry);
	if (state == JOB_DONE && results) {
		/* What another host has made only that host can delete. */
		status = e->store ? store_job_get(e->store, id, &row, err) : SUMI_NOTFOUND;
		if (status == SUMI_NOTFOUND)
			return error_set(err, status,
					 "%s: its results are on another host: delete it there", id);
		if (!status)
			store_job_free(&row);
		return status;
	}
	if (job_state_is_final(state))
		return SUMI_OK;
	if (state != JOB_RUNNING)
		status = queue_cancel(e->queue, id, &result, err);
	if (!status && (state == JOB_RUNNING || result == QUEUE_CANCELLING))
		status = error_set(err, SUMI_BUSY,
				   "%s is running: sumi cancel %s, then delete it", id, id);
	return status;
}

/* The next occurrence of a recurring job is made within a second; so long Redis takes to notice that its
 * disk has room again. */
static int forget(struct queue *queue, const char *id, int tries, struct error *err)
{
	int status = SUMI_BUSY;
	for (int i = 0; i < tries && (status == SUMI_BUSY || status == SUMI_FULL); i++) {
		if (i)
			clock_sleep_ms(PAUSE_MS);
		status = queue_forget(queue, id, err);
	}
	return status == SUMI_NOTFOUND ? SUMI_OK : status;
}

static int delete_one(struct each *e, const char *id, struct error *err)
{
	struct store_removed *sum = e->context, before = *sum;
	bool known;
	int status = end_waiting(e, id, &known, err);
	if (!status && known)
		status = forget(e->queue, id, TRIES, err);
	/* On a full disk Redis writes nothing: first what makes room. */
	bool full = status == SUMI_FULL;
	if (status && !full)
		return status;
	status = e->store ? store_remove(e->store, id, sum, err)
			  : error_set(err, SUMI_NOTFOUND, "there is no job %.64s", id);
	if (status == SUMI_NOTFOUND && known) { /* it never came to a result */
		sum->jobs++;
		status = SUMI_OK;
	}
	if (!status && full && (status = forget(e->queue, id, TRIES, err)))
		error_prefix(err, "%s: its files are deleted, but not its entry in the queue", id);
	if (!status)
		each_tell(e, id, "deleted",
			  json_pack("{s:i, s:I}", "files", sum->files - before.files, "bytes",
				    (json_int_t)(sum->bytes - before.bytes)));
	return status;
}

static int run_delete(struct cli *cli)
{
	static const struct each_rule rule = {
	    .select = {.sources = SELECT_QUEUE | SELECT_STORE,
		       .states = ENDED_STATES | WAITING_STATES,
		       .unasked = ENDED_STATES,
		       .spare_starred = true},
	    .queue = true,
	    .store = true,
	    .mode = STORE_WRITE,
	    .act = delete_one};
	struct store_removed sum = {0};
	int code = each_selected(cli, &rule, &sum);
	if (sum.jobs > 1 && !cli->json && !cli->quiet)
		fprintf(stderr, "%d jobs deleted, %d files, %.1f MiB\n", sum.jobs, sum.files,
			(double)sum.bytes / (1 << 20));
	return code;
}

static int star_one(struct each *e, const char *id, struct error *err)
{
	bool starred = *(const bool *)e->context, changed;
	int status = e->store ? store_star(e->store, id, starred, &changed, err) : SUMI_NOTFOUND;
	if (status == SUMI_NOTFOUND)
		return error_set(err, status, "%.64s has no result here (yet)", id);
	if (!status)
		each_tell(e, id, starred ? "starred" : "not starred", NULL);
	return status;
}

static int star_or_not(struct cli *cli, bool starred)
{
	static const struct each_rule rule = {.select = {.sources = SELECT_STORE,
							 .states = ENDED_STATES,
							 .unasked = SELECT_STATE(DONE)},
					      .store = true,
					      .mode = STORE_WRITE,
					      .act = star_one};
	return each_selected(cli, &rule, &starred);
}

static int run_star(struct cli *cli)
{
	return star_or_not(cli, true);
}

static int run_unstar(struct cli *cli)
{
	return star_or_not(cli, false);
}

static const struct cli_option select_options[] = {SELECT_OPTIONS, {NULL, 0, NULL, NULL}};

const struct verb verb_delete = {
    .name = "delete",
    .arguments = SELECT_ARGUMENTS,
    .summary = "delete jobs that have ended: their rows, files and words of the search",
    .options = select_options,
    .max_args = -1,
    .run = run_delete,
    .more = "A job that waits is cancelled first; one that runs is refused. Starred ones only by name.\n"
	    "A file that several jobs made goes with the last of them.\n",
};

const struct verb verb_star = {
    .name = "star",
    .arguments = SELECT_ARGUMENTS,
    .summary = "mark results that stay, whatever keep_results says",
    .options = select_options,
    .max_args = -1,
    .run = run_star,
};

const struct verb verb_unstar = {
    .name = "unstar",
    .arguments = SELECT_ARGUMENTS,
    .summary = "take such marks away",
    .options = select_options,
    .max_args = -1,
    .run = run_unstar,
};
