/* Better refused now, with the terminal still open, than failed in the night. */
#include "cli/preflight.h"

#include <string.h>

#include "diffusion/catalogue.h"
#include "modalities/modality.h"
#include "request/job.h"

static const struct pack_info *find_pack(const struct cli *cli, const struct catalogue *c,
					 const struct job *job)
{
	const struct pack_info *pack;
	struct error ignored;
	if (!job->model)
		return catalogue_default(c, &cli->config, job->modality, &pack, &ignored) ? NULL
											  : pack;
	for (int i = 0; i < c->count; i++)
		if (strcmp(c->packs[i].name, job->model) == 0)
			return &c->packs[i];
	return NULL;
}

static int not_installed(const struct cli *cli, const struct catalogue *c, const struct job *job,
			 struct error *err)
{
	char path[FILES_PATH_MAX];
	const struct pack_info *pack;
	/* The workers of a queue that others share have their own packs and settings. */
	if (cli->config.redis[0])
		return SUMI_OK;
	return job->model ? catalogue_find(c, job->model, path, err)
			  : catalogue_default(c, &cli->config, job->modality, &pack, err);
}

int preflight(const struct cli *cli, const struct job *job, struct error *err)
{
	const struct modality *m = modality_find(job->modality);
	struct catalogue c;
	struct error ignored;
	if (!m)
		return error_set(err, SUMI_UNSUPPORTED, "this sumi cannot make '%.20s' yet",
				 job->modality);
	/* Whether the packs can be read here is the worker's business. */
	if (catalogue_list(cli->config.packs, cli->config.state_dir, &c, &ignored))
		return SUMI_OK;
	const struct pack_info *info = find_pack(cli, &c, job);
	int status;
	if (info) {
		struct request r = job_request(job, 0);
		status = m->resolve(info, &r, err);
		/* Workers offer a pack for its own modality only: it would wait for ever. */
		if (!status && strcmp(info->modality, job->modality) != 0)
			status = error_set(err, SUMI_INVALID, "model %s is for %s, not for %s",
					   info->name, info->modality, job->modality);
	} else {
		status = not_installed(cli, &c, job, err);
	}
	catalogue_free(&c);
	return status;
}

void preflight_warn(const struct cli *cli, struct queue *queue, const struct job *job, json_t *told)
{
	char class[QUEUE_CLASS_SIZE];
	struct error ignored;
	bool served = true;
	snprintf(class, sizeof class, "%s/%s", job->modality, job->model ? job->model : "");
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
