/* Better refused now, with the terminal still open, than failed in the night. */
#include "cli/preflight.h"

static int not_installed(struct cli *cli, const struct job *job, struct error *err)
{
	char path[FILES_PATH_MAX];
	const struct pack_info *pack;
	/* The workers of a queue that others share have their own packs and settings. */
	if (cli->config.redis[0])
		return SUMI_OK;
	return job->model ? catalogue_find(&cli->admission.catalogue, job->model, path, err)
			  : catalogue_default(&cli->admission.catalogue, &cli->config,
					      job->modality, &pack, err);
}

int preflight(struct cli *cli, const struct job *job, struct error *err)
{
	int status = job_check(job, err);
	if (!status)
		status = admission_check(&cli->admission, job, err);
	if (!status && !admission_pack(&cli->admission, job))
		status = not_installed(cli, job, err);
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
