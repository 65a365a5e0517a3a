/* A job against the packs that are installed here. */
#include "modalities/admission.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/adapters.h"
#include "diffusion/controls.h"
#include "diffusion/embeddings.h"
#include "diffusion/sampler.h"
#include "modalities/enlarge.h"
#include "modalities/modality.h"
#include "modalities/request.h"
#include "modalities/wildcards.h"
#include "modalities/stages.h"
#include "request/files.h"

void admission_free(struct admission *a)
{
	if (a->listed)
		catalogue_free(&a->catalogue);
	a->listed = false;
	a->whole = NULL;
	a->fine[0] = '\0';
	a->adapters = 0;
}

static const struct catalogue *list(struct admission *a)
{
	struct error ignored;
	if (!a->listed && catalogue_list(a->config->packs, a->config->state_dir, &a->catalogue,
					 &ignored))
		memset(&a->catalogue, 0, sizeof a->catalogue);
	a->listed = true;
	return &a->catalogue;
}

int admission_packs(struct admission *a)
{
	return list(a)->count;
}

const struct pack_info *admission_named(struct admission *a, const char *name)
{
	const struct catalogue *c = list(a);
	for (int i = 0; i < c->count; i++)
		if (strcmp(c->packs[i].name, name) == 0)
			return &c->packs[i];
	return NULL;
}

const struct pack_info *admission_pack(struct admission *a, const struct job *job)
{
	const struct pack_info *pack;
	struct error ignored;
	const struct modality *m = modality_find(job->modality);
	if (job->model)
		return admission_named(a, job->model);
	if (m && m->packless)
		return NULL;
	return catalogue_default(list(a), a->config, job->modality, &pack, &ignored) ? NULL : pack;
}

static int check_names(const struct job *job, struct error *err)
{
	const char *name;
	enum schedule_sigmas sigmas;
	int status = SUMI_OK;
	if (job->sampler)
		status = sampler_parse_name(job->sampler, &name, &sigmas, err);
	if (!status && job->scheduler)
		status = sampler_parse_sigmas(job->scheduler, &sigmas, err);
	return status;
}

/* Lists have many jobs of one kind: a combination that is fine is looked at once. */
static int check_run(struct admission *a, const struct pack_info *info, const struct request *r,
		     bool from_picture, struct error *err)
{
	char key[sizeof a->fine];
	struct run_params params = request_run_params(r);
	snprintf(key, sizeof key, "%p %d %s %s %d %g %d %g %d %d %d %g %d %g %g", (const void *)info,
		 r->fast, r->sampler, r->scheduler, r->steps, r->eta, from_picture,
		 from_picture ? r->strength : 0, r->clip_skip, r->deep_cache, r->deep_cache_level,
		 r->hires, r->hires_steps, r->hires_strength, r->refiner ? r->refiner_at : 0);
	if (strcmp(key, a->fine) == 0)
		return SUMI_OK;
	stages_first(r, &params);
	int status = run_possible(info, &params, from_picture, err);
	if (!status && r->hires > 1) {
		params = stages_params(r, info, &params);
		status = run_possible(info, &params, false, err);
	}
	if (!status)
		memcpy(a->fine, key, sizeof key);
	return status;
}

/* Less than this fits wherever a model does, and costs no look into configs. */
#define SMALL (UINT64_C(1024) * 1024)

static int check_size(const struct admission *a, const struct pack_info *info, const struct run_params *p,
		      struct error *err)
{
	uint64_t pixels = (uint64_t)p->width * (uint64_t)p->height * (uint64_t)p->frames;
	return a->memory && pixels > SMALL ? run_fits_step(info, p, a->memory, a->device, err) : SUMI_OK;
}

/* The sizes of all runs that make it, against the devices that there are. */
static int check_sizes(const struct admission *a, const struct pack_info *info, const struct request *r,
		       struct error *err)
{
	struct run_params params = request_run_params(r);
	stages_first(r, &params);
	int status = check_size(a, info, &params, err);
	if (status || r->hires <= 1)
		return status;
	params = stages_params(r, info, &params);
	return check_size(a, info, &params, err);
}

/* A job's request, on this host. */
static struct request request_here(const struct admission *a, const struct job *job)
{
	struct request r = job_request(job, 0);
	r.host_precision = a->config->precision;
	r.host_packs = a->config->packs;
	r.host_state = a->config->state_dir;
	return r;
}

