/* sumi submit and batch: lists of jobs into the queue. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/inputs.h"
#include "cli/lists.h"
#include "cli/preflight.h"
#include "cli/size.h"
#include "cli/verbs.h"
#include "cli/when.h"

enum { CHUNK = 1000 /* jobs that are sent together */ };

/* Jobs that were parsed and are yet to be sent. */
struct load {
	struct cli *cli;
	struct queue *queue;
	struct job jobs[CHUNK];
	size_t count;
	size_t sent;
	size_t checked;     /* of the list that is looked at */
	bool dry;           /* jobs are looked at, not sent */
	bool linking;       /* the same, when all are known: for what they name of each other */
	bool links;         /* some name results of jobs */
	struct list *list;  /* whose jobs they are; NULL: of the command line */
	int code;           /* of what has been told already */
	json_t *ids;        /* with --json */
	json_t *told;       /* models that were asked about */
	json_t *seen;       /* files to start from that were checked, and that were sent */
	json_t *after;      /* jobs that others wait for */
	json_t *ids_seen;   /* of all lists: id → where it stands */
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

/* What a list that does not say makes: by a field or a word that one modality alone has, or by the
 * model. NULL: there is no telling. */
static const char *implied(struct load *l, const json_t *fields)
{
	const char *given = json_string_value(json_object_get(fields, "modality"));
	const char *model = json_string_value(json_object_get(fields, "model"));
	if (!given)
		given = job_implied_modality(fields);
	else if (param_word(param_find("modality"), given))
		given = param_word(param_find("modality"), given);
	if (!given && model) {
		const struct pack_info *pack = admission_named(&l->cli->admission, model);
		given = pack ? pack->modality : NULL;
	}
	return given;
}

/* Options of the command line are for jobs that do not say otherwise and that have such a thing. */
static void add_defaults(struct load *l, json_t *object)
{
	const char *name, *modality = implied(l, object);
	json_t *value;
	if (!modality)
		modality = implied(l, l->cli->fields);
	if (!modality)
		modality = modality_names[0];
	unsigned mask = param_modality(modality);
	if (!json_object_get(object, "modality"))
		json_object_set_new(object, "modality", json_string(modality));
	json_object_foreach(l->cli->fields, name, value)
	{
		const struct param *p = param_find(name);
		bool fits = !mask || p->modalities & mask;
		if (fits && mask && p->words)
			fits = param_has_word(p, mask, json_string_value(value));
		if (fits && !json_object_get(object, name))
			json_object_set(object, name, value);
	}
}

/* Of two jobs with one id the queue makes one: in a list that is a mistake. */
static int check_id(struct load *l, const struct job *job, const char *place, struct error *err)
{
	const char *before = job->id ? json_string_value(json_object_get(l->ids_seen, job->id)) : NULL;
	if (before)
		return error_set(err, SUMI_INVALID, "job: field 'id' is '%s', as that of %s", job->id,
				 before);
	if (job->id)
		json_object_set_new(l->ids_seen, job->id, json_string(place));
	return SUMI_OK;
}

/* All that sumi image would say; a model that is not here may come. */
static int check_job(struct load *l, const struct job *job, const char *place, struct error *err)
{
	int status = job_check(job, err);
	if (!status && admission_check(&l->cli->admission, job, err))
		status = error_prefix(err, "job");
	return status ? status : check_id(l, job, place, err);
}

static bool is_listed(void *context, const char *id)
{
	const struct load *l = context;
	return json_object_get(l->ids_seen, id) != NULL;
}

static bool names_files(const struct job *job)
{
	struct request_file f;
	return request_file(&job->request, 0, &f);
}

/* Paths in a list count from where it lies, those of options from here: own are the list's fields. */
static int take_files(struct load *l, struct job *job, const json_t *own, struct error *err)
{
	char folder[FILES_PATH_MAX];
	const char *path = l->list ? l->list->path : NULL;
	const char *slash = path ? strrchr(path, '/') : NULL;
	int status = files_path(folder, err, "%.*s", slash ? (int)(slash - path) + !(slash - path) : 0,
				slash ? path : "");
	struct inputs_from from = {slash ? folder : NULL, own};
	if (!status && l->dry && !l->linking) {
		l->links |= names_files(job);
		return inputs_check(job, &from, l->seen, err);
	}
	if (!status && l->links)
		status = inputs_link(l->queue, job, &from, is_listed, l, err);
	if (!status && l->links && admission_strength(&l->cli->admission, job, err))
		status = error_prefix(err, "job");
	return status || l->dry ? status : inputs_send(l->cli, l->queue, job, &from, l->seen, err);
}

/* "size": "512x768" is what --size is. */
static int split_size(json_t *object, struct error *err)
{
	const json_t *size = json_object_get(object, "size");
	char text[32] = "";
	if (!size)
		return SUMI_OK;
	if (json_is_integer(size))
		snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(size));
	int status = cli_size(json_is_string(size) ? json_string_value(size) : text, object, err);
	json_object_del(object, "size");
	return status;
}

