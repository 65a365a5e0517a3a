/* Waiting for a job. The event stream is the bell, the job's hash the truth. */
#include "cli/follow.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cli/output.h"
#include "cli/preview.h"
#include "queue/describe.h"

enum {
	WAKE_MS = 500, /* look at the job at least so often */
	BAR_CELLS = 24,
	PREVIEW_ROWS = 12,
	PUZZLED_MS = 3000, /* waiting for so long, a person wants to know what for */
	AWAY_MS = 600000   /* a queue that does not answer for so long is gone */
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

struct view {
	struct cli *cli;
	bool terminal, previews, events;
	enum job_state last_state;
	bool shown;       /* a bar stands on the present line */
	int preview_rows; /* of the preview above the bar */
	bool explained;
	bool known;                /* the queue has told of the job */
	int64_t start, away_since; /* boot clock; 0: the queue is there */
};

static int terminal_columns(void)
{
	struct winsize size = {0};
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* On one line, however narrow: a line that wraps could not be wiped. */
static void draw_bar(struct view *v, const struct queue_entry *e)
{
	char bar[BAR_CELLS + 1], eta[32] = "", rest[160], line[320];
	int64_t n = e->job.n > 0 ? e->job.n : 1;
	double part = e->steps > 0 ? (double)e->step / (double)e->steps : 0;
	int columns = terminal_columns();
	if (isfinite(e->eta_s) && e->eta_s >= 1)
		snprintf(eta, sizeof eta, "  %.0f s left", e->eta_s);
	snprintf(rest, sizeof rest, "%s %lld/%lld step %lld/%lld%s", job_state_word(e->state),
		 (long long)e->variants, (long long)n, (long long)e->step, (long long)e->steps, eta);
	int cells = columns - 1 - (int)(strlen(e->id) + strlen(" [] ") + strlen(rest));
	const char *id = e->id;
	if (cells < 4) { /* what moves is worth more than the name */
		id = "";
		snprintf(rest, sizeof rest, "%lld/%lld", (long long)e->step, (long long)e->steps);
		cells = columns - 1 - (int)(strlen(" [] ") + strlen(rest));
	}
	cells = cells > BAR_CELLS ? BAR_CELLS : cells < 4 ? 4 : cells;
	int filled =
	    (int)(cells * ((double)e->variants + (e->variants < n ? part : 0)) / (double)n);
	for (int i = 0; i < cells; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[cells] = '\0';
	snprintf(line, sizeof line, "%s%s[%s] %s", id, *id ? " " : "", bar, rest);
	fprintf(stderr, "\r\033[K%.*s", columns - 1, line);
	v->shown = true;
}

static void show(struct view *v, const struct queue_entry *e)
{
	if (v->cli->quiet || v->cli->json)
		return;
	if (v->terminal)
		draw_bar(v, e);
	else if (e->state != v->last_state)
		fprintf(stderr, "%s %s\n", e->id, job_state_word(e->state));
	v->last_state = e->state;
}

static void end_line(struct view *v)
{
	if (v->shown)
		fprintf(stderr, "\r\033[K");
	v->shown = false;
}

/* Once, and only when there is a reason that a person can do something about. */
static void explain_waiting(struct view *v, struct queue *queue, const struct queue_entry *e)
{
	struct queue_stats stats;
	struct error ignored;
	bool served = true;
	struct queue_troubles troubles = {0};
	char why[QUEUE_WAITS_SIZE] = "";
	if (v->explained || v->cli->quiet || v->cli->json)
		return;
	if (queue_troubles(queue, &troubles, &ignored) == SUMI_OK)
		queue_waits(&troubles, e, why);
	if (!*why && e->state == JOB_BLOCKED)
		queue_waits_after(queue, &e->job, why, &ignored);
	if (!*why && e->state != JOB_READY)
		return;
	v->explained = true;
	if (*why) {
		end_line(v);
		utf8_make_printable(why);
		fprintf(stderr, "%s waits: %s\n", e->id, why);
		return;
	}
	if (queue_stats(queue, &stats, &ignored) ||
	    queue_served(queue, e->job.modality, e->job.model, &served, &ignored))
		return;
	end_line(v);
	utf8_make_printable(stats.pause_reason);
	if (stats.paused)
		fprintf(stderr, "it waits: the queue is paused%s%s (sumi resume ends that)\n",
			stats.pause_reason[0] ? ": " : "", stats.pause_reason);
	else if (stats.workers == 0)
		fprintf(
		    stderr,
		    "it waits: no worker is alive (is sumid running? if so, its log says why)\n");
	else if (!served)
		fprintf(stderr, "it waits: no living worker has its model (sumi status)\n");
	else if (e->job.window)
		fprintf(stderr, "it waits for its window, %s\n", e->job.window);
}

static void show_preview(struct view *v, const struct queue_event *event)
{
	struct error ignored;
	if (!v->previews)
		return;
	for (size_t i = 0; i < event->field_count; i++)
		if (strcmp(event->fields[i].name, "webp") == 0) {
			end_line(v);
			/* over the one before */
			if (v->preview_rows)
				fprintf(stderr, "\033[%dA", v->preview_rows);
			preview_draw(event->fields[i].value, event->fields[i].size, PREVIEW_ROWS,
				     &v->preview_rows, &ignored);
		}
}

/* Programs read line by line, so each goes out at once. */
static void print_event(const struct view *v, const struct queue_event *event)
{
	json_t *o = v->events ? queue_event_json(event) : NULL;
	if (!o)
		return;
	char *text = json_text(o, JSON_COMPACT);
	json_decref(o);
	if (text)
		puts(text);
	fflush(stdout);
	free(text);
}

static int take_events(struct view *v, struct queue_follower *follower, int timeout,
		       struct error *err)
{
	struct queue_event event;
	int status;
	while ((status = queue_follow_next(follower, timeout, &event, err)) == SUMI_OK) {
		show_preview(v, &event);
		print_event(v, &event);
		queue_event_clear(&event);
		timeout = 1; /* what else is there already */
	}
	return status == SUMI_TIMEOUT ? SUMI_OK : status;
}

/* A queue that is away for a while, restarted or behind a network that breaks, comes back, and the
 * job has gone on meanwhile: whoever waits for it through the night shall not be the one to give
 * up. */
static bool may_come_back(struct view *v)
{
	int64_t now = clock_boot_ms();
	if (!v->away_since) {
		v->away_since = now;
		end_line(v);
		if (!v->cli->quiet)
			fprintf(stderr, "the queue does not answer: waiting for it\n");
	}
	clock_sleep_ms(WAKE_MS);
	return now - v->away_since < AWAY_MS;
}

int admit_sent(struct queue *queue, struct error *err)
{
	enum { MOST = 1000 };
	struct queue_admitted admitted;
	return queue_admit(queue, MOST, &admitted, err);
}

int find_entry(struct queue *queue, const char *id, struct queue_entry *entry, struct error *err)
{
	int status = queue_get(queue, id, entry, err);
	/* It may have been taken out of the intake, by this call or by the daemon, since. Where that is refused
	 * it may lie there: nobody knows that there is no such job. */
	if (status != SUMI_NOTFOUND || (status = admit_sent(queue, err)))
		return status;
	return queue_get(queue, id, entry, err);
}

/* Shows where the job stands and waits for what happens next. *ended: entry is the last one, the
 * caller's; otherwise it is cleared. */
static int look(struct view *v, struct queue *queue, const char *id,
		struct queue_follower *follower, struct queue_entry *entry, bool *ended,
		struct error *err)
{
	struct error ignored;
	int status = find_entry(queue, id, entry, err);
	bool unseen = status == SUMI_NOTFOUND || (status && queue_refusal(queue));
	if (unseen && !v->known && clock_boot_ms() - v->start < 10 * WAKE_MS)
		return take_events(v, follower, WAKE_MS, err); /* sent, and far back in the intake */
	if (status == SUMI_CONNECT && may_come_back(v))
		return SUMI_OK;
	if (status)
		return status;
	v->known = true;
	v->away_since = 0;
	show(v, entry);
	*ended = job_state_is_final(entry->state);
	if (*ended) {
		if (v->events)
			take_events(v, follower, 1, &ignored);
		return SUMI_OK;
	}
	if (clock_boot_ms() - v->start > PUZZLED_MS)
		explain_waiting(v, queue, entry);
	queue_entry_clear(entry);
	status = take_events(v, follower, WAKE_MS, err);
	return status == SUMI_CONNECT ? SUMI_OK : status; /* the next look tells, if it lasts */
}

int follow_job(struct cli *cli, struct queue *queue, const char *id,
	       const struct follow_options *options, struct queue_entry *entry, struct error *err)
{
	struct view v = {.cli = cli,
			 .terminal = isatty(STDERR_FILENO),
			 .last_state = JOB_STATES,
			 .start = clock_boot_ms()};
	struct sigaction act = {.sa_handler = on_interrupt}, old;
	struct queue_follower *follower = NULL;
	bool ended = false;
	v.previews =
	    options->previews && v.terminal && !cli->quiet && !cli->json && preview_possible();
	v.events = options->events && cli->json;
	sigaction(SIGINT, &act, &old);
	int status;
	while ((status = queue_follow(queue, id, "0", &follower, err)) == SUMI_CONNECT && !interrupted &&
	       !(options->until_ms && clock_boot_ms() > options->until_ms) && may_come_back(&v))
		;
	while (!status) {
		status = look(&v, queue, id, follower, entry, &ended, err);
		if (ended)
			break;
		if (!status && interrupted)
			status =
			    error_set(err, SUMI_BUSY,
				      "the job goes on: sumi watch %s, sumi cancel %s", id, id);
		if (!status && options->until_ms && clock_boot_ms() > options->until_ms)
			status = error_set(err, SUMI_TIMEOUT, "%s is not done yet", id);
	}
	end_line(&v);
	queue_follow_close(follower);
	sigaction(SIGINT, &old, NULL);
	return status;
}

static int copy_artifact(const struct store_artifact *a, const char *output, const char *to,
			 struct error *err)
{
	enum { ARTIFACT_LIMIT = 1 << 30 };
	char *data, sha256[SHA256_HEX_SIZE];
	size_t size;
	int status = files_read(a->path, ARTIFACT_LIMIT, &data, &size, err);
	if (status)
		return status;
	sha256_hex(data, size, sha256);
	if (strcmp(sha256, a->sha256) != 0)
		status = error_set(err, SUMI_CORRUPT,
				   "%s is damaged: send the job again under another id", a->path);
	else
		status = output_write(output, to, data, size, err);
	free(data);
	return status;
}

static int fetch_one(struct cli *cli, const struct store_artifact *a, const char *output,
		     json_t *paths, struct error *err)
{
	char path[FILES_PATH_MAX];
	struct output_part part = {a->job, a->variant, a->role, a->format, a->number};
	int status = output_path(output, &part, path, err);
	if (!status && output && output[strlen(output) - 1] == '/')
		status = files_make_dirs(output, 0777, err);
	if (!status)
		status = copy_artifact(a, output, path, err);
	if (status || output_is_standard(output))
		return status;
	if (paths)
		json_array_append_new(paths,
				      json_pack("{s:s, s:s, s:s, s:i, s:I}", "path", path, "sha256",
						a->sha256, "role", a->role, "variant", a->variant,
						"bytes", (json_int_t)a->bytes));
	if (!cli->json)
		printf("%s\n", path);
	return SUMI_OK;
}

/* What -o says against what there is. *only: the one file that goes to standard output; -1: all. */
static int choose_files(const char *id, const char *output, const struct store_artifact *list,
			size_t count, int *only, struct error *err)
{
	int mains = 0;
	*only = -1;
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].role, "main") == 0) {
			*only = (int)i;
			mains++;
		}
	if (!output_is_standard(output)) {
		const char *format = list[*only >= 0 ? *only : 0].format;
		*only = -1;
		return output_fits(output, format, err);
	}
	return mains == 1 ? SUMI_OK
			  : error_set(err, SUMI_INVALID,
				      "%s has %d files, which do not fit into standard output: give "
				      "-o a folder",
				      id, mains ? mains : (int)count);
}

