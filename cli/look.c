/* sumi list, search, show: what there is. Live jobs come from the queue, finished ones from
 * the store. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cli/entry.h"
#include "cli/follow.h"
#include "cli/recipe.h"
#include "cli/verbs.h"

enum { LIMIT_DEFAULT = 50, PAGE = 200 };

/* States in the order in which a person looks for them. */
static const enum job_state live_states[] = {JOB_RUNNING, JOB_READY, JOB_DELAYED, JOB_BLOCKED};

static bool has_tag(const struct job *job, const char *tag)
{
	for (size_t i = 0; i < job->tags.count; i++)
		if (strcmp(job->tags.at[i], tag) == 0)
			return true;
	return false;
}

static bool wanted(const struct queue_entry *e, const struct store_filter *f)
{
	return (!f->modality || strcmp(e->job.modality, f->modality) == 0) &&
	       (!f->model || (e->job.model && strcmp(e->job.model, f->model) == 0)) &&
	       (!f->tag || has_tag(&e->job, f->tag)) &&
	       (!f->since || e->created_ms >= f->since) && (!f->until || e->created_ms < f->until);
}

static bool has_job(const json_t *rows, const char *id)
{
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row) if (strcmp(json_string_value(json_object_get(row, "id")),
						    id) == 0) return true;
	return false;
}

/* Adds at most filter->limit of the queue's first `reach` jobs in this state, of those that the
 * filter wants and that `rows` does not have. */
static int add_queued(struct queue *queue, enum job_state state, size_t reach,
		      const struct store_filter *filter, json_t *rows, struct error *err)
{
	int room = filter->limit;
	size_t count = 1;
	for (size_t offset = 0; offset < reach && room > 0 && count > 0; offset += PAGE) {
		struct queue_entry *entries;
		size_t page = reach - offset < PAGE ? reach - offset : PAGE;
		int status = queue_list(queue, state, offset, page, &entries, &count, err);
		if (status)
			return status;
		for (size_t i = 0; i < count && room > 0; i++)
			if (wanted(&entries[i], filter) && !has_job(rows, entries[i].id)) {
				json_array_append_new(rows, entry_json(&entries[i]));
				room--;
			}
		queue_list_free(entries, count);
	}
	return SUMI_OK;
}

static int add_stored(struct cli *cli, const struct store_filter *filter, json_t *rows,
		      struct error *err)
{
	struct store *store;
	struct store_page page;
	int status = cli_store(cli, &store, err);
	if (status == SUMI_NOTFOUND)
		return SUMI_OK; /* no daemon has run here yet */
	if (status)
		return status;
	status = store_list(store, filter, &page, err);
	if (!status) {
		for (size_t i = 0; i < page.count; i++)
			json_array_append_new(rows, store_job_json(&page.jobs[i]));
		store_page_free(&page);
	}
	store_close(store);
	return status;
}

/* Newest first. */
static int by_created(const void *a, const void *b)
{
	const char *x = json_string_value(json_object_get(*(json_t *const *)a, "created"));
	const char *y = json_string_value(json_object_get(*(json_t *const *)b, "created"));
	return strcmp(y ? y : "", x ? x : "");
}

/* Ended jobs that this host's store does not have: cancelled before they began, put aside, made
 * elsewhere. Only the newest are looked through: Redis may keep very many. */
static int add_ended(struct queue *queue, const struct store_filter *filter, json_t *ended,
		     struct error *err)
{
	static const enum job_state states[] = {JOB_DONE, JOB_FAILED, JOB_CANCELLED};
	int status = SUMI_OK;
	for (size_t k = 0; k < sizeof states / sizeof states[0] && !status; k++)
		if (!filter->state || strcmp(filter->state, job_state_word(states[k])) == 0)
			status = add_queued(queue, states[k], (size_t)filter->limit, filter, ended,
					    err);
	return status;
}

