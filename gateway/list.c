/* GET /jobs and /search: what there is, page by page. First what no daemon has taken in yet, then running, ready,
 * delayed, blocked jobs as the queue has them, then ended ones, those that were sent last first: the store's, and between them those of the
 * queue that the store does not have (cancelled before they began, put aside, made elsewhere).
 *
 * A page begins behind the last row of the page before, whose place its cursor says:
 *     l<state>.<id>       a job of the queue that has not ended
 *     s<created>.<key>    a row of the store
 *     q<created>.<id>     an ended job of the queue */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/grow.h"
#include "gateway/handlers.h"
#include "gateway/jobs.h"
#include "queue/walk.h"

enum {
	PAGE_USUAL = 50,
	PAGE_MAX = 500,
	LYING_MAX = 200, /* jobs in the intake that one request looks at */
	LOOK_MAX = 20000, /* jobs of the queue that one request looks at */
	STRAYS_MAX = 2000 /* ended jobs of the queue, of each state, that may be missing in the store */
};

struct stray {
	json_t *row;
	int64_t created;
	char id[JOB_ID_SIZE];
};

struct listing {
	struct call *call;
	struct worker *w;
	struct queue *queue;
	struct store *store; /* NULL: nothing has been made yet */
	struct store_filter filter;
	char *texts[8]; /* what the filter borrows */
	int text_count, state; /* or -1 */
	size_t limit;
	json_t *rows, *seen;
	char next[JOB_ID_SIZE + 64];
	/* where the page begins */
	char kind; /* of the cursor; 0: at the front */
	int live;  /* index of walk_live */
	int64_t created, key;
	char id[JOB_ID_SIZE];
	bool skipping, full;
	size_t looked;
	struct stray *strays;
	size_t stray_count;
};

/* ---- the query ------------------------------------------------------------------------------ */

/* NULL where it was not given. */
static const char *take_text(struct listing *l, const char *name, bool *ok)
{
	char *value = call_query(l->call, name, ok);
	if (value && !*value) {
		free(value);
		value = NULL;
	}
	if (value)
		l->texts[l->text_count++] = value;
	return value;
}

static void take_time(struct listing *l, const char *name, int64_t *ms, bool *ok)
{
	char *value = call_query(l->call, name, ok);
	struct error err;
	if (*ok && value && clock_parse(value, ms, &err)) {
		call_refuse(l->call, 400, name, "'%.60s' is no time: write 2026-01-31T22:00:00Z", value);
		*ok = false;
	}
	free(value);
}

static void take_limit(struct listing *l, bool *ok)
{
	char *value = call_query(l->call, "limit", ok), *end;
	long n = value ? strtol(value, &end, 10) : PAGE_USUAL;
	if (*ok && value && (end == value || *end || n < 1 || n > PAGE_MAX)) {
		call_refuse(l->call, 400, "limit", "limit must be 1 to %d", PAGE_MAX);
		*ok = false;
	}
	l->limit = (size_t)n;
	free(value);
}

static bool read_cursor(struct listing *l, const char *text)
{
	int used = 0, state;
	l->kind = text[0];
	if (l->kind == 'l' && sscanf(text + 1, "%1d.%n", &state, &used) == 1 && used &&
	    job_id_valid(text + 1 + used) && strlen(text + 1 + used) <= JOB_ID_MAX && state < WALK_LIVE) {
		l->live = state;
		strcpy(l->id, text + 1 + used);
		l->skipping = true;
		return true;
	}
	if (l->kind == 's' && sscanf(text + 1, "%19" SCNd64 ".%19" SCNd64 "%n", &l->created, &l->key, &used) == 2)
		return !text[1 + used] && l->key > 0;
	if (l->kind == 'q' && sscanf(text + 1, "%19" SCNd64 ".%n", &l->created, &used) == 1 && used &&
	    job_id_valid(text + 1 + used) && strlen(text + 1 + used) <= JOB_ID_MAX) {
		strcpy(l->id, text + 1 + used);
		return true;
	}
	return false;
}

