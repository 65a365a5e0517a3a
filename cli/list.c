/* sumi list, search: what there is. Live jobs come from the queue, ended ones from the store, and from the
 * queue those that the store does not have: cancelled before they began, put aside, made elsewhere.
 *
 * The order: running, ready, delayed, blocked jobs as the queue has them; then ended ones, those that
 * were sent last first. A page begins behind the last row of the page before. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/grow.h"
#include "base/schedule.h"
#include "cli/entry.h"
#include "cli/follow.h"
#include "cli/select.h"
#include "cli/verbs.h"
#include "cli/when.h"
#include "queue/describe.h"
#include "queue/walk.h"

/* An ended job of the queue alone. */
struct stray {
	int64_t created;
	json_t *row;
};

struct listing {
	struct cli *cli;
	struct queue *queue;
	struct store *store; /* NULL: there is none yet */
	struct store_filter filter;
	bool filtered; /* by more than a state */
	int only;      /* a state, or -1 */
	size_t limit, shown;
	bool more;
	char last[JOB_ID_SIZE + 64]; /* id of the last row */
	json_t *live;		     /* ids that the queue has shown: the store does not again */
	struct queue_troubles troubles;
	int64_t ended; /* at the beginning, see not_ended() */
	/* where the page begins */
	const char *after;
	bool skipping;		    /* after has not been met yet */
	int64_t below, below_key;   /* ended: created at most; the store's rows below that key */
	bool after_stray;	    /* the store's rows of that moment stand before it */
	struct stray *strays;
	size_t stray_count, stray_room;
	int64_t enough; /* a stray that was sent before has no place on the page; 0: not known */
};

/* ---- rows ---- */