/* The page of ended jobs: the store's and the queue's. */
static int add_page(struct cli *cli, struct queue *queue, const struct store_filter *filter,
		    json_t *rows, struct error *err)
{
	json_t *ended = json_array();
	int status = add_stored(cli, filter, ended, err);
	if (!status && queue)
		status = add_ended(queue, filter, ended, err);
	size_t count = json_array_size(ended);
	json_t **sorted = count ? malloc(count * sizeof(json_t *)) : NULL;
	if (!status && count && !sorted)
		status = error_set(err, SUMI_NOMEM, "out of memory");
	if (!status && count) {
		for (size_t i = 0; i < count; i++)
			sorted[i] = json_array_get(ended, i);
		qsort(sorted, count, sizeof *sorted, by_created);
		for (size_t i = 0; i < count && i < (size_t)filter->limit; i++)
			json_array_append(rows, sorted[i]);
	}
	free(sorted);
	json_decref(ended);
	return status;
}

static int parse_filter(const struct cli *cli, struct store_filter *f, struct error *err)
{
	const char *since = cli_value(cli, "since"), *until = cli_value(cli, "until");
	long limit = LIMIT_DEFAULT;
	int status;
	if ((status = cli_number(cli, "limit", 1, STORE_PAGE_MAX, &limit, err)) ||
	    (since && (status = clock_parse(since, &f->since, err))) ||
	    (until && (status = clock_parse(until, &f->until, err))))
		return status;
	f->limit = (int)limit;
	f->modality = cli_value(cli, "modality");
	f->model = cli_value(cli, "model");
	f->tag = cli_value(cli, "tag");
	return SUMI_OK;
}

static void print_rows(struct cli *cli, json_t *rows)
{
	size_t i;
	json_t *row;
	if (cli->json) {
		cli_print_json(json_incref(rows));
		return;
	}
	if (json_array_size(rows) == 0 && !cli->quiet)
		fprintf(stderr, "nothing there\n");
	json_array_foreach(rows, i, row)
	{
		if (cli->quiet)
			printf("%s\n", json_string_value(json_object_get(row, "id")));
		else
			entry_print_row(row);
	}
}

static int run_list(struct cli *cli)
{
	struct error err = {0}, ignored;
	struct queue *queue = NULL;
	struct store_filter filter = {0};
	const char *word = cli_value(cli, "state");
	int only = word ? job_state_from_word(word) : -1;
	json_t *rows = json_array();
	int status = parse_filter(cli, &filter, &err);
	if (!status && word && only < 0)
		status = error_set(
		    &err, SUMI_INVALID,
		    "--state is '%.40s': it must be ready, delayed, blocked, running, done, "
		    "failed or cancelled",
		    word);
	bool live = !word || !job_state_is_final((enum job_state)only);
	if (!status)
		status = cli_queue(cli, &queue, &err);
	/* Without a daemon there is still what the store has. */
	if (status == SUMI_CONNECT && (!word || !live)) {
		live = false;
		status = SUMI_OK;
	}
	if (live && !status)
		admit_sent(queue, &ignored);
	for (size_t i = 0; live && i < sizeof live_states / sizeof live_states[0] && !status; i++)
		if (!word || (enum job_state)only == live_states[i])
			status = add_queued(queue, live_states[i], SIZE_MAX, &filter, rows,
					    &err);
	filter.state = word;
	if (!status && (!word || !live))
		status = add_page(cli, queue, &filter, rows, &err);
	if (!status)
		print_rows(cli, rows);
	json_decref(rows);
	queue_close(queue);
	return status ? cli_error(cli, &err) : EXIT_OK;
}

static int run_search(struct cli *cli)
{
	struct error err = {0};
	struct store_filter filter = {.state = cli_value(cli, "state")};
	json_t *rows = json_array();
	int status = parse_filter(cli, &filter, &err);
	filter.text = cli->arg_count ? cli->args[0] : NULL;
	if (!status)
		status = add_stored(cli, &filter, rows, &err);
	if (!status)
		print_rows(cli, rows);
	json_decref(rows);
	return status ? cli_error(cli, &err) : EXIT_OK;
}

static int add_store_details(struct cli *cli, const char *id, json_t **job, struct error *err)
{
	struct store *store;
	struct store_job row;
	struct store_artifact *artifacts = NULL;
	struct store_attempt *attempts = NULL;
	size_t artifact_count = 0, attempt_count = 0;
	int status = cli_store(cli, &store, err);
	if (status)
		return status;
	if ((status = store_job_get(store, id, &row, err)))
		goto close;
	if (!*job)
		*job = store_job_json(&row);
	store_job_free(&row);
	if ((status = store_artifacts(store, id, false, &artifacts, &artifact_count, err)) ||
	    (status = store_attempts(store, id, &attempts, &attempt_count, err)))
		goto close;
	json_t *files = json_array(), *tries = json_array();
	for (size_t i = 0; i < artifact_count; i++)
		json_array_append_new(files, store_artifact_json(&artifacts[i]));
	for (size_t i = 0; i < attempt_count; i++)
		json_array_append_new(tries, store_attempt_json(&attempts[i]));
	json_object_set_new(*job, "artifacts", files);
	json_object_set_new(*job, "attempts", tries);
close:
	store_artifacts_free(artifacts, artifact_count);
	store_attempts_free(attempts, attempt_count);
	store_close(store);
	return status;
}

