/* sumi image and its sisters, a verb for each modality: a job from options, followed to its end. */
#include "cli/create.h"

#include "cli/follow.h"
#include "cli/inputs.h"
#include "cli/output.h"
#include "cli/preflight.h"
#include "cli/verbs.h"

static const struct cli_option create_options[] = {
    {"output", 'o', "FILE|DIR|-", "save the results here (default: the present folder)"},
    {"detach", 0, NULL, "print the job's id and return at once"},
    {NULL, 0, NULL, NULL}};

/* What the options describe, checked; nothing of it needs the queue. */
static int prepare(struct cli *cli, struct job *job, struct error *err)
{
	int status = output_prepare(cli, cli->verb->name, NULL, err);
	json_object_set_new(cli->fields, "modality", json_string(cli->verb->name));
	if (!status)
		status = cli_prompt(cli, err);
	if (!status)
		status = job_parse_object(cli->fields, job, err);
	if (!status && (status = preflight(cli, job, err)))
		job_clear(job);
	return status;
}

int create_job(struct cli *cli, struct job *job)
{
	struct error err = {0};
	struct queue *queue = NULL;
	int status = cli_queue(cli, &queue, &err);
	if (!status)
		status = preflight_here(cli, queue, job, NULL, &err);
	if (!status)
		status = inputs_send(cli, queue, job, NULL, NULL, &err);
	if (!status)
		status = queue_submit(queue, job, &err);
	if (!status) {
		json_t *after = json_object();
		preflight_warn(cli, queue, job, NULL);
		preflight_note_after(after, job);
		preflight_warn_after(cli, queue, after);
		json_decref(after);
	}
	int code = status ? cli_error(cli, &err) : follow_submitted(cli, queue, job->id);
	job_clear(job);
	queue_close(queue);
	return code;
}

static int run_create(struct cli *cli)
{
	struct error err = {0};
	struct job job;
	return prepare(cli, &job, &err) ? cli_error(cli, &err) : create_job(cli, &job);
}

#define X(NAME, word, model, usage, least, text)                                                   \
	const struct verb verb_##word = {                                                          \
	    .name = #word,                                                                         \
	    .arguments = usage,                                                                    \
	    .summary = text,                                                                       \
	    .options = create_options,                                                             \
	    .job_options = true,                                                                   \
	    .modalities = PARAM_##NAME,                                                            \
	    .min_args = least,                                                                     \
	    .max_args = 1,                                                                         \
	    .run = run_create,                                                                     \
	};
MODALITY_OF_PACKS(X)
