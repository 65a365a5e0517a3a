/* Better refused now, with the terminal still open, than failed in the night. */
#include "cli/preflight.h"

#include <math.h>
#include <string.h>

#include "cli/entry.h"
#include "cli/models_file.h"

#include "queue/walk.h"

/* Once for a model: a list has many jobs. A sampler that was asked for is no business of the note. */
static void tell_note(const struct cli *cli, const struct pack_info *info, const struct job *job)
{
	static char told[PACK_NAME_MAX + 1];
	if (!info->note[0] || job->request.sampler || cli->quiet || strcmp(told, info->name) == 0)
		return;
	strcpy(told, info->name);
	fprintf(stderr, "sumi: warning: model %s: ", info->name);
	entry_put_text(stderr, info->note, SIZE_MAX);
	fputc('\n', stderr);
}

/* What a LoRA that makes a model one of few steps brings where the job says nothing. */
static void tell_proposals(const struct cli *cli, const struct job *job)
{
	static char told[160];
	char text[160];
	size_t i;
	json_t *o;
	const struct request *r = &job->request;
	if (cli->quiet || r->fast || (r->sampler && r->steps && !isnan(r->cfg_scale)))
		return;
	json_array_foreach((json_t *)job->request.loras, i, o)
	{
		const char *name = json_string_value(json_object_get(o, "name"));
		if (!name || !models_proposal(name, text, sizeof text) || strcmp(text, told) == 0)
			continue;
		strcpy(told, text);
		fputs("sumi: note: LoRA ", stderr);
		entry_put_text(stderr, name, SIZE_MAX);
		fprintf(stderr, " is made for few steps: %s is taken where the job says nothing\n", text);
	}
}

int preflight(struct cli *cli, const struct job *job, struct error *err)
{
	int status = job_check(job, err);
	if (!status)
		status = admission_check(&cli->admission, job, err);
	const struct pack_info *info = status ? NULL : admission_pack(&cli->admission, job);
	/* The workers of a queue that others share have their own packs and settings. */
	if (!status && !info && !cli->config.redis[0])
		status = admission_installed(&cli->admission, job, err);
	if (!status && info)
		tell_note(cli, info, job);
	if (!status)
		tell_proposals(cli, job);
	return status;
}

int preflight_here(struct cli *cli, struct queue *queue, struct job *job, const struct inputs_from *from, struct error *err)
{
	int status = admission_fits(&cli->admission, job, err);
	if (!status)
		status = inputs_link(queue, job, from, NULL, NULL, err);
	return status ? status : admission_strength(&cli->admission, job, err);
}

void preflight_note_after(json_t *noted, const struct job *job)
{
	for (size_t i = 0; i < job->after.count; i++)
		json_object_set_new(noted, job->after.at[i], json_string(job->id));
}

void preflight_warn_after(const struct cli *cli, struct queue *queue, json_t *noted)
{
	enum { SHOWN = 5 };
	const char *id;
	json_t *job;
	size_t unknown = 0;
	struct error ignored;
	if (cli->quiet || json_object_size(noted) == 0 || walk_admit(queue, &ignored))
		return;
	json_object_foreach(noted, id, job)
	{
		bool known;
		if (queue_knows(queue, id, &known, &ignored) || known || unknown++ >= SHOWN)
			continue;
		fprintf(stderr,
			"sumi: warning: %s waits for job %s, which nobody has sent: it fails "
			"unless that comes within a day\n",
			json_string_value(job), id);
	}
	if (unknown > SHOWN)
		fprintf(stderr, "sumi: warning: so do others, for %zu more jobs\n", unknown - SHOWN);
}

void preflight_note_idle(const struct cli *cli, const struct job *job, json_t *told)
{
	const char *why, *name = request_idle(&job->request, &why);
	if (cli->quiet || !name || (told && json_object_get(told, name)))
		return;
	json_object_set_new(told, name, json_true());
	fprintf(stderr, "sumi: note: '%s' has no say: %s\n", name, why);
}

void preflight_warn(const struct cli *cli, struct queue *queue, const struct job *job, json_t *told)
{
	char class[QUEUE_CLASS_SIZE];
	struct error ignored;
	bool served = true;
	snprintf(class, sizeof class, "%s/%s", job->modality, job->model ? job->model : "");
	preflight_note_idle(cli, job, told);
	if (cli->quiet || (told && json_object_get(told, class)))
		return;
	json_object_set_new(told, class, json_true());
	if (queue_served(queue, job->modality, job->model, &served, &ignored) || served)
		return;
	if (job->model)
		fprintf(stderr,
			"sumi: warning: no living worker has the model '%s' for %s: the job waits "
			"until one comes (sumi models, sumi status)\n",
			job->model, job->modality);
	else
		fprintf(
		    stderr,
		    "sumi: warning: no living worker has a model for %s: the job waits until one "
		    "comes (sumi models, sumi status)\n",
		    job->modality);
}