static bool read_query(struct listing *l, bool search)
{
	struct call *call = l->call;
	bool ok = true;
	const char *state = take_text(l, "state", &ok);
	l->filter.modality = take_text(l, "modality", &ok);
	l->filter.model = take_text(l, "model", &ok);
	l->filter.tag = take_text(l, "tag", &ok);
	l->filter.text = search ? take_text(l, "q", &ok) : NULL;
	const char *after = take_text(l, "after", &ok), *starred = take_text(l, "starred", &ok);
	if (ok)
		take_time(l, "since", &l->filter.since, &ok);
	if (ok)
		take_time(l, "until", &l->filter.until, &ok);
	if (ok)
		take_limit(l, &ok);
	l->filter.submitter = call->caller.all ? NULL : call->caller.name;
	l->filter.starred = starred && strcmp(starred, "true") == 0;
	l->state = state ? job_state_from_word(state) : -1;
	if (ok && state && l->state < 0)
		call_refuse(call, 400, "state",
			    "state must be ready, delayed, blocked, running, done, failed or cancelled");
	else if (ok && l->filter.modality && !param_modality(l->filter.modality))
		call_refuse(call, 400, "modality", "modality must be one of %s", MODALITY_LIST);
	else if (ok && after && !read_cursor(l, after))
		call_refuse(call, 400, "after", "after must be what `next` said");
	else if (ok && search && !l->filter.text)
		call_refuse(call, 400, "q", "q must have words to search for");
	else
		return ok;
	return false;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static bool wants(const struct listing *l, const struct queue_entry *e)
{
	const struct store_filter *f = &l->filter;
	bool tagged = !f->tag;
	for (size_t i = 0; i < e->job.tags.count && !tagged; i++)
		tagged = strcmp(e->job.tags.at[i], f->tag) == 0;
	return tagged && call_owns(l->call, e->job.submitter) &&
	       (!f->modality || strcmp(e->job.modality, f->modality) == 0) &&
	       (!f->model || (e->job.model && strcmp(e->job.model, f->model) == 0)) &&
	       (!f->since || e->created_ms >= f->since) && (!f->until || e->created_ms < f->until) &&
	       !json_object_get(l->seen, e->id);
}

static bool is_full(const struct listing *l)
{
	return json_array_size(l->rows) >= l->limit;
}

static void add(struct listing *l, const char *id, json_t *row)
{
	json_object_set_new(l->seen, id, json_true());
	json_array_append_new(l->rows, row);
}

static int on_live(void *context, const struct queue_entry *e, struct error *err)
{
	struct listing *l = context;
	(void)err;
	if (l->skipping) {
		l->skipping = strcmp(e->id, l->id) != 0;
		return SUMI_OK;
	}
	if (is_full(l) || l->looked++ >= LOOK_MAX) {
		l->full = true;
		return SUMI_CANCELLED;
	}
	snprintf(l->next, sizeof l->next, "l%d.%s", l->live, e->id);
	if (wants(l, e)) {
		struct found f = {.queued = true, .entry = *e};
		add(l, e->id, jobs_document(l->call, e->id, &f));
	}
	return SUMI_OK;
}

static bool is_text(const json_t *fields, const char *name, const char *wanted)
{
	const char *text = json_string_value(json_object_get(fields, name));
	return !wanted || (text && strcmp(text, wanted) == 0);
}

/* Jobs that no daemon has taken in yet: they are queued, and not lost. They leave room for one that was. */
static int list_lying(struct listing *l, struct error *err)
{
	const struct store_filter *f = &l->filter;
	size_t i;
	json_t *jobs, *fields;
	int status = queue_lying(l->queue, LYING_MAX, &jobs, err);
	json_array_foreach(status ? NULL : jobs, i, fields)
	{
		const char *id = json_string_value(json_object_get(fields, "id")), *sender = json_string_value(json_object_get(fields, "submitter"));
		if (json_array_size(l->rows) + 1 >= l->limit || !call_owns(l->call, sender) || json_object_get(l->seen, id) || f->tag || f->since ||
		    f->until || !is_text(fields, "modality", f->modality) || !is_text(fields, "model", f->model))
			continue;
		json_t *row = json_copy(fields);
		json_object_set_new(row, "state", json_string("queued"));
		json_object_set_new(row, "files", json_array());
		add(l, id, row);
	}
	json_decref(jobs);
	return status;
}

/* The next page begins behind the last row that stands in order. */
static int list_moved(struct listing *l, struct error *err)
{
	char next[sizeof l->next];
	memcpy(next, l->next, sizeof next);
	l->looked = 0;
	int status = walk_moved(l->queue, true, on_live, l, err);
	if (*next)
		memcpy(l->next, next, sizeof next);
	l->full = false;
	return status;
}

/* A job behind which the page should begin may have moved on: then its state is listed from the front. */
static int list_live(struct listing *l, struct error *err)
{
	int status = l->kind || l->state >= 0 ? SUMI_OK : list_lying(l, err);
	for (; l->live < WALK_LIVE && !status && !l->full; l->live++) {
		if (l->state >= 0 && (enum job_state)l->state != walk_live[l->live])
			continue;
		status = walk_queue(l->queue, walk_live[l->live], on_live, l, err);
		if (!status && l->skipping) {
			l->skipping = false;
			status = walk_queue(l->queue, walk_live[l->live], on_live, l, err);
		}
		if (l->full)
			break;
	}
	if (!status && !l->full && !l->kind && l->state < 0)
		status = list_moved(l, err);
	return status;
}

/* ---- ended jobs ----------------------------------------------------------------------------- */

static int keep_stray(struct listing *l, const struct queue_entry *e, struct error *err)
{
	struct stray *grown = grow_by_count(l->strays, l->stray_count, sizeof *grown);
	if (!grown)
		return error_set(err, SUMI_NOMEM, "no memory for jobs");
	l->strays = grown;
	struct stray *s = &grown[l->stray_count++];
	struct found f = {.queued = true, .entry = *e};
	*s = (struct stray){.row = jobs_document(l->call, e->id, &f), .created = e->created_ms};
	snprintf(s->id, sizeof s->id, "%s", e->id);
	return SUMI_OK;
}

static bool is_behind(const struct listing *l, const struct queue_entry *e)
{
	if (l->kind == 's')
		return e->created_ms <= l->created;
	return l->kind != 'q' || e->created_ms < l->created ||
	       (e->created_ms == l->created && strcmp(e->id, l->id) < 0);
}

/* Ended jobs of one state that the store does not show: ids are asked for, and only of these the jobs. */
static int find_strays_of(struct listing *l, enum job_state state, struct error *err)
{
	json_t *ids, *unshown = NULL;
	struct queue_entry *entries = NULL;
	size_t count = 0;
	int status = queue_ids(l->queue, state, 0, STRAYS_MAX, &ids, err);
	if (!status && l->store)
		status = store_unshown(l->store, ids, &unshown, err);
	if (!status)
		status = queue_get_all(l->queue, unshown ? unshown : ids, &entries, &count, err);
	for (size_t i = 0; i < count && !status; i++)
		if (is_behind(l, &entries[i]) && wants(l, &entries[i]))
			status = keep_stray(l, &entries[i], err);
	queue_list_free(entries, count);
	json_decref(unshown);
	json_decref(ids);
	return status;
}

static int by_created(const void *a, const void *b)
{
	const struct stray *x = a, *y = b;
	return x->created != y->created ? (x->created < y->created ? 1 : -1) : strcmp(y->id, x->id);
}

static int find_strays(struct listing *l, struct error *err)
{
	int status = SUMI_OK;
	for (int i = 0; i < JOB_STATES && !status; i++) {
		if (!job_state_is_final((enum job_state)i) || (l->state >= 0 && l->state != i))
			continue;
		status = find_strays_of(l, (enum job_state)i, err);
	}
	if (l->stray_count)
		qsort(l->strays, l->stray_count, sizeof *l->strays, by_created);
	return status;
}

static void emit_strays(struct listing *l, size_t *at, int64_t moment)
{
	for (; *at < l->stray_count && l->strays[*at].created > moment && !is_full(l); (*at)++) {
		struct stray *s = &l->strays[*at];
		if (json_object_get(l->seen, s->id))
			continue; /* the store has come to have it meanwhile */
		snprintf(l->next, sizeof l->next, "q%" PRId64 ".%s", s->created, s->id);
		add(l, s->id, json_incref(s->row));
	}
}

static int emit_stored(struct listing *l, const struct store_job *job, struct error *err)
{
	struct found f = {.stored = true, .row = *job};
	int status = store_artifacts(l->store, job->id, false, &f.files, &f.file_count, err);
	if (status)
		return status;
	snprintf(l->next, sizeof l->next, "s%" PRId64 ".%" PRId64, job->created, job->key);
	if (!json_object_get(l->seen, job->id))
		add(l, job->id, jobs_document(l->call, job->id, &f));
	store_artifacts_free(f.files, f.file_count);
	return SUMI_OK;
}

/* One row more than the page has room for tells that there is a next one. */
static int list_ended(struct listing *l, bool strays, struct error *err)
{
	struct store_page page = {0};
	size_t stray = 0, i = 0;
	struct store_filter filter = l->filter;
	filter.state = l->state >= 0 ? job_state_word((enum job_state)l->state) : NULL;
	filter.limit = (int)(l->limit - json_array_size(l->rows)) + 1;
	filter.before = l->kind == 's' ? l->key : 0;
	if (l->kind == 'q' && (!filter.until || filter.until > l->created))
		filter.until = l->created;
	int status = strays ? find_strays(l, err) : SUMI_OK;
	if (!status && l->store)
		status = store_list(l->store, &filter, &page, err);
	for (; i < page.count && !status && !is_full(l); i++) {
		emit_strays(l, &stray, page.jobs[i].created);
		if (is_full(l))
			break;
		status = emit_stored(l, &page.jobs[i], err);
	}
	if (i == page.count)
		emit_strays(l, &stray, INT64_MIN);
	l->full = i < page.count || stray < l->stray_count;
	store_page_free(&page);
	return status;
}

static int list_all(struct listing *l, bool search, struct error *err)
{
	bool ended = l->state < 0 || job_state_is_final((enum job_state)l->state);
	bool live = !search && !l->filter.starred && (l->state < 0 || !ended) &&
		    (l->kind == 0 || l->kind == 'l');
	int status = SUMI_OK;
	if (!search)
		status = worker_queue(l->w, &l->queue, err);
	if (!status && (status = worker_store(l->w, &l->store, err)) == SUMI_NOTFOUND)
		status = SUMI_OK;
	if (!status && live)
		status = list_live(l, err);
	/* From the front of the ended ones, whatever brought us here. */
	if (l->kind == 'l')
		l->kind = 0;
	if (!status && ended && !l->full && !is_full(l))
		status = list_ended(l, !search && !l->filter.starred, err);
	else if (!status && ended && is_full(l))
		l->full = true;
	return status;
}

static void list(struct call *call, struct worker *w, bool search)
{
	struct listing l = {.call = call, .w = w, .rows = json_array(), .seen = json_object()};
	struct error err;
	if (read_query(&l, search)) {
		if (list_all(&l, search, &err))
			call_fail(call, &err);
		else
			call_json(call, 200,
				  json_pack("{s:O, s:s*}", "jobs", l.rows, "next", l.full ? l.next : NULL));
	}
	for (size_t i = 0; i < l.stray_count; i++)
		json_decref(l.strays[i].row);
	free(l.strays);
	for (int i = 0; i < l.text_count; i++)
		free(l.texts[i]);
	json_decref(l.rows);
	json_decref(l.seen);
}

void jobs_list(struct call *call, struct worker *w)
{
	list(call, w, false);
}

void jobs_search(struct call *call, struct worker *w)
{
	list(call, w, true);
}