/* SUMI_CANCELLED when the page is full, or nobody reads it any more. Steals row. */
static int emit(struct listing *l, json_t *row)
{
	const char *id = json_string_value(json_object_get(row, "id"));
	cli_check_reader();
	l->more = l->shown == l->limit;
	if (l->more || ferror(stdout)) {
		json_decref(row);
		return SUMI_CANCELLED;
	}
	snprintf(l->last, sizeof l->last, "%s", id ? id : "");
	if (l->cli->json) {
		printf("%s", l->shown ? ",\n" : "[\n");
		json_dumpf(row, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	} else if (l->cli->quiet) {
		printf("%s\n", l->last);
	} else {
		entry_print_row(row);
	}
	l->shown++;
	json_decref(row);
	return SUMI_OK;
}

/* "1,234" */
static const char *grouped(int64_t n, char out[32])
{
	char digits[24];
	int length = snprintf(digits, sizeof digits, "%" PRId64, n), at = 0;
	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

/* How many there are in all; -1: not known without reading all of them. */
static int64_t count_all(struct listing *l)
{
	struct queue_stats stats = {0};
	struct error ignored;
	int64_t live = 0, queued = 0, stored = 0;
	if (l->filtered || (l->queue && queue_stats(l->queue, &stats, &ignored)))
		return -1;
	if (l->only < 0)
		live = stats.intake;
	for (int i = 0; i < JOB_STATES; i++)
		if (l->only < 0 || l->only == i)
			*(job_state_is_final((enum job_state)i) ? &queued : &live) += stats.states[i];
	if (l->store && (l->only < 0 || job_state_is_final((enum job_state)l->only)) &&
	    store_count_jobs(l->store, l->filter.state, &stored, &ignored))
		return -1;
	/* Mostly the one holds all of the other. */
	return live + (stored > queued ? stored : queued);
}

static void end_rows(struct listing *l)
{
	char shown[32], all[32];
	if (l->cli->json)
		printf("%s", l->shown ? "\n]\n" : "[]\n");
	if (l->cli->quiet)
		return;
	int64_t total = l->more ? count_all(l) : 0;
	if (l->more && total > (int64_t)l->shown)
		fprintf(stderr, "%s of %s shown; --after %s\n", grouped((int64_t)l->shown, shown),
			grouped(total, all), l->last);
	else if (l->more)
		fprintf(stderr, "%s shown, there are more; --after %s\n",
			grouped((int64_t)l->shown, shown), l->last);
	else if (!l->shown && !l->cli->json)
		fprintf(stderr, "nothing there\n");
}

/* ---- live jobs ---- */

static int on_live(void *context, const struct queue_entry *e, struct error *err)
{
	struct listing *l = context;
	(void)err;
	if (l->skipping) {
		l->skipping = strcmp(e->id, l->after) != 0;
		return SUMI_OK;
	}
	if (!select_wants(&l->filter, e) || json_object_get(l->live, e->id))
		return SUMI_OK;
	json_object_set_new(l->live, e->id, json_true());
	char why[QUEUE_WAITS_SIZE];
	json_t *row = queue_entry_json(e);
	queue_waits(&l->troubles, e, why);
	entry_add_waits(row, why);
	return emit(l, row);
}

/* The next page begins behind the last row that stands in order. */
static int list_moved(struct listing *l, bool waited, struct error *err)
{
	char last[sizeof l->last];
	memcpy(last, l->last, sizeof last);
	int status = walk_moved(l->queue, waited, on_live, l, err);
	if (*last)
		memcpy(l->last, last, sizeof last);
	return status;
}

static bool is_whole(const struct listing *l)
{
	return !l->after && l->only < 0;
}

/* Of all ends that there were, those of jobs that do not stand among the ended ones: it grows when one
 * is retried or forgotten, by nothing else. */
static int64_t not_ended(const struct queue_stats *s)
{
	int64_t n = s->total_done + s->total_failed + s->total_cancelled;
	for (int i = 0; i < JOB_STATES; i++)
		if (job_state_is_final((enum job_state)i))
			n -= s->states[i];
	return n;
}

/* first: the state where the page begins; WALK_LIVE: behind all of them. */
static int list_live(struct listing *l, int first, struct error *err)
{
	int status = SUMI_OK;
	bool gone = first == WALK_LIVE && l->only >= 0;
	struct queue_stats stats = {0};
	if (is_whole(l) && (status = queue_stats(l->queue, &stats, err)))
		return status;
	l->ended = not_ended(&stats);
	for (int i = first; i < WALK_LIVE && !status && !l->more; i++) {
		if (l->only < 0 || (enum job_state)l->only == walk_live[i])
			status = walk_queue(l->queue, walk_live[i], on_live, l, err);
		gone = l->skipping && i == first && !status;
		if (gone)
			break;
	}
	if (!status && !l->more && is_whole(l))
		status = list_moved(l, stats.states[JOB_DELAYED] || stats.states[JOB_BLOCKED], err);
	return gone ? error_set(err, SUMI_NOTFOUND,
				"--after %s: it has moved on meanwhile: list anew, or without a "
				"limit",
				l->after)
		    : status;
}

/* ---- ended jobs ---- */

/* Those that were sent last first, of one moment by their ids. */
static int by_created(const void *a, const void *b)
{
	const struct stray *x = a, *y = b;
	if (x->created != y->created)
		return x->created < y->created ? 1 : -1;
	return strcmp(json_string_value(json_object_get(y->row, "id")),
		      json_string_value(json_object_get(x->row, "id")));
}

/* Of strays only as many are kept as can come onto the page. */
static void cut_strays(struct listing *l)
{
	size_t most = l->limit + 1;
	if (l->limit == SIZE_MAX || l->stray_count < 2 * most)
		return;
	qsort(l->strays, l->stray_count, sizeof *l->strays, by_created);
	while (l->stray_count > most)
		json_decref(l->strays[--l->stray_count].row);
	if (l->strays[most - 1].created > l->enough)
		l->enough = l->strays[most - 1].created;
}

static int keep_stray(struct listing *l, const struct queue_entry *e, struct error *err)
{
	struct stray *all = grow_room(l->strays, l->stray_count, &l->stray_room, 256, sizeof *all);
	if (!all)
		return error_set(err, SUMI_NOMEM, "no memory for more than %zu jobs", l->stray_count);
	l->strays = all;
	/* Once, though the store may come to have it while it is read. */
	json_object_set_new(l->live, e->id, json_true());
	l->strays[l->stray_count++] = (struct stray){e->created_ms, queue_entry_json(e)};
	cut_strays(l);
	return SUMI_OK;
}

static int on_ended(void *context, const struct queue_entry *e, struct error *err)
{
	struct listing *l = context;
	bool stored = false;
	/* The latest end comes first, and nothing ends before it was sent. */
	if (l->enough && e->finished_ms < l->enough)
		return SUMI_CANCELLED;
	if (!select_wants(&l->filter, e) || e->created_ms > l->below ||
	    json_object_get(l->live, e->id))
		return SUMI_OK;
	if (l->after_stray && e->created_ms == l->below && strcmp(e->id, l->after) >= 0)
		return SUMI_OK;
	int status = l->store ? store_shows(l->store, e->id, &stored, err) : SUMI_OK;
	return status || stored ? status : keep_stray(l, e, err);
}

static int find_strays(struct listing *l, struct error *err)
{
	int status = SUMI_OK;
	for (int i = 0; l->queue && i < JOB_STATES && !status; i++)
		if (job_state_is_final((enum job_state)i) && (l->only < 0 || l->only == i))
			status = walk_queue(l->queue, (enum job_state)i, on_ended, l, err);
	if (l->stray_count)
		qsort(l->strays, l->stray_count, sizeof *l->strays, by_created);
	return status;
}

/* Emits the strays that were sent after a moment. */
static int emit_strays(struct listing *l, size_t *at, int64_t moment)
{
	int status = SUMI_OK;
	while (!status && *at < l->stray_count && l->strays[*at].created > moment)
		status = emit(l, json_incref(l->strays[(*at)++].row));
	return status;
}

static int emit_page(struct listing *l, const struct store_page *page, size_t *stray)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < page->count && !status; i++) {
		const struct store_job *job = &page->jobs[i];
		status = emit_strays(l, stray, job->created);
		if (!status && !json_object_get(l->live, job->id))
			status = emit(l, store_job_json(job));
	}
	return status;
}

