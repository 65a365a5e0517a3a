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

static int check(double scale, double rescale, struct error *err)
{
	if (!(fabs(scale) <= SCALE_MAX))
		return error_set(err, SUMI_INVALID, "guidance scale is %g, allowed are %g to %g",
				 scale, -SCALE_MAX, SCALE_MAX);
	if (!(rescale >= 0 && rescale <= 1))
		return error_set(err, SUMI_INVALID, "guidance rescale is %g, allowed are 0 to 1",
				 rescale);
	return SUMI_OK;
}

/* wanted: the deviation of cond, where rescale mixes it in. */
static int finish(size_t n, double rescale, double wanted, float *out, struct error *err)
{
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

int guidance_combine(const float *uncond, const float *cond, size_t n, double scale, double rescale,
		     float *out, struct error *err)
{
	int status = check(scale, rescale, err);
	if (status)
		return status;
	double wanted = rescale > 0 ? deviation(cond, n) : 0;
	float factor = (float)scale;
	for (size_t i = 0; i < n; i++)
		out[i] = uncond[i] + factor * (cond[i] - uncond[i]);
	return finish(n, rescale, wanted, out, err);
}

int guidance_combine_picture(const float *blind, const float *uncond, const float *cond, size_t n,
			     const struct guidance *g, float *out, struct error *err)
{
	int status = check(g->scale, g->rescale, err);
	if (!status)
		status = check(g->picture, 0, err);
	if (status)
		return status;
	double wanted = g->rescale > 0 ? deviation(cond, n) : 0;
	for (size_t i = 0; i < n; i++)
		out[i] = blind[i] + g->scale * (cond[i] - uncond[i]) +
			 g->picture * (uncond[i] - blind[i]);
	return finish(n, g->rescale, wanted, out, err);
}
