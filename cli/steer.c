/* sumi watch, wait, fetch, open, cancel, retry, pause, resume: one job, or the whole queue. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/each.h"
#include "cli/entry.h"
#include "cli/follow.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "cli/when.h"
#include "queue/describe.h"

#define ALIVE_STATES                                                                               \
	(SELECT_STATE(READY) | SELECT_STATE(DELAYED) | SELECT_STATE(BLOCKED) | SELECT_STATE(RUNNING))

/* The worst of several exit codes: a failed job counts more than a fine one. */
static int worse(int a, int b)
{
	return a > b ? a : b;
}

static int wait_for_all(struct cli *cli, struct queue *queue, const struct selection *s,
			const struct follow_options *options, json_t *rows, struct error *err, int *code)
{
	for (size_t i = 0; i < s->count; i++) {
		struct queue_entry entry;
		int status = follow_job(cli, queue, s->ids[i], options, &entry, err);
		/* Each stands for itself: an unknown one does not end the waiting for the others. */
		if (status == SUMI_NOTFOUND || status == SUMI_INVALID) {
			*code = worse(*code, cli_error(cli, err));
			continue;
		}
		if (status)
			return status;
		*code = worse(*code, cli->json ? entry.state == JOB_DONE        ? EXIT_OK
						 : entry.state == JOB_CANCELLED ? EXIT_JOB_CANCELLED
										: EXIT_JOB_FAILED
					       : report_end(cli, &entry));
		json_array_append_new(rows, queue_entry_json(&entry));
		if (!cli->json && !cli->quiet && entry.state == JOB_DONE)
			printf("%s done\n", entry.id);
		queue_entry_clear(&entry);
	}
	return SUMI_OK;
}

static int wait_or_watch(struct cli *cli, bool previews)
{
	struct error err = {0};
	struct queue *queue = NULL;
	struct follow_options options = {.previews = previews, .events = previews};
	const char *timeout = cli_value(cli, "timeout");
	json_t *rows = json_array();
	int code = EXIT_OK, status = SUMI_OK;
	if (timeout)
		status = when_parse_length(timeout, &options.until_ms, &err);
	if (options.until_ms)
		options.until_ms += clock_boot_ms();
	struct selection s = {0};
	if (!status)
		status = cli_queue(cli, &queue, &err);
	if (!status)
		status = select_named(cli, &s, &err);
	if (!status)
		status = wait_for_all(cli, queue, &s, &options, rows, &err, &code);
	select_clear(&s);
	if (status) {
		code = cli_error(cli, &err);
		if (status == SUMI_BUSY)
			code = EXIT_INTERRUPTED;
	} else if (cli->json) {
		cli_print_json(json_incref(rows));
	}
	json_decref(rows);
	queue_close(queue);
	return code;
}

static int run_wait(struct cli *cli)
{
	return wait_or_watch(cli, false);
}

static int run_watch(struct cli *cli)
{
	return wait_or_watch(cli, true);
}

/* -o of fetch, and what came of it so far. */
static int fetch_one(struct each *e, const char *id, struct error *err)
{
	bool known;
	struct error ignored;
	int status = fetch_files(e->cli, id, cli_value(e->cli, "output"), e->rows, err);
	/* What nobody has heard of is not somewhere else. */
	if (status == SUMI_NOTFOUND && (e->queue || !cli_queue(e->cli, &e->queue, &ignored)) &&
	    !queue_knows(e->queue, id, &known, &ignored) && !known)
		return error_set(err, SUMI_NOTFOUND, "there is no job %.64s", id);
	return status;
}

static int run_fetch(struct cli *cli)
{
	static const struct each_rule rule = {
	    .select = {.sources = SELECT_QUEUE | SELECT_STORE,
		       .states = SELECT_STATE(DONE) | SELECT_STATE(FAILED) | SELECT_STATE(CANCELLED),
		       .unasked = SELECT_STATE(DONE)},
	    .store = true,
	    .mode = STORE_READ,
	    .act = fetch_one};
	struct error err = {0};
	const char *output = cli_value(cli, "output");
	bool one = cli->arg_count == 1 && strcmp(cli->args[0], "-") != 0;
	int status = output_check(cli, &err);
	if (!status && !one && output && !cli_is_folder(output))
		status = error_set(
		    &err, SUMI_INVALID,
		    "the files of several jobs need a folder: -o %s is none (a new one ends in /)",
		    output);
	return status ? cli_error(cli, &err) : each_selected(cli, &rule, NULL);
}

/* xdg-open, so that the desktop's own viewer shows it. */
static int open_file(const char *path, struct error *err)
{
	int result;
	pid_t child = fork();
	if (child < 0)
		return error_errno(err, "starting xdg-open");
	if (child == 0) {
		execlp("xdg-open", "xdg-open", path, (char *)NULL);
		_exit(127);
	}
	waitpid(child, &result, 0);
	if (WIFEXITED(result) && WEXITSTATUS(result) == 0)
		return SUMI_OK;
	return error_set(err, SUMI_UNSUPPORTED, "no viewer could be started; the file is %s", path);
}

static int run_open(struct cli *cli)
{
	struct error err = {0};
	struct store *store;
	struct store_artifact *list = NULL;
	size_t count = 0;
	int status = cli_store(cli, &store, &err);
	if (status)
		return cli_error(cli, &err);
	status = store_artifacts(store, cli->args[0], false, &list, &count, &err);
	if (!status && count == 0)
		status = error_set(&err, SUMI_NOTFOUND, "%s has no files here", cli->args[0]);
	for (size_t i = 0; i < count && !status; i++)
		if (strcmp(list[i].role, "main") == 0)
			status = open_file(list[i].path, &err);
	store_artifacts_free(list, count);
	store_close(store);
	return status ? cli_error(cli, &err) : EXIT_OK;
}