static int add_job(void *context, json_t *object, long line, struct error *err)
{
	struct load *l = context;
	char place[FILES_PATH_MAX] = "the command line", note[WHEN_NOTE_SIZE] = "";
	struct job *job = &l->jobs[l->count];
	json_t *own = json_copy(object); /* before options are added */
	int status = split_size(object, err);
	if (!status) {
		add_defaults(l, object);
		status = when_resolve(object, note, err);
	}
	if (!status)
		status = job_parse_object(object, job, err);
	json_decref(object);
	if (!status && (status = take_files(l, job, own, err)))
		job_clear(job);
	json_decref(own);
	if (status)
		return status;
	if (l->list)
		list_place(l->list, line, place, sizeof place);
	if (*note && !l->cli->quiet && !l->linking && (l->dry || !l->list)) /* once, though lists are read twice */
		fprintf(stderr, "sumi: note: %s: %s\n", place, note);
	if (l->dry) {
		status = l->linking ? SUMI_OK : check_job(l, job, place, err);
		l->checked++;
		job_clear(job);
		return status;
	}
	if (++l->count == CHUNK)
		return flush(l, err);
	return SUMI_OK;
}

/* Looks at every job before the first is sent: a file that is half in the queue can be neither
 * sent again nor left. The caller closes the list, also on failure. */
static int read_list(struct load *l, const char *path, struct list *list, struct error *err)
{
	bool only_json = l->cli->verb == &verb_submit;
	int status = list_open(path, only_json, cli_value(l->cli, "keep-columns") != NULL, list, err);
	if (status)
		return status;
	l->dry = true;
	l->list = list;
	l->checked = 0;
	status = list_walk(list, add_job, l, err);
	l->dry = false;
	if (!status && !l->checked && !l->cli->quiet)
		fprintf(stderr, "sumi: note: %s: holds no jobs\n", list->shown);
	return status;
}

/* Looks once more, at what the jobs of all lists name of each other. */
static int link_list(struct load *l, struct list *list, struct error *err)
{
	l->dry = l->linking = true;
	l->list = list;
	int status = l->links ? list_walk(list, add_job, l, err) : SUMI_OK;
	l->dry = l->linking = false;
	return status;
}

static int send_list(struct load *l, struct list *list, struct error *err)
{
	l->list = list;
	return list_walk(list, add_job, l, err);
}

/* Once a list, not once a line. */
static void tell_unknown(const struct load *l, const struct list *list)
{
	const char *name;
	char names[256] = "";
	size_t used = 0;
	json_t *value;
	struct error shown; /* which is clean whatever stands in the list */
	if (l->cli->quiet || !list->unknown || json_object_size(list->unknown) == 0)
		return;
	json_object_foreach(list->unknown, name, value)
	{
		if (used < sizeof names)
			used += (size_t)snprintf(names + used, sizeof names - used, "%s'%s'",
						 used ? ", " : "", name);
	}
	error_set(&shown, SUMI_INVALID,
		  "%.100s: no field is called %s: left out (--keep-columns makes tags of them)",
		  list->shown, names);
	fprintf(stderr, "sumi: note: %s\n", shown.text);
}

static int add_files(struct load *l, const char *const *paths, int count, struct error *err)
{
	struct list *lists = calloc((size_t)count + 1, sizeof *lists);
	int status = lists ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
	for (int i = 0; i < count && !status; i++)
		status = read_list(l, paths[i], &lists[i], err);
	for (int i = 0; i < count && !status; i++)
		status = link_list(l, &lists[i], err);
	for (int i = 0; i < count && !status; i++) {
		tell_unknown(l, &lists[i]);
		status = send_list(l, &lists[i], err);
	}
	/* Jobs that are not sent yet say where they stand. */
	for (int i = 0; i < count && lists; i++)
		list_close(&lists[i]);
	l->list = NULL;
	free(lists);
	return status;
}

static int by_ending(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');
	static const char *const endings[] = {".jsonl", ".ndjson", ".csv", ".tsv"};
	for (size_t i = 0; dot && e->d_name[0] != '.' && i < sizeof endings / sizeof endings[0]; i++)
		if (strcasecmp(dot, endings[i]) == 0)
			return true;
	return false;
}

