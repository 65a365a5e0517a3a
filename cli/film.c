/* sumi film: the jobs of a story into the queue, and the film when they are done. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/ulid.h"
#include "cli/entry.h"
#include "cli/follow.h"
#include "cli/inputs.h"
#include "cli/output.h"
#include "cli/preflight.h"
#include "cli/verbs.h"
#include "modalities/film_plan.h"
#include "request/story.h"
#include "request/story_travel.h"

static const struct cli_option film_options[] = {
    {"output", 'o', "FILE|DIR|-", "save the film here (default: the present folder)"},
    {"detach", 0, NULL, "print the film's id and return at once"},
    {"dry-run", 0, NULL, "print the jobs as JSON and send none"},
    {NULL, 0, NULL, NULL}};

struct film {
	struct cli *cli;
	const char *path; /* of the story; "-": standard input */
	json_t *story;
	json_t *list;     /* jobs as objects, the film last */
	struct job *jobs;
	size_t count; /* of those that are parsed */
};

static void film_clear(struct film *f)
{
	while (f->count)
		job_clear(&f->jobs[--f->count]);
	free(f->jobs);
	json_decref(f->list);
	json_decref(f->story);
}

static int read_story(struct film *f, json_t **story, struct error *err)
{
	bool standard = strcmp(f->path, "-") == 0;
	char *data;
	size_t size;
	int status = files_read(standard ? "/dev/stdin" : f->path, STORY_BYTES_MAX, &data, &size, err);
	if (status)
		return status;
	status = story_read_any(data, size, standard ? "standard input" : f->path, story, err);
	free(data);
	return status;
}

/* The pack that makes the music here, whose tempos decide where scenes end, or the scenes. */
static const struct pack_info *default_pack(struct cli *cli, enum modality_index modality, const char *model)
{
	struct job job = {.modality = modality_names[modality], .model = model};
	return admission_pack(&cli->admission, &job);
}

static int check_given(const struct cli *cli, const char **id, char fresh[ULID_SIZE], struct error *err)
{
	const json_t *n = json_object_get(cli->fields, "n");
	*id = json_string_value(json_object_get(cli->fields, "id"));
	if (n && json_integer_value(n) != 1)
		return error_set(err, SUMI_INVALID, "a story makes one film: leave out --n");
	if (json_object_get(cli->fields, "frames"))
		return error_set(err, SUMI_INVALID, "how long a scene is says the story, in seconds: leave out --frames");
	if (*id && strlen(*id) > FILM_ID_MAX)
		return error_set(err, SUMI_INVALID, "the id of a film has at most %d bytes, as its scenes have longer ones",
				 FILM_ID_MAX);
	if (!*id) {
		ulid_new(fresh);
		*id = fresh;
	}
	return SUMI_OK;
}

/* What of another program's file was left out. */
static void tell_notes(const struct cli *cli, const json_t *story)
{
	size_t i;
	json_t *note;
	json_array_foreach(json_object_get(story, "notes"), i, note)
	{
		if (cli->quiet)
			continue;
		fprintf(stderr, "sumi: note: %s: ", cli->args[0]);
		entry_put_text(stderr, json_string_value(note), SIZE_MAX);
		fputc('\n', stderr);
	}
}

static int plan(struct film *f, struct error *err)
{
	char fresh[ULID_SIZE];
	struct film_order order = {.given = f->cli->fields, .others = f->cli->config.redis[0]};
	int status = check_given(f->cli, &order.id, fresh, err);
	if (!status)
		status = read_story(f, &f->story, err);
	order.story = f->story;
	tell_notes(f->cli, f->story);
	order.music = default_pack(f->cli, MODALITY_AUDIO, NULL);
	order.video = default_pack(f->cli, MODALITY_VIDEO, json_string_value(json_object_get(f->cli->fields, "model")));
	if (!status)
		status = film_plan(&order, &f->list, err);
	return status;
}

/* What is wrong with the k-th job, at the line where the story says it. Scenes are called ID.s1, … */
static int blame(const struct film *f, size_t k, struct error *err)
{
	const char *id = json_string_value(json_object_get(json_array_get(f->list, k), "id"));
	const char *film = json_string_value(json_object_get(json_array_get(f->list, json_array_size(f->list) - 1), "id"));
	int scene = 0;
	if (id && film && strlen(id) > strlen(film))
		sscanf(id + strlen(film), ".s%d", &scene);
	return story_blame(f->story, scene > 0 ? json_array_get(json_object_get(f->story, "scenes"), (size_t)scene - 1) : NULL, err);
}