static int next_page(struct listing *l, struct store_filter *filter, struct store_page *page,
		     struct error *err)
{
	*page = (struct store_page){0};
	if (!l->store || filter->before < 0)
		return SUMI_OK;
	int status = store_list(l->store, filter, page, err);
	filter->before = page->next ? page->next : -1;
	return status;
}

static int list_ended(struct listing *l, struct error *err)
{
	struct store_filter filter = l->filter;
	struct store_page page;
	size_t stray = 0;
	filter.limit = l->limit < STORE_PAGE_MAX ? (int)l->limit + 1 : STORE_PAGE_MAX;
	if (filter.limit > STORE_PAGE_MAX)
		filter.limit = STORE_PAGE_MAX;
	filter.before = l->below_key;
	if (l->after_stray && (!filter.until || filter.until > l->below))
		filter.until = l->below;
	int status = next_page(l, &filter, &page, err);
	if (!status && page.count > l->limit)
		l->enough = page.jobs[l->limit].created;
	if (!status)
		status = find_strays(l, err);
	while (!status && page.count) {
		status = emit_page(l, &page, &stray);
		store_page_free(&page);
		if (!status)
			status = next_page(l, &filter, &page, err);
	}
	store_page_free(&page);
	if (!status)
		status = emit_strays(l, &stray, INT64_MIN);
	return status == SUMI_CANCELLED ? SUMI_OK : status;
}

static int on_returned(void *context, const struct queue_entry *e, struct error *err)
{
	struct listing *l = context;
	bool stored = false;
	int status = l->store ? store_shows(l->store, e->id, &stored, err) : SUMI_OK;
	return status || stored ? status : on_live(l, e, err);
}

/* A job that was retried between the reading of the live and that of the ended ones stands in neither. */
static int list_returned(struct listing *l, struct error *err)
{
	struct queue_stats stats;
	int status = queue_stats(l->queue, &stats, err);
	bool returned = !status && not_ended(&stats) != l->ended;
	for (int i = 0; i < WALK_LIVE && returned && !status && !l->more; i++)
		status = walk_queue(l->queue, walk_live[i], on_returned, l, err);
	return status;
}

/* ---- where a page begins ---- */

/* *first: the live state behind whose row --after the page begins. */
static int find_place(struct listing *l, int *first, struct error *err)
{
	struct queue_entry entry;
	struct store_job row;
	bool stored = false;
	*first = 0;
	l->below = INT64_MAX;
	if (!l->after)
		return SUMI_OK;
	int status = l->queue ? find_entry(l->queue, l->after, &entry, err) : SUMI_NOTFOUND;
	if (!status) {
		for (int i = 0; i < WALK_LIVE; i++)
			if (entry.state == walk_live[i]) {
				*first = i;
				l->skipping = true;
			}
		l->below = entry.created_ms;
		queue_entry_clear(&entry);
		if (l->skipping) {
			l->below = INT64_MAX;
			return SUMI_OK;
		}
	}
	*first = WALK_LIVE;
	if (status && status != SUMI_NOTFOUND)
		return status;
	int shows = l->store ? store_shows(l->store, l->after, &stored, err) : SUMI_OK;
	if (shows || (status && !stored))
		return shows ? shows
			     : error_set(err, SUMI_NOTFOUND, "--after: there is no job %.64s",
					 l->after);
	l->after_stray = !stored;
	if (!stored)
		return SUMI_OK;
	if ((status = store_job_get(l->store, l->after, &row, err)))
		return status;
	l->below = row.created;
	l->below_key = row.key;
	store_job_free(&row);
	return SUMI_OK;
}

/* ---- the verbs ---- */

static int past_time(const char *name, const char *text, int64_t *ms, struct error *err)
{
	char zone[SCHEDULE_ZONE_SIZE];
	zone_local_name(zone);
	int status = when_parse_past(text, zone, clock_wall_ms(), ms, err);
	return status ? error_prefix(err, "--%s", name) : SUMI_OK;
}