/* A reason that no patience mends. */
static void add_waiting(struct queue *queue, const struct job *job, json_t *row)
{
	struct error ignored;
	bool served;
	if (queue_served(queue, job->modality, job->model, &served, &ignored) == SUMI_OK && !served)
		json_object_set_new(row, "waiting",
				    json_string("no living worker has its model (sumi models, sumi "
						"status)"));
}

/* What the queue knows and what the store knows; at least one must know the job. */
static int find_job(struct cli *cli, const char *id, json_t **job, struct error *err)
{
	struct queue *queue = NULL;
	struct queue_entry entry;
	struct error queue_err, store_err;
	*job = NULL;
	int in_queue = cli_queue(cli, &queue, &queue_err);
	if (!in_queue && !(in_queue = find_entry(queue, id, &entry, &queue_err))) {
		*job = entry_json(&entry);
		if (entry.state == JOB_READY)
			add_waiting(queue, &entry.job, *job);
		queue_entry_clear(&entry);
	}
	queue_close(queue);
	int in_store = add_store_details(cli, id, job, &store_err);
	if (!in_queue || !in_store)
		return SUMI_OK;
	if (in_queue == SUMI_CONNECT && in_store == SUMI_NOTFOUND)
		return error_set(err, SUMI_NOTFOUND,
				 "the store has no job %.64s, and no daemon answers for the queue",
				 id);
	*err = in_store == SUMI_NOTFOUND ? queue_err : store_err;
	return err->status;
}

/* A path rather than the id of a job: a file is there, or could only be one. */
static bool names_file(const char *text)
{
	struct stat there;
	return strchr(text, '/') || !job_id_valid(text) ||
	       (stat(text, &there) == 0 && !S_ISDIR(there.st_mode));
}

static int describe_file(const char *path, json_t **out, struct error *err)
{
	struct recipe r;
	int status = recipe_read(path, &r, err);
	if (status)
		return status;
	*out = json_pack("{s:s, s:s}", "file", path, "source", r.ours ? "sumi" : "infotext");
	if (!*out)
		status = error_set(err, SUMI_INVALID, "the name of the file is not valid UTF-8");
	json_object_update_missing(*out, r.job);
	if (r.made_by)
		json_object_set(*out, "made_by", r.made_by);
	if (json_object_size(r.unknown))
		json_object_set(*out, "unknown", r.unknown);
	if (r.infotext)
		json_object_set_new(*out, "infotext", json_string(r.infotext));
	recipe_clear(&r);
	return status;
}

static int run_show(struct cli *cli)
{
	struct error err = {0};
	json_t *job = NULL;
	const char *what = cli->args[0];
	int status = names_file(what) ? describe_file(what, &job, &err)
				      : find_job(cli, what, &job, &err);
	if (status)
		return cli_error(cli, &err);
	if (cli->json)
		return cli_print_json(job);
	entry_print_details(job);
	json_decref(job);
	return EXIT_OK;
}

static const struct cli_option list_options[] = {
    {"state", 's', "STATE", "only ready, delayed, blocked, running, done, failed or cancelled"},
    {"modality", 0, "NAME", "only image, video or audio"},
    {"model", 'm', "NAME", "only this model's; of waiting jobs those that name it"},
    {"tag", 't', "TAG", "only with this tag"},
    {"since", 0, "TIME", "sent at or after"},
    {"until", 0, "TIME", "sent before"},
    {"limit", 'l', "N", "at most so many of each kind (50)"},
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

const struct verb verb_show = {
    .name = "show",
    .arguments = "ID|FILE",
    .summary = "everything about a job; or what a picture, clip or video was made with",
    .min_args = 1,
    .max_args = 1,
    .run = run_show,
};
