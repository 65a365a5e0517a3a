/* What stands in x at a call, and what the model's output says of it: for those who come between model
 * and sampler. */
#include <math.h>

#include "diffusion/sampler_internal.h"

float sampler_alpha(const struct sampler *s, double timestep)
{
	return noise_alpha(s->noise_model, timestep);
}

/* Of x as the process mixes it. */
static struct noise_point mixed_at(const struct sampler *s, int call)
{
	if (s->sigmas)
		return noise_mixed(s->noise_model, s->sigmas[s->begin + call]);
	float alpha = sampler_alpha(s, s->timesteps[s->begin + call]);
	return (struct noise_point){.keep = sqrtf(alpha), .add = sqrtf(1 - alpha)};
}

static float divisor_at(const struct sampler *s, int call)
{
	return s->ops->unscaled
		   ? noise_input_divisor(s->noise_model, s->sigmas[s->begin + call])
		   : 1;
}

struct noise_point sampler_noise_at(const struct sampler *s, int call)
{
	if (s->begin + call >= s->count)
		return (struct noise_point){.keep = 1};
	return s->ops->unscaled ? noise_unscaled(s->noise_model, s->sigmas[s->begin + call])
				: mixed_at(s, call);
}

float sampler_estimate(const struct sampler *s, int call, float x, float model_output)
{
	float x0, mixed = x / divisor_at(s, call);
	noise_predict(s->noise_model, mixed_at(s, call), 1, &model_output, &mixed, &x0, NULL);
	return x0;
}

float sampler_answer(const struct sampler *s, int call, float x, float x0)
{
	return noise_answer(s->noise_model, mixed_at(s, call), x / divisor_at(s, call), x0);
}