int fetch_files(struct cli *cli, const char *id, const char *output, json_t *paths,
		struct error *err)
{
	struct store *store;
	struct store_artifact *list = NULL;
	size_t count = 0;
	int only = -1, status = cli_store(cli, &store, err);
	if (status)
		return status;
	status = store_artifacts(store, id, false, &list, &count, err);
	if (status == SUMI_NOTFOUND || (!status && count == 0))
		status = error_set(err, SUMI_NOTFOUND,
				   "%.64s has no files here yet (sumi show says why); made on "
				   "another host, it is fetched there, or with --state-dir",
				   id);
	if (!status)
		status = choose_files(id, output, list, count, &only, err);
	for (size_t i = 0; i < count && !status; i++)
		if (only < 0 || (size_t)only == i)
			status = fetch_one(cli, &list[i], output, paths, err);
	store_artifacts_free(list, count);
	store_close(store);
	return status;
}

int report_end(struct cli *cli, const struct queue_entry *entry)
{
	struct error err = {0};
	if (entry->state == JOB_DONE)
		return EXIT_OK;
	if (entry->state == JOB_CANCELLED) {
		error_set(&err, SUMI_CANCELLED, "%s was cancelled", entry->id);
		cli_error(cli, &err);
		return EXIT_JOB_CANCELLED;
	}
	error_set(&err, SUMI_INTERNAL, "%s failed: %s", entry->id,
		  entry->error ? entry->error : "no reason was given");
	cli_error(cli, &err);
	return EXIT_JOB_FAILED;
}

