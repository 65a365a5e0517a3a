/* Classifier-free guidance. */
#include "diffusion/guidance.h"

#include <math.h>

#define SCALE_MAX 1000.0

bool guidance_at(const struct guidance *g, int call)
{
	return g->on && call >= g->from && call < g->to;
}

/* torch.std: with n − 1. */
static double deviation(const float *x, size_t n)
{
	double sum = 0, squares = 0;
	for (size_t i = 0; i < n; i++)
		sum += x[i];
	double mean = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		squares += (x[i] - mean) * (x[i] - mean);
	return n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
}

int guidance_combine(const float *uncond, const float *cond, size_t n, double scale, double rescale,
		     float *out, struct error *err)
{
	if (!(fabs(scale) <= SCALE_MAX))
		return error_set(err, SUMI_INVALID, "guidance scale is %g, allowed are %g to %g",
				 scale, -SCALE_MAX, SCALE_MAX);
	if (!(rescale >= 0 && rescale <= 1))
		return error_set(err, SUMI_INVALID, "guidance rescale is %g, allowed are 0 to 1",
				 rescale);
	double wanted = rescale > 0 ? deviation(cond, n) : 0;
	float factor = (float)scale;
	for (size_t i = 0; i < n; i++)
		out[i] = uncond[i] + factor * (cond[i] - uncond[i]);
	for (size_t i = 0; i < n; i++)
		if (!isfinite(out[i]))
			return error_set(
			    err, SUMI_DEVICE,
			    "the model gave %s (value %zu): broken weights, or an overflow in "
			    "half precision",
			    isnan(out[i]) ? "NaN" : "infinity", i);
	double have = rescale > 0 ? deviation(out, n) : 0;
	if (have <= 0)
		return SUMI_OK;
	float ratio = (float)(wanted / have), part = (float)rescale;
	for (size_t i = 0; i < n; i++)
		out[i] = part * (out[i] * ratio) + (1 - part) * out[i];
	return SUMI_OK;
}