static int parse_filter(struct listing *l, struct error *err)
{
	const struct cli *cli = l->cli;
	struct store_filter *f = &l->filter;
	const char *since = cli_value(cli, "since"), *until = cli_value(cli, "until");
	const char *word = cli_value(cli, "state");
	long limit;
	int status;
	if ((status = cli_limit(cli, INT_MAX, &limit, err)) ||
	    (since && (status = past_time("since", since, &f->since, err))) ||
	    (until && (status = past_time("until", until, &f->until, err))))
		return status;
	l->limit = limit < INT_MAX ? (size_t)limit : SIZE_MAX;
	l->only = word ? select_state(word) : -1;
	if (word && l->only < 0)
		return error_set(err, SUMI_INVALID,
				 "--state is '%.40s': it must be ready, delayed, blocked, running, "
				 "done, failed or cancelled",
				 word);
	f->state = word ? job_state_word((enum job_state)l->only) : NULL;
	if ((status = select_modality(l->cli, &f->modality, err)))
		return status;
	f->model = cli_value(cli, "model");
	f->tag = cli_value(cli, "tag");
	f->starred = cli_value(cli, "starred") != NULL;
	l->after = cli_value(cli, "after");
	l->filtered = since || until || f->modality || f->model || f->tag || f->starred;
	return SUMI_OK;
}

static int open_store(struct listing *l, struct error *err)
{
	int status = cli_store(l->cli, &l->store, err);
	return status == SUMI_NOTFOUND ? SUMI_OK : status; /* no daemon has run here yet */
}

static int end_listing(struct listing *l, int status, struct error *err)
{
	for (size_t i = 0; i < l->stray_count; i++)
		json_decref(l->strays[i].row);
	free(l->strays);
	json_decref(l->live);
	if (!status || l->shown)
		end_rows(l);
	store_close(l->store);
	queue_close(l->queue);
	return status ? cli_error(l->cli, err) : EXIT_OK;
}

static int run_list(struct cli *cli)
{
	struct error err = {0};
	struct listing l = {.cli = cli, .live = json_object()};
	int first = 0, status = parse_filter(&l, &err);
	bool ended = l.only < 0 || job_state_is_final((enum job_state)l.only);
	bool live = l.only < 0 || !ended;
	if (!status && !l.filter.starred) /* only what has a result can be starred */
		status = cli_queue(cli, &l.queue, &err);
	/* Without a daemon there is still what the store has. */
	if (status == SUMI_CONNECT && ended) {
		if (!cli->quiet)
			fprintf(stderr, "sumi: note: only what has ended is listed: %s\n", err.text);
		status = SUMI_OK;
	}
	if (!status)
		status = open_store(&l, &err);
	struct error ignored;
	if (!status && l.queue && live) {
		/* What was sent a moment ago; for a page that is enough. A queue that takes nothing
		 * more can be looked at all the same. */
		status = l.limit == SIZE_MAX ? walk_admit(l.queue, &err) : admit_sent(l.queue, &err);
		if (status == SUMI_FULL)
			status = SUMI_OK;
		queue_troubles(l.queue, &l.troubles, &ignored);
	}
	if (!status)
		status = find_place(&l, &first, &err);
	if (!status && l.queue && live)
		status = list_live(&l, first, &err);
	if (!status && ended && !l.more)
		status = list_ended(&l, &err);
	if (!status && l.queue && !l.more && is_whole(&l))
		status = list_returned(&l, &err);
	return end_listing(&l, status, &err);
}

static int run_search(struct cli *cli)
{
	struct error err = {0};
	struct listing l = {.cli = cli, .live = json_object()};
	int first, status = parse_filter(&l, &err);
	l.filter.text = cli->arg_count ? cli->args[0] : NULL;
	l.filtered = true;
	if (!status)
		status = open_store(&l, &err);
	if (!status)
		status = find_place(&l, &first, &err);
	if (!status)
		status = list_ended(&l, &err);
	return end_listing(&l, status, &err);
}

static const struct cli_option list_options[] = {
    {"state", 's', "STATE", "only ready, delayed, blocked, running, done, failed or cancelled"},
    {"modality", 0, MODALITY_CHOICE, "only those of it"},
    {"model", 'm', "NAME", "only this model's; of waiting jobs those that name it"},
    {"tag", 't', "TAG", "only with this tag"},
    {"starred", 0, NULL, "only starred ones"},
    {"since", 0, "TIME", "sent at or after"},
    {"until", 0, "TIME", "sent before"},
    CLI_LIMIT_OPTION,
    {"after", 0, "ID", "go on behind this one: the next page"},
    {NULL, 0, NULL, NULL}};

const struct verb verb_list = {
    .name = "list",
    .arguments = "[options]",
    .summary = "jobs: those in the queue, then the finished ones, newest first",
    .options = list_options,
    .max_args = 0,
    .run = run_list,
};

const struct verb verb_search = {
    .name = "search",
    .arguments = "WORDS [options]",
    .summary = "finished jobs whose prompt has all these words",
    .options = list_options,
    .max_args = 1,
    .run = run_search,
};
