/* sumi submit and batch: jobs as JSON or CSV into the queue. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/inputs.h"
#include "cli/preflight.h"
#include "cli/verbs.h"

enum {
	FILE_LIMIT = 256 << 20,
	CHUNK = 1000 /* jobs that are checked and sent together */
};

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* Jobs that were parsed and are yet to be sent. */
struct load {
	struct cli *cli;
	struct queue *queue;
	struct job jobs[CHUNK];
	size_t count;
	size_t sent;
	bool dry;     /* jobs are looked at, not sent */
	int code;     /* of what has been told already */
	json_t *ids;  /* with --json */
	json_t *told; /* models that were asked about */
	json_t *seen; /* files to start from that were checked, and that were sent */
	json_t *after; /* jobs that others wait for */
};

static int flush(struct load *l, struct error *err)
{
	size_t sent = 0;
	int status = queue_submit_many(l->queue, l->jobs, l->count, &sent, err);
	for (size_t i = 0; i < l->count; i++) {
		if (i < sent) {
			preflight_warn(l->cli, l->queue, &l->jobs[i], l->told);
			preflight_note_after(l->after, &l->jobs[i]);
		}
		if (i < sent && l->ids)
			json_array_append_new(
			    l->ids, json_pack("{s:s, s:s, s:s}", "id", l->jobs[i].id, "modality",
					      l->jobs[i].modality, "prompt",
					      l->jobs[i].prompt ? l->jobs[i].prompt : ""));
		else if (i < sent)
			printf("%s\n", l->jobs[i].id);
		job_clear(&l->jobs[i]);
	}
	l->sent += sent;
	l->count = 0;
	return status;
}

/* Paths in a list count from where it lies, those of options from here. */
static int take_init(struct load *l, struct job *job, const char *where, struct error *err)
{
	char folder[FILES_PATH_MAX];
	const char *slash = where ? strrchr(where, '/') : NULL;
	int status = files_path(folder, err, "%.*s", slash ? (int)(slash - where) + !(slash - where) : 0,
				slash ? where : "");
	const char *from = slash ? folder : NULL;
	if (status)
		return status;
	return l->dry ? inputs_check(job, from, l->seen, err)
		      : inputs_send(l->cli, l->queue, job, from, l->seen, err);
}

/* Options of the command line are defaults for jobs that do not say otherwise. */
static int add_job(struct load *l, json_t *object, const char *where, long line, struct error *err)
{
	int status;
	bool own_init = json_object_get(object, "init") != NULL;
	if (!json_is_object(object)) {
		status = error_set(err, SUMI_INVALID, "a job is a JSON object, not this");
	} else {
		json_object_update_missing(object, l->cli->fields);
		if (!json_object_get(object, "modality"))
			json_object_set_new(object, "modality", json_string("image"));
		status = job_parse_object(object, &l->jobs[l->count], err);
		if (!status && (status = take_init(l, &l->jobs[l->count],
						   line && own_init ? where : NULL, err)))
			job_clear(&l->jobs[l->count]);
	}
	json_decref(object);
	if (status)
		return line ? error_prefix(err, "%s:%ld", where, line) : status;
	if (l->dry) {
		job_clear(&l->jobs[l->count]);
		return SUMI_OK;
	}
	if (++l->count == CHUNK)
		return flush(l, err);
	return SUMI_OK;
}

static int add_jsonl(struct load *l, char *text, const char *path, struct error *err)
{
	int status = SUMI_OK;
	long line = 0;
	for (char *at = text, *next; at && !status; at = next) {
		line++;
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		if (at[strspn(at, " \t\r")] == '\0')
			continue;
		json_t *object;
		status = json_read_text(at, strlen(at), path, &object, err);
		if (status)
			return error_set(err, SUMI_INVALID, "%s:%ld: not JSON: %.300s", path, line,
					 err->text);
		status = add_job(l, object, path, line, err);
	}
	return status;
}

/* One field of a CSV line (RFC 4180), unquoted in place; *at moves behind it. Newlines inside
 * quotes count on *line. NULL for a quote that is never closed. */
static char *csv_field(char **at, long *line, bool *last)
{
	char *p = *at, *out = p, *start = p;
	bool quoted = *p == '"';
	if (quoted)
		p++;
	while (*p) {
		if (quoted && *p == '"' && p[1] == '"') {
			p++;
		} else if (quoted && *p == '"') {
			quoted = false;
			p++;
			continue;
		} else if (!quoted && (*p == ',' || *p == '\n')) {
			break;
		} else if (*p == '\n') {
			(*line)++;
		}
		*out++ = *p++;
	}
	if (quoted)
		return NULL;
	*last = *p != ',';
	if (*p)
		p++;
	if (out > start && *last && out[-1] == '\r')
		out--;
	*out = '\0';
	*at = p;
	return start;
}

enum { COLUMNS = 64 };