/* usual: a strength that the job leaves open counts too. */
static int check_pack(struct admission *a, const struct pack_info *info, const struct modality *m,
		      const struct job *job, bool usual, struct error *err)
{
	struct request r = request_here(a, job);
	/* Workers offer a pack for its own modality only: it would wait for ever. */
	if (strcmp(info->modality, job->modality) != 0)
		return error_set(err, SUMI_INVALID, "model %s is for %s, not for %s", info->name,
				 info->modality, job->modality);
	int status = m->resolve(info, &r, err);
	/* A picture that is shown is not what the run starts from. */
	bool from_picture = r.init && !info->shows_picture && (usual || !isnan(job->strength));
	char folder[FILES_PATH_MAX];
	/* Another host may have the refiner. */
	if (!status && !a->others)
		status = stages_pack(&r, info, folder, err);
	struct run_params params = request_run_params(&r);
	struct embeddings *embeddings = NULL;
	if (!status)
		status = run_text_check(info, &params, err);
	/* Another host may have what is not here. */
	if (!status && !a->others)
		status = request_embeddings(info, &r, &embeddings, err);
	embeddings_close(embeddings);
	if (!status)
		status = check_run(a, info, &r, from_picture, err);
	return status ? status : check_sizes(a, info, &r, err);
}

/* A pack may have been replaced since it was listed: nothing is refused by an old one. */
static int check_anew(struct admission *a, const struct pack_info *listed, const struct modality *m,
		      const struct job *job, bool usual, struct error *err)
{
	struct pack_info info;
	struct error ignored;
	if (pack_info_read_plain(listed->path, &info, &ignored))
		return SUMI_OK;
	a->fine[0] = '\0';
	int status = check_pack(a, &info, m, job, usual, err);
	a->fine[0] = '\0'; /* it has the address of what goes now */
	pack_info_free(&info);
	return status;
}

/* Listing does not look into the weights. Where no other host could have the pack, a job for a
 * damaged one would wait for ever. */
static int check_whole(struct admission *a, const struct pack_info *info, struct error *err)
{
	if (!a->deep || a->others || info == a->whole)
		return SUMI_OK;
	int status = pack_parts_check_weights(info, err);
	a->whole = status ? NULL : info;
	return status;
}

/* Adapters against the weights' headers, once for those of one kind. Without the pack here only that
 * they are there is known, and where other hosts may make it not even that. */
static int check_adapters(struct admission *a, const struct pack_info *info, const struct job *job,
			  struct error *err)
{
	struct adapter_list *list = NULL;
	struct adapters *opened = NULL;
	if (!json_array_size(job->loras))
		return SUMI_OK;
	int status = adapters_find(a->config->packs, a->config->state_dir, job->loras, &list, err);
	if (status == SUMI_NOTFOUND && a->others)
		return SUMI_OK;
	uint64_t key = adapters_stamp(list) + (uint64_t)(uintptr_t)info;
	if (!status && info && key != a->adapters) {
		status = adapters_open(list, info, &opened, err);
		a->adapters = status ? 0 : key;
	}
	adapters_close(opened);
	free(list);
	return status;
}

/* All sizes that a job's controls are shown in: of both its runs, where it has two. */
static int check_shown(struct admission *a, const struct pack_info *info, const struct modality *m,
		       const struct job *job, const struct control_list *list, struct error *err)
{
	struct request r = request_here(a, job);
	struct error ignored;
	if (m->resolve(info, &r, &ignored)) /* check_pack() has said what is wrong with it */
		return SUMI_OK;
	struct run_params first = request_run_params(&r);
	int status = controls_check_size(list, r.width, r.height, err);
	stages_first(&r, &first);
	return status ? status : controls_check_size(list, first.width, first.height, err);
}

/* Networks for controls against the pack's configs, likewise, and their results' sizes. */
static int check_controls(struct admission *a, const struct pack_info *info, const struct modality *m,
			  const struct job *job, struct error *err)
{
	struct control_list *list = NULL;
	if (!json_array_size(job->controls))
		return SUMI_OK;
	int status = controls_find(a->config->packs, a->config->state_dir, job->controls, info, &list, err);
	if (!status && info)
		status = check_shown(a, info, m, job, list, err);
	controls_free(list);
	return status == SUMI_NOTFOUND && a->others ? SUMI_OK : status;
}