static int follow_and_fetch(struct cli *cli, struct queue *queue, const char *id,
			    const char *output)
{
	struct error err = {0};
	struct queue_entry entry;
	struct follow_options options = {.previews = true};
	json_t *paths = cli->json ? json_array() : NULL;
	int status = follow_job(cli, queue, id, &options, &entry, &err);
	if (status) {
		int code = cli_error(cli, &err);
		json_decref(paths);
		return status == SUMI_BUSY ? EXIT_INTERRUPTED : code;
	}
	int code = report_end(cli, &entry);
	if (code == EXIT_OK && (status = fetch_files(cli, id, output, paths, &err))) {
		error_set(&err, status, "%s (the result is kept: sumi fetch %s -o FILE)", err.text,
			  id);
		code = cli_error(cli, &err);
	}
	if (cli->json && code == EXIT_OK)
		cli_print_json(json_pack("{s:s, s:s, s:s, s:s?, s:o}", "id", id, "state",
					 job_state_word(entry.state), "modality",
					 entry.job.modality, "prompt", entry.job.prompt, "files",
					 json_incref(paths)));
	json_decref(paths);
	queue_entry_clear(&entry);
	return code;
}

int follow_submitted(struct cli *cli, struct queue *queue, const char *id)
{
	if (!cli_value(cli, "detach"))
		return follow_and_fetch(cli, queue, id, cli_value(cli, "output"));
	if (cli->json)
		return cli_print_json(json_pack("{s:s}", "id", id));
	printf("%s\n", id);
	return EXIT_OK;
}
