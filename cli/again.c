/* sumi again: the same bytes once more, from what a file says of itself. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/follow.h"
#include "cli/preflight.h"
#include "cli/verbs.h"
#include "modalities/metadata.h"

static const struct cli_option again_options[] = {
    {"output", 'o', "FILE|DIR", "save the result here (default: the present folder)"},
    {"detach", 0, NULL, "print the job's id and return at once"},
    {NULL, 0, NULL, NULL}};

/* Files come from anywhere: one says what is in it, not when or for whom it is made again. */
static void keep_parameters(json_t *object)
{
	const char *name;
	json_t *value;
	void *next;
	json_object_foreach_safe(object, next, name, value)
	{
		const struct job_field *field = job_field_find(name);
		if (field && !field->render)
			json_object_del(object, name);
	}
}

/* The file's own JSON without what describes its making; options given now win. */
static int read_job(struct cli *cli, struct job *job, struct error *err)
{
	struct metadata meta;
	json_t *object = NULL;
	int status = metadata_read_file(cli->args[0], &meta, err);
	if (status)
		return status;
	if (!meta.json)
		status =
		    error_set(err, SUMI_NOTFOUND,
			      "%s: it was not made by sumi: it has no parameters of ours inside",
			      cli->args[0]);
	if (!status)
		status = json_read_text(meta.json, strlen(meta.json), cli->args[0], &object, err);
	metadata_free(&meta);
	if (status)
		return status;
	json_object_del(object, "made_by");
	keep_parameters(object);
	json_object_update(object, cli->fields);
	status = job_parse_object(object, job, err);
	json_decref(object);
	return status;
}

static int run_again(struct cli *cli)
{
	struct error err = {0};
	struct queue *queue = NULL;
	struct job job = {0};
	int code;
	int status =
	    cli_value(cli, "detach") ? SUMI_OK : cli_check_output(cli_value(cli, "output"), &err);
	if (!status)
		status = read_job(cli, &job, &err);
	if (!status)
		status = preflight(cli, &job, &err);
	if (!status)
		status = cli_queue(cli, &queue, &err);
	if (!status)
		status = queue_submit(queue, &job, &err);
	code = status ? cli_error(cli, &err) : follow_submitted(cli, queue, job.id);
	job_clear(&job);
	queue_close(queue);
	return code;
}

const struct verb verb_again = {
    .name = "again",
    .arguments = "FILE [options]",
    .summary = "make the same bytes again from an artifact's own metadata",
    .options = again_options,
    .job_options = true,
    .min_args = 1,
    .max_args = 1,
    .run = run_again,
    .more = "Options change what they name: sumi again picture.webp --seed 8\n",
};