/* Sends a file of a folder and renames it to NAME.queued. A file that is wrong is told of and
 * left: those behind it shall not wait for its mending. */
static int add_queued(struct load *l, const char *path, struct error *err)
{
	char queued[FILES_PATH_MAX];
	struct list list = {0};
	int status = files_path(queued, err, "%s.queued", path);
	if (!status && ((status = read_list(l, path, &list, err)) || (status = link_list(l, &list, err)))) {
		int code = cli_error(l->cli, err);
		l->code = code > l->code ? code : l->code;
		status = SUMI_OK;
	} else if (!status) {
		tell_unknown(l, &list);
		status = send_list(l, &list, err);
		if (!status && !(status = flush(l, err)) && rename(path, queued) != 0)
			status = error_errno(err, "renaming %s", path);
	}
	list_close(&list);
	l->list = NULL;
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
	json_decref(l->ids_seen);
	queue_close(l->queue);
	free(l);
	return code;
}

static struct load *begin_load(struct cli *cli)
{
	struct load *l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->cli = cli;
	l->ids = cli->json ? json_array() : NULL;
	l->told = json_object();
	l->seen = json_object();
	l->after = json_object();
	l->ids_seen = json_object();
	return l;
}

static int run_batch(struct cli *cli)
{
	struct error err = {0};
	struct load *l = begin_load(cli);
	const char *folder = cli_value(cli, "folder");
	int status = l ? SUMI_OK : error_set(&err, SUMI_NOMEM, "out of memory");
	if (status)
		return cli_error(cli, &err);
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

/* One object, or a list of them. */
static int add_text(struct load *l, const char *text, struct error *err)
{
	json_t *root, *value;
	size_t i;
	char first = text[strspn(text, " \t\r\n")];
	if (first != '{' && first != '[')
		return error_set(err, SUMI_INVALID,
				 "'%.60s' is no JSON: write '{\"prompt\":\"fog over a lake\"}', or send "
				 "a file with sumi batch FILE",
				 text);
	int status = json_read_text(text, strlen(text), "job", &root, err);
	if (status)
		return status;
	json_t *all = json_is_array(root) ? json_incref(root) : json_pack("[O]", root);
	for (int pass = 0; pass < 3 && !status; pass++) {
		l->dry = pass < 2;
		l->linking = pass == 1;
		json_array_foreach(all, i, value)
		{
			status = json_is_object(value)
				     ? add_job(l, json_copy(value), (long)i + 1, err)
				     : error_set(err, SUMI_INVALID,
						 "a job is a JSON object, not this");
			if (status)
				break;
		}
	}
	l->dry = l->linking = false;
	json_decref(all);
	json_decref(root);
	return status;
}

static int run_submit(struct cli *cli)
{
	struct error err = {0};
	struct load *l = begin_load(cli);
	int status = l ? SUMI_OK : error_set(&err, SUMI_NOMEM, "out of memory");
	if (status)
		return cli_error(cli, &err);
	status = cli_queue(cli, &l->queue, &err);
	if (!status)
		status = strcmp(cli->args[0], "-") == 0 ? add_files(l, cli->args, 1, &err)
							: add_text(l, cli->args[0], &err);
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
	    "Options fill in what the JSON leaves out. A list [{…}, {…}] is several jobs; '-' reads\n"
	    "such a list, or one object a line.\n",
};

static const struct cli_option batch_options[] = {
    {"folder", 0, "DIR", "every *.jsonl, *.ndjson, *.csv and *.tsv in DIR; each is renamed to NAME.queued"},
    {"keep-columns", 0, NULL, "what no field is called becomes a tag NAME=VALUE"},
    {NULL, 0, NULL, NULL}};

const struct verb verb_batch = {
    .name = "batch",
    .arguments = "FILE…|- [options]",
    .summary = "put many jobs into the queue; prints their ids",
    .options = batch_options,
    .job_options = true,
    .min_args = 0,
    .max_args = -1,
    .run = run_batch,
    .more = "  .jsonl  a JSON object a line          .json  a list of objects or prompts\n"
	    "  .csv    the first line names the fields: prompt,seed,steps (, ; or tabs)\n"
	    "  .txt    a prompt a line, # before comments, or --prompt \"…\" --seed 7 …\n"
	    "Options are for jobs that do not say otherwise. All are checked before the first is\n"
	    "sent. A mood means audio; files to start from are sought where the list lies.\n",
};