static int open_quote(const char *path, long line, struct error *err)
{
	return error_set(err, SUMI_INVALID, "%s:%ld: a quote is opened and never closed", path,
			 line);
}

static int csv_header(char **at, long *line, const struct param *columns[COLUMNS], int *count,
		      const char *path, struct error *err)
{
	bool last = false;
	for (*count = 0; !last; (*count)++) {
		char *name = csv_field(at, line, &last);
		if (!name)
			return open_quote(path, 1, err);
		if (*count == COLUMNS)
			return error_set(err, SUMI_TOOBIG, "%s:1: more than %d columns", path,
					 COLUMNS);
		columns[*count] = param_find(name);
		if (!columns[*count]) {
			const char *near = param_nearest(name);
			return error_set(err, SUMI_INVALID, "%s:1: there is no field '%.60s'%s%s",
					 path, name, near ? ", did you mean " : "",
					 near ? near : "");
		}
		for (int i = 0; i < *count; i++)
			if (columns[i] == columns[*count])
				return error_set(err, SUMI_INVALID, "%s:1: two columns are '%s'",
						 path, name);
	}
	return SUMI_OK;
}

static int add_csv(struct load *l, char *text, const char *path, struct error *err)
{
	const struct param *columns[COLUMNS];
	long line = 1;
	if (!*text)
		return error_set(err, SUMI_INVALID,
				 "%s: is empty: its first line names the columns", path);
	int count, status = csv_header(&text, &line, columns, &count, path, err);
	while (!status && *text) {
		json_t *object = json_object();
		bool last = false;
		long first = ++line;
		for (int i = 0; !last && !status; i++) {
			char *value = csv_field(&text, &line, &last);
			json_t *v;
			if (!value) {
				status = open_quote(path, first, err);
			} else if (i >= count) {
				status = error_set(err, SUMI_INVALID,
						   "%s:%ld: more fields than columns", path, first);
			} else if (*value) {
				status = param_from_text(columns[i], value, strlen(value), &v, err);
				if (status)
					error_prefix(err, "%s:%ld", path, first);
				else
					json_object_set_new(object, columns[i]->name, v);
			}
		}
		if (status || json_object_size(object) == 0)
			json_decref(object);
		else
			status = add_job(l, object, path, first, err);
	}
	return status;
}

/* A file of jobs, read once: it may be a pipe. */
struct source {
	const char *shown;
	bool csv;
	char *text;
	char *first; /* within text */
};

static int parse_source(struct load *l, const struct source *s, char *text, struct error *err)
{
	return s->csv ? add_csv(l, text, s->shown, err) : add_jsonl(l, text, s->shown, err);
}

/* Looks at every job before the first is sent: a file that is half in the queue can be neither
 * sent again nor left. */
static int check_source(struct load *l, const struct source *s, struct error *err)
{
	char *copy = strdup(s->first);
	if (!copy)
		return error_set(err, SUMI_NOMEM, "out of memory");
	l->dry = true;
	int status = parse_source(l, s, copy, err);
	l->dry = false;
	free(copy);
	return status;
}

/* The caller frees s->text, also on failure. */
static int read_source(struct load *l, const char *path, struct source *s, struct error *err)
{
	bool standard = strcmp(path, "-") == 0;
	size_t size, n = strlen(path), mark = strlen(BYTE_ORDER_MARK);
	s->shown = standard ? "standard input" : path;
	s->csv = n > 4 && strcasecmp(path + n - 4, ".csv") == 0;
	int status = files_read(standard ? "/dev/stdin" : path, FILE_LIMIT, &s->text, &size, err);
	if (status)
		return status;
	if (memchr(s->text, 0, size))
		return error_set(err, SUMI_INVALID,
				 "%s: has NUL bytes: save it as UTF-8, not as UTF-16", s->shown);
	/* Spreadsheets begin what they export with a mark. */
	s->first = strncmp(s->text, BYTE_ORDER_MARK, mark) ? s->text : s->text + mark;
	return check_source(l, s, err);
}

static int add_files(struct load *l, const char *const *paths, int count, struct error *err)
{
	struct source *sources = calloc((size_t)count + 1, sizeof *sources);
	int status = sources ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
	for (int i = 0; i < count && !status; i++)
		status = read_source(l, paths[i], &sources[i], err);
	for (int i = 0; i < count && !status; i++)
		status = parse_source(l, &sources[i], sources[i].first, err);
	for (int i = 0; i < count && sources; i++)
		free(sources[i].text);
	free(sources);
	return status;
}

static int by_ending(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');
	return dot && e->d_name[0] != '.' &&
	       (!strcasecmp(dot, ".jsonl") || !strcasecmp(dot, ".csv"));
}

/* Sends a file of a folder and renames it to NAME.queued. A file that is wrong is told of and
 * left: those behind it shall not wait for its mending. */
