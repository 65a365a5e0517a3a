/* A job's rendering parameters as the request of a modality. */
#include "queue/job_request.h"

#include <math.h>

/* A job's NaN is "not given"; a request has zero for these. */
static double given(double value)
{
	return isnan(value) ? 0 : value;
}

struct request job_request(const struct job *job, int variant)
{
	return (struct request){
	    .modality = job->modality,
	    .prompt = job->prompt,
	    .negative_prompt = job->negative_prompt,
	    .seed = (uint64_t)job->seed + (uint64_t)variant,
	    .steps = (int)job->steps,
	    .cfg_scale = job->cfg_scale,
	    .guidance_rescale = given(job->guidance_rescale),
	    .guidance_start = given(job->guidance_start),
	    .guidance_end = given(job->guidance_end),
	    .deep_cache = (int)job->deep_cache,
	    .deep_cache_level = (int)job->deep_cache_level,
	    .sampler = job->sampler,
	    .schedule = job->scheduler,
	    .rng = job->rng,
	    .width = (int)job->width,
	    .height = (int)job->height,
	    .clip_skip = (int)job->clip_skip,
	    .eta = given(job->eta),
	    .fast = job->fast,
	    .format = job->format,
	    .quality = job->quality,
	    .lossless = job->lossless,
	    .init = job->init,
	    .strength = job->strength,
	    .duration = given(job->duration),
	    .mood = job->mood,
	    .frames = (int)job->frames,
	    .fps = (int)job->fps,
	    .loop_count = (int)job->loop_count,
	    .loop = job->loop,
	    .reverse = job->reverse,
	    .boomerang = job->boomerang,
	};
}