static int check_enlargers(struct admission *a, const struct job *job, struct error *err)
{
	struct enlargers e;
	int status = enlargers_find(a->config->packs, a->config->state_dir, a->config->upscaler, &job->request, &e, err);
	return status == SUMI_NOTFOUND && a->others ? SUMI_OK : status;
}

/* check_adapters() with those that the job's styles bring. */
static int check_styled(struct admission *a, const struct pack_info *info, const struct job *job, json_t *loras,
			struct error *err)
{
	struct job with;
	int status = job_parse_object(job->fields, &with, err);
	if (status)
		return status;
	status = job_set(&with, "loras", json_incref(loras), err);
	if (!status)
		status = check_adapters(a, info, &with, err);
	job_clear(&with);
	return status;
}

int admission_check(struct admission *a, const struct job *job, struct error *err)
{
	const struct modality *m = modality_find(job->modality);
	if (!m)
		return error_set(err, SUMI_UNSUPPORTED, "this sumi cannot make '%.20s' yet",
				 job->modality);
	if (m->packless) {
		struct request r = job_request(job, 0);
		return m->resolve(NULL, &r, err);
	}
	json_t *loras = NULL;
	int status = check_names(job, err);
	if (!status && !a->others)
		status = wildcards_check(a->config->packs, a->config->state_dir, job, &loras, err);
	bool known = !status && (job->model || !a->others);
	const struct pack_info *info = known ? admission_pack(a, job) : NULL;
	if (info && check_pack(a, info, m, job, false, err))
		status = check_anew(a, info, m, job, false, err);
	if (!status)
		status = loras ? check_styled(a, info, job, loras, err) : check_adapters(a, info, job, err);
	json_decref(loras);
	if (!status)
		status = check_controls(a, info, m, job, err);
	if (!status)
		status = check_enlargers(a, job, err);
	return !status && info ? check_whole(a, info, err) : status;
}

int admission_strength(struct admission *a, const struct job *job, struct error *err)
{
	const struct modality *m = modality_find(job->modality);
	const struct pack_info *info = job->model || !a->others ? admission_pack(a, job) : NULL;
	bool concerned = param_find("strength")->modalities & param_modality(job->modality);
	if (!job->init || !isnan(job->strength) || !concerned || !info || !m)
		return SUMI_OK;
	return check_pack(a, info, m, job, true, err) ? check_anew(a, info, m, job, true, err) : SUMI_OK;
}

int admission_fits(struct admission *a, const struct job *job, struct error *err)
{
	const struct modality *m = modality_find(job->modality);
	const struct pack_info *info = job->model || !a->others ? admission_pack(a, job) : NULL;
	struct request r = request_here(a, job);
	struct error ignored;
	if (!info || !m || m->packless || m->resolve(info, &r, &ignored))
		return SUMI_OK;
	return check_sizes(a, info, &r, err);
}

int admission_installed(struct admission *a, const struct job *job, struct error *err)
{
	char path[FILES_PATH_MAX];
	const struct pack_info *pack;
	const struct modality *m = modality_find(job->modality);
	if (a->others || (m && m->packless))
		return SUMI_OK;
	return job->model ? catalogue_find(list(a), job->model, path, err)
			  : catalogue_default(list(a), a->config, job->modality, &pack, err);
}

int admission_refuse_path(const char *name, const char *path, struct error *err)
{
	return error_set(err, SUMI_INVALID,
			 "%s: '%.200s' is no file that may be read here: send it with sumi, or by "
			 "its SHA-256, or name its folder in input_dirs of sumi.conf",
			 name, path);
}

int admission_ask(void *context, const struct job *job, struct error *err)
{
	const struct admission *a = context;
	struct request_file f;
	for (size_t i = 0; request_file(&job->request, i, &f); i++)
		if (strchr(f.value, '/') &&
		    (f.value[0] != '/' || (!a->others && !a->config->input_dirs[0])))
			return admission_refuse_path(f.name, f.value, err);
	int status = admission_check(context, job, err);
	if (!status)
		status = admission_strength(context, job, err);
	return status ? error_prefix(err, "job") : SUMI_OK;
}

int admission_settle(void *context, struct job *job, struct error *err)
{
	const struct admission *a = context;
	int status = wildcards_resolve(a->config->packs, a->config->state_dir, job,
				       WILDCARDS_STORED_MAX, err);
	return status == SUMI_NOTFOUND && a->others ? SUMI_OK : status;
}