static int add_queued(struct load *l, const char *path, struct error *err)
{
	char queued[FILES_PATH_MAX];
	struct source s = {0};
	int status = files_path(queued, err, "%s.queued", path);
	if (!status && (status = read_source(l, path, &s, err))) {
		int code = cli_error(l->cli, err);
		l->code = code > l->code ? code : l->code;
		status = SUMI_OK;
	} else if (!status && !(status = parse_source(l, &s, s.first, err)) &&
		   !(status = flush(l, err)) && rename(path, queued) != 0) {
		status = error_errno(err, "renaming %s", path);
	}
	free(s.text);
	return status;
}

/* A second run finds only what is new. */
static int add_folder(struct load *l, const char *folder, struct error *err)
{
	struct dirent **entries;
	int status = SUMI_OK, n = scandir(folder, &entries, by_ending, alphasort);
	if (n < 0)
		return error_errno(err, "%s", folder);
	for (int i = 0; i < n; i++) {
		char path[FILES_PATH_MAX];
		if (!status && !(status = files_path(path, err, "%s/%s", folder, entries[i]->d_name)))
			status = add_queued(l, path, err);
		free(entries[i]);
	}
	free(entries);
	return status;
}

static int finish_load(struct load *l, int status, struct error *err)
{
	/* What is in the queue stays there: say how much it is. */
	if (!status && l->count)
		status = flush(l, err);
	while (l->count)
		job_clear(&l->jobs[--l->count]);
	if (status && l->sent)
		error_prefix(err, "%zu jobs are in the queue, then", l->sent);
	int code = status ? cli_error(l->cli, err) : l->code;
	if (l->ids)
		cli_print_json(json_incref(l->ids));
	else if (!status && !l->cli->quiet && l->sent > 1)
		fprintf(stderr, "%zu jobs queued\n", l->sent);
	json_decref(l->ids);
	if (l->queue)
		preflight_warn_after(l->cli, l->queue, l->after);
	json_decref(l->told);
	json_decref(l->seen);
	json_decref(l->after);
	queue_close(l->queue);
	free(l);
	return code;
}

static int run_batch(struct cli *cli)
{
	struct error err = {0};
	struct load *l = calloc(1, sizeof *l);
	const char *folder = cli_value(cli, "folder");
	if (!l) {
		error_set(&err, SUMI_NOMEM, "out of memory");
		return cli_error(cli, &err);
	}
	l->cli = cli;
	l->ids = cli->json ? json_array() : NULL;
	l->told = json_object();
	l->seen = json_object();
	l->after = json_object();
	int status = SUMI_OK;
	if (!folder && cli->arg_count == 0)
		status = error_set(&err, SUMI_INVALID, "name a file, '-' or --folder DIR");
	if (!status)
		status = cli_queue(cli, &l->queue, &err);
	if (!status)
		status = add_files(l, cli->args, cli->arg_count, &err);
	if (!status && folder)
		status = add_folder(l, folder, &err);
	return finish_load(l, status, &err);
}

static int run_submit(struct cli *cli)
{
	struct error err = {0};
	struct load *l = calloc(1, sizeof *l);
	if (!l) {
		error_set(&err, SUMI_NOMEM, "out of memory");
		return cli_error(cli, &err);
	}
	l->cli = cli;
	l->ids = cli->json ? json_array() : NULL;
	l->told = json_object();
	l->seen = json_object();
	l->after = json_object();
	int status = cli_queue(cli, &l->queue, &err);
	if (!status && strcmp(cli->args[0], "-") == 0) {
		status = add_files(l, cli->args, 1, &err);
	} else if (!status) {
		json_t *object;
		status = json_read_text(cli->args[0], strlen(cli->args[0]), "job", &object, &err);
		if (!status)
			status = add_job(l, object, "job", 0, &err);
	}
	return finish_load(l, status, &err);
}

const struct verb verb_submit = {
    .name = "submit",
    .arguments = "JSON|- [options]",
    .summary = "put a job into the queue as it is written in JSON; prints its id",
    .job_options = true,
    .min_args = 1,
    .max_args = 1,
    .run = run_submit,
    .more = "  sumi submit '{\"modality\":\"image\",\"prompt\":\"fog over a lake\"}'\n"
	    "Options fill in what the JSON leaves out. '-' reads one object a line.\n",
};

static const struct cli_option batch_options[] = {
    {"folder", 0, "DIR", "every *.jsonl and *.csv in DIR; each is renamed to NAME.queued"},
    {NULL, 0, NULL, NULL}};

const struct verb verb_batch = {
    .name = "batch",
    .arguments = "FILE.jsonl|FILE.csv… [options]",
    .summary = "put many jobs into the queue; prints their ids",
    .options = batch_options,
    .job_options = true,
    .min_args = 0,
    .max_args = -1,
    .run = run_batch,
    .more = "A CSV file's first line names the fields: prompt,seed,steps\n"
	    "Options are for jobs that do not say otherwise.\n",
};