static int parse(struct film *f, struct error *err)
{
	json_t *object;
	size_t i;
	int status = SUMI_OK;
	f->jobs = calloc(json_array_size(f->list), sizeof *f->jobs);
	if (!f->jobs)
		return error_set(err, SUMI_NOMEM, "out of memory");
	json_array_foreach(f->list, i, object)
	{
		status = job_parse_object(object, &f->jobs[i], err);
		if (status)
			break;
		f->count++;
		if ((status = preflight(f->cli, &f->jobs[i], err)))
			break;
	}
	return status ? blame(f, i, err) : SUMI_OK;
}

/* Files that scenes start from are sought where the story lies; what the film is joined of is yet to be. */
static int send_files(struct film *f, struct queue *queue, struct error *err)
{
	char folder[FILES_PATH_MAX];
	const char *slash = strrchr(f->path, '/');
	struct inputs_from from = {slash ? folder : NULL, NULL};
	json_t *seen = json_object();
	int status = files_path(folder, err, "%.*s", slash ? (int)(slash - f->path) + !(slash - f->path) : 0, f->path);
	for (size_t i = 0; i + 1 < f->count && !status; i++)
		if ((status = preflight_here(f->cli, queue, &f->jobs[i], &from, err)) ||
		    (status = inputs_send(f->cli, queue, &f->jobs[i], &from, seen, err)))
			blame(f, i, err);
	json_decref(seen);
	return status;
}

static int submit(struct film *f, struct queue *queue, struct error *err)
{
	size_t sent = 0;
	int status = send_files(f, queue, err);
	if (!status)
		status = queue_submit_many(queue, f->jobs, f->count, &sent, err);
	json_t *told = json_object();
	for (size_t i = 0; i < sent; i++)
		preflight_warn(f->cli, queue, &f->jobs[i], told);
	json_decref(told);
	return status;
}

/* Each of the parts to its end, then the film. One that fails takes the film with it. */
static int follow(struct film *f, struct queue *queue)
{
	struct error err = {0};
	struct follow_options options = {.previews = true};
	bool detached = cli_value(f->cli, "detach");
	for (size_t i = 0; i + 1 < f->count && !detached; i++) {
		struct queue_entry entry;
		int status = follow_job(f->cli, queue, f->jobs[i].id, &options, &entry, &err);
		if (status == SUMI_BUSY)
			error_set(&err, status, "the film goes on: sumi watch %s, sumi fetch %s -o FILE",
				  f->jobs[f->count - 1].id, f->jobs[f->count - 1].id);
		if (status)
			return status == SUMI_BUSY ? (cli_error(f->cli, &err), EXIT_INTERRUPTED) : cli_error(f->cli, &err);
		int code = report_end(f->cli, &entry);
		queue_entry_clear(&entry);
		if (code != EXIT_OK)
			return code;
	}
	return follow_submitted(f->cli, queue, f->jobs[f->count - 1].id);
}

static int run_film(struct cli *cli)
{
	struct error err = {0};
	struct film f = {.cli = cli, .path = cli->args[0]};
	struct queue *queue = NULL;
	int code = EXIT_OK, status = output_prepare(cli, "film", NULL, &err);
	bool dry = cli_value(cli, "dry-run");
	if (!status)
		status = plan(&f, &err);
	if (!status)
		status = parse(&f, &err);
	if (!status && dry)
		code = cli_print_json(json_incref(f.list));
	if (!status && !dry && !(status = cli_queue(cli, &queue, &err)))
		status = submit(&f, queue, &err);
	if (status)
		code = cli_error(cli, &err);
	else if (!dry)
		code = follow(&f, queue);
	film_clear(&f);
	queue_close(queue);
	return code;
}

const struct verb verb_film = {
    .name = "film",
    .arguments = "STORY|- [options]",
    .summary = "make the scenes and the music of a story, and a film of them",
    .options = film_options,
    .job_options = true,
    .modalities = PARAM_VIDEO,
    .min_args = 1,
    .max_args = 1,
    .run = run_film,
    .more = "A story is plain text, a paragraph a scene; lines before its text may be fields:\n"
	    "  seconds: 4    motion: slow waves    mood: calm    seed: 7    transition: cut|fade|travel\n"
	    "  blend: 1      negative: people      and any parameter of a video, steps: 4\n"
	    "A first paragraph of fields alone (title, fps, size too) holds for all scenes. English and\n"
	    "Russian. Each scene and each piece of music is a job, ID.s1, ID.m1, …, and the film ID,\n"
	    "which waits for them: nothing is lost when it is interrupted. Options fill in what the\n"
	    "story leaves open; --reverse is of the film, its sound too. See docs/films.md.\n",
};
