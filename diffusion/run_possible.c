/* What of a run's parameters a pack cannot do, by its configs alone: said before a job waits for it. */
#include "diffusion/pack_internal.h"
#include "diffusion/run_internal.h"

/* Sampler, schedule and number of steps go together, and something is left of them. */
static int check_sampler(const struct pack_info *info, const struct run_params *p,
			 bool from_picture, int *evaluations, struct error *err)
{
	struct sampler_config config;
	struct sampler *sampler = NULL;
	const struct pack_defaults *defaults = p->fast ? &info->fast : &info->defaults;
	sampler_config_init(&config);
	int status = pack_scheduler_read(info, &config, err);
	if (!status)
		sampler_config_for_latents(&config);
	config.aligned = info->family->aligned;
	if (!status && p->schedule)
		status = sampler_parse_sigmas(p->schedule, &config.sigmas, err);
	if (p->eta > 0)
		config.eta = p->eta;
	struct latent_spec latents = run_plan_latents(info, p);
	config.flow.tokens = latent_tokens(&latents);
	if (!status)
		status = sampler_new(p->sampler ? p->sampler : defaults->sampler, &config, p->steps,
				     &sampler, err);
	if (!status && p->last_steps)
		status = sampler_start_last(sampler, p->last_steps, err);
	else if (!status && (p->from > 0 || (p->until > 0 && p->until < 1)))
		status = sampler_cut(sampler, p->from, p->until > 0 ? p->until : 1, err);
	else if (!status && from_picture)
		status = sampler_start(sampler, p->strength, err);
	*evaluations = status ? 0 : sampler_calls(sampler);
	sampler_free(sampler);
	sampler_config_free(&config);
	return status;
}

static int check_clip_skip(const struct pack_info *info, const struct run_params *p,
			   struct error *err)
{
	struct conditioner_shape texts;
	int status = conditioner_shape_read(info->family->conditioner, info, &texts, err);
	if (!status && p->clip_skip > texts.clip_skip)
		status = error_set(err, SUMI_INVALID,
				   "clip_skip is %d, the text encoder's %d layers allow 0 to %d",
				   p->clip_skip, texts.clip_skip + 1, texts.clip_skip);
	return status;
}

static int check_deep_cache(const struct pack_info *info, const struct run_params *p,
			    struct error *err)
{
	struct denoiser *denoiser;
	int status = denoiser_open(info->family->denoiser, NULL, info,
				   pack_denoiser_part(info, p->fast), &denoiser, err);
	if (status)
		return status;
	const struct denoiser_spec spec = denoiser_spec(denoiser);
	denoiser_close(denoiser);
	return denoiser_check_level(&spec, p->deep_cache_level ? p->deep_cache_level : 1, err);
}

int run_possible(const struct pack_info *info, const struct run_params *p, bool from_picture,
	      struct error *err)
{
	int evaluations, status = check_sampler(info, p, from_picture, &evaluations, err);
	if (!status && p->clip_skip > 0)
		status = check_clip_skip(info, p, err);
	if (!status && p->deep_cache > 1)
		status = check_deep_cache(info, p, err);
	return status;
}

int run_evaluations(const struct pack_info *info, const struct run_params *p, int *out,
		    struct error *err)
{
	return check_sampler(info, p, false, out, err);
}
