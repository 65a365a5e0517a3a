/* Runs that paint channels which a picture lacks, such as heights under colours.
 *
 * What an evaluation says of the end is decoded, gets the channels that are known, and is encoded again:
 * so the sampler only hears of ends that have them. */
#include <stdlib.h>
#include <string.h>

#include "diffusion/run_internal.h"

struct lift {
	size_t count;    /* pixels */
	int unknown;     /* channels, the last ones */
	float *known;    /* [height, width, colours] in −1…1 */
	float *pixels;   /* the same of the end as it is seen now */
	float *end;      /* [c, f, h, w], its latents */
	struct codec_job encode;
};

int run_lift_new(struct run *run, const struct run_params *p, struct error *err)
{
	size_t colours = (size_t)run->latents.colours, count = (size_t)p->width * (size_t)p->height;
	if (!p->unknown)
		return SUMI_OK;
	if (!p->init || p->mask || p->frames != 1 || p->unknown < 0 || p->unknown >= run->latents.colours)
		return error_set(err, SUMI_INTERNAL, "channels are painted under those of one whole picture");
	struct lift *lift = calloc(1, sizeof *lift);
	if (!lift)
		return error_set(err, SUMI_NOMEM, "out of memory");
	run->lift = lift;
	lift->count = count;
	lift->unknown = p->unknown;
	lift->encode = run_plan_encode(run->pack, p);
	lift->known = malloc(count * colours * sizeof *lift->known);
	lift->pixels = malloc(count * colours * sizeof *lift->pixels);
	lift->end = malloc(run_values(run) * sizeof *lift->end);
	if (!lift->known || !lift->pixels || !lift->end)
		return error_set(err, SUMI_NOMEM, "no memory for the picture of %dx%d that is lifted", p->width, p->height);
	memcpy(lift->known, p->init, count * colours * sizeof *lift->known);
	return SUMI_OK;
}

void run_lift_free(struct lift *lift)
{
	if (!lift)
		return;
	free(lift->known);
	free(lift->pixels);
	free(lift->end);
	free(lift);
}

static void put_known(struct run *run)
{
	struct lift *lift = run->lift;
	size_t colours = (size_t)run->latents.colours, known = colours - (size_t)lift->unknown;
	for (size_t i = 0; i < lift->count; i++) {
		float *pixel = lift->pixels + i * colours;
		memcpy(pixel, lift->known + i * colours, known * sizeof *pixel);
		for (size_t k = known; k < colours; k++)
			pixel[k] = pixel[k] < -1 ? -1 : pixel[k] > 1 ? 1 : pixel[k];
	}
}

int run_lift_answer(struct run *run, int call, struct error *err)
{
	struct lift *lift = run->lift;
	size_t n = run_values(run);
	if (!lift)
		return SUMI_OK;
	for (size_t i = 0; i < n; i++)
		lift->end[i] = sampler_estimate(run->sampler, call, run->x[i], run->prediction[i]);
	run_to_models(run, lift->end, run->denoised);
	int status = run_decode_latents(run, run->denoised, lift->pixels, err);
	if (status)
		return status;
	put_known(run);
	if ((status = run_encode_pictures(run, &lift->encode, lift->pixels, false, lift->end, err)))
		return status;
	for (size_t i = 0; i < n; i++)
		run->prediction[i] = sampler_answer(run->sampler, call, run->x[i], lift->end[i]);
	return SUMI_OK;
}