static int cancel_one(struct each *e, const char *id, struct error *err)
{
	static const char *const words[] = {
	    [QUEUE_CANCELLED] = "cancelled",
	    [QUEUE_CANCELLING] = "cancelling",
	};
	enum queue_cancel_result result;
	char last[JOB_ID_SIZE];
	int status = queue_cancel_series(e->queue, id, &result, last, err);
	if (!status && result == QUEUE_CANCEL_TOO_LATE)
		status = error_set(err, SUMI_INVALID, "%s has ended already", id);
	if (status)
		return status;
	each_tell(e, id, words[result],
		  *last ? json_pack("{s:s}", "series_ends_with", last) : NULL);
	if (*last && !e->cli->json && !e->cli->quiet)
		printf("%s: with it its series ends\n", last);
	return SUMI_OK;
}

static int retry_one(struct each *e, const char *id, struct error *err)
{
	struct queue_entry entry;
	int status = queue_retry(e->queue, id, err);
	if (!status)
		status = queue_get(e->queue, id, &entry, err);
	if (status)
		return status;
	each_tell(e, id, job_state_word(entry.state), NULL);
	queue_entry_clear(&entry);
	return SUMI_OK;
}

static int run_cancel(struct cli *cli)
{
	static const struct each_rule rule = {
	    .select = {.sources = SELECT_QUEUE, .states = ALIVE_STATES, .unasked = ALIVE_STATES},
	    .queue = true,
	    .act = cancel_one};
	return each_selected(cli, &rule, NULL);
}

/* Delayed jobs have a time that somebody chose: they are due now only where that is said. */
static int run_retry(struct cli *cli)
{
	static const struct each_rule rule = {
	    .select = {.sources = SELECT_QUEUE,
		       .states = SELECT_STATE(FAILED) | SELECT_STATE(CANCELLED) |
				 SELECT_STATE(DELAYED),
		       .unasked = SELECT_STATE(FAILED) | SELECT_STATE(CANCELLED)},
	    .queue = true,
	    .act = retry_one};
	return each_selected(cli, &rule, NULL);
}

static int pause_or_resume(struct cli *cli, bool pause)
{
	struct error err = {0};
	struct queue *queue;
	int status = cli_queue(cli, &queue, &err);
	if (status)
		return cli_error(cli, &err);
	status = pause ? queue_pause(queue, cli->arg_count ? cli->args[0] : "", &err)
		       : queue_resume(queue, &err);
	queue_close(queue);
	if (status)
		return cli_error(cli, &err);
	if (cli->json)
		return cli_print_json(json_pack("{s:b}", "paused", (int)pause));
	if (!cli->quiet)
		printf("%s\n", pause ? "paused: what runs goes on, nothing new is begun"
				     : "the queue goes on");
	return EXIT_OK;
}

static int run_pause(struct cli *cli)
{
	return pause_or_resume(cli, true);
}

static int run_resume(struct cli *cli)
{
	return pause_or_resume(cli, false);
}

static const struct cli_option wait_options[] = {
    {"timeout", 't', "TIME", "give up after so long: 90s, 15m"}, {NULL, 0, NULL, NULL}};

static const struct cli_option fetch_options[] = {
    {"output", 'o', "FILE|DIR|-", "where to (default: the present folder)"},
    SELECT_OPTIONS,
    {NULL, 0, NULL, NULL}};

static const struct cli_option select_options[] = {SELECT_OPTIONS, {NULL, 0, NULL, NULL}};

const struct verb verb_watch = {.name = "watch",
				.arguments = "ID…|-",
				.summary = "follow jobs to their end, with progress and previews",
				.options = wait_options,
				.min_args = 1,
				.max_args = -1,
				.run = run_watch};

const struct verb verb_wait = {.name = "wait",
			       .arguments = "ID…|-",
			       .summary = "wait for jobs to end; the exit code says how",
			       .options = wait_options,
			       .min_args = 1,
			       .max_args = -1,
			       .run = run_wait};

const struct verb verb_fetch = {.name = "fetch",
				.arguments = SELECT_ARGUMENTS " [-o FILE|DIR|-]",
				.summary = "save the results of finished jobs",
				.options = fetch_options,
				.max_args = -1,
				.run = run_fetch};

const struct verb verb_open = {.name = "open",
			       .arguments = "ID",
			       .summary = "show a job's results in the desktop's viewer",
			       .min_args = 1,
			       .max_args = 1,
			       .run = run_open};

const struct verb verb_cancel = {.name = "cancel",
				 .arguments = SELECT_ARGUMENTS,
				 .summary =
				     "stop jobs: waiting ones at once, running ones within a step",
				 .options = select_options,
				 .max_args = -1,
				 .run = run_cancel};

const struct verb verb_retry = {.name = "retry",
				.arguments = SELECT_ARGUMENTS,
				.summary = "run failed or cancelled jobs again; delayed ones now",
				.options = select_options,
				.max_args = -1,
				.run = run_retry};

const struct verb verb_pause = {.name = "pause",
				.arguments = "[REASON]",
				.summary = "begin nothing new until sumi resume",
				.max_args = 1,
				.run = run_pause};

const struct verb verb_resume = {
    .name = "resume", .arguments = "", .summary = "end a pause", .max_args = 0, .run = run_resume};
