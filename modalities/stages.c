/* Second runs. A refiner goes on as diffusers hands over (denoising_end, denoising_start). A1111's second pass at a higher resolution runs all its steps, the last ones of a longer
 * schedule, with noise drawn anew from the same seed. */
#include "modalities/stages.h"

#include <stdlib.h>
#include <string.h>

#include "base/resample.h"
#include "diffusion/catalogue.h"
#include "diffusion/family.h"
#include "modalities/enlarge.h"
#include "request/param.h"

#define REFINER_USUAL 0.8
#define STRENGTH_USUAL 0.7
#define STRENGTH_MOST 0.999 /* A1111's */

static const struct kernel {
	const char *word;
	enum resample how;
	bool pixels;
} kernels[] = {
    {"latent", RESAMPLE_LINEAR, false},
    {"latent_antialiased", RESAMPLE_SMOOTH_LINEAR, false},
    {"latent_bicubic", RESAMPLE_CUBIC, false},
    {"latent_bicubic_antialiased", RESAMPLE_SMOOTH_CUBIC, false},
    {"latent_nearest", RESAMPLE_NEAREST, false},
    {"latent_nearest_exact", RESAMPLE_NEAREST_EXACT, false},
    {"lanczos", RESAMPLE_LANCZOS, true},
    {"nearest", RESAMPLE_NEAREST_EXACT, true},
};

/* NULL: a network does it. */
static const struct kernel *kernel_of(const struct request *r)
{
	for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
		if (strcmp(kernels[i].word, r->hires_upscaler) == 0)
			return &kernels[i];
	return NULL;
}

bool stages_second(const struct request *r)
{
	return r->hires > 1 || r->refiner;
}

/* ---- a refiner ---- */

void stages_first(const struct request *r, struct run_params *first)
{
	if (r->refiner)
		first->until = r->refiner_at;
}

int stages_pack(const struct request *r, const struct pack_info *info, char folder[FILES_PATH_MAX],
		struct error *err)
{
	struct catalogue c;
	struct pack_info other;
	folder[0] = '\0';
	if (!r->refiner)
		return SUMI_OK;
	int status = catalogue_list(r->host_packs, r->host_state, &c, err);
	if (status)
		return status;
	status = catalogue_find(&c, r->refiner, folder, err);
	catalogue_free(&c);
	if (status || (status = pack_info_read_plain(folder, &other, err)))
		return error_prefix(err, "refiner");
	/* Latents of one shape may mean other colours: those of SD 1 and SD XL do. */
	if (other.latents.channels != info->latents.channels || other.family->preview != info->family->preview ||
	    other.latents.scale != info->latents.scale || other.shows_mask || other.shows_picture)
		status = error_set(err, SUMI_INVALID,
				   "refiner: model %s does not go on with what %s makes", other.name,
				   info->name);
	pack_info_free(&other);
	return status;
}

/* ---- a second pass ---- */

/* Steps of the schedule whose last ones are run. */
static int schedule_steps(const struct request *r)
{
	double strength = r->hires_strength < STRENGTH_MOST ? r->hires_strength : STRENGTH_MOST;
	return (int)(r->hires_steps / strength);
}

/* A side as A1111 has it, of whole latents. */
static int larger(const struct pack_info *info, const struct request *r, int side)
{
	int step = latent_step(&info->latents);
	return (int)(side * r->hires) / step * step;
}

int stages_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	enum { STEPS_MOST = 1000, SIDE_MOST = 8192 };
	if (r->refiner && r->refiner_at == 0)
		r->refiner_at = REFINER_USUAL;
	if (r->refiner && r->refiner_at >= 1)
		return error_set(err, SUMI_INVALID,
				 "refiner_at is %g: the refiner must have a part of the run, so less than "
				 "1",
				 r->refiner_at);
	if (r->hires <= 1)
		return SUMI_OK;
	if (!r->hires_upscaler)
		r->hires_upscaler = kernels[0].word;
	if (r->hires_strength == 0)
		r->hires_strength = STRENGTH_USUAL;
	if (r->hires_steps == 0)
		r->hires_steps = r->steps;
	if (r->hires_steps / r->hires_strength > STEPS_MOST)
		return error_set(err, SUMI_INVALID,
				 "hires_strength %g with %d steps has a schedule of more than %d: use "
				 "fewer hires_steps or a greater hires_strength",
				 r->hires_strength, r->hires_steps, STEPS_MOST);
	if (larger(info, r, r->width) > SIDE_MOST || larger(info, r, r->height) > SIDE_MOST)
		return error_set(err, SUMI_INVALID,
				 "hires %g of %dx%d is more than %d a side", r->hires, r->width,
				 r->height, SIDE_MOST);
	return SUMI_OK;
}

struct run_params stages_params(const struct request *r, const struct pack_info *info,
				const struct run_params *first)
{
	struct run_params next = *first;
	if (r->refiner) {
		next.until = 1;
		next.from = r->refiner_at;
		next.from_latents = true;
		next.fast = false;
		return next;
	}
	next.width = larger(info, r, r->width);
	next.height = larger(info, r, r->height);
	next.steps = schedule_steps(r);
	next.last_steps = r->hires_steps;
	const struct kernel *kernel = kernel_of(r);
	next.from_latents = kernel && !kernel->pixels;
	next.init_frames = 1;
	return next;
}

static int enlarge_latents(const struct stage *at, enum resample how, float **owned, struct error *err)
{
	size_t count;
	struct run_params *next = at->next;
	struct latent_spec s = run_latent_spec(at->first);
	int height = next->height / s.scale, width = next->width / s.scale;
	const float *latents = run_latents(at->first, false, &count);
	*owned = malloc((size_t)height * (size_t)width * (size_t)s.channels * sizeof **owned);
	if (!*owned)
		return error_set(err, SUMI_NOMEM, "no memory for latents of %dx%d", width, height);
	next->latents = *owned;
	return resample(how, latents, s.height, s.width, s.channels, *owned, height, width, err);
}

enum { COLOURS = 3 };

/* A1111 goes through a network as often as it takes, at most three times, and has bytes between; PIL's Lanczos
 * makes of that what is wanted. */
static int enlarge_by_network(const struct stage *s, const uint8_t *small, int h, int w, uint8_t *large,
			      struct error *err)
{
	enum { TIMES_MOST = 3 };
	const struct enlargers *e = s->request->enlargers;
	struct upscaler *u;
	const uint8_t *from = small;
	uint8_t *owned = NULL;
	bool again = true;
	int status = enlarger_open(s->pack, e ? &e->between : NULL, &u, err);
	const struct enlarging by = {u, s->g, s->request->tile};
	for (int i = 0; i < TIMES_MOST && !status && again; i++) {
		int scale = upscaler_info(u)->scale, out_h = h * scale, out_w = w * scale;
		uint8_t *out = malloc((size_t)out_h * (size_t)out_w * COLOURS);
		status = out ? enlarge_bytes(&by, from, h, w, out, out_h, out_w, err)
			     : error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d", out_w, out_h);
		free(owned);
		from = owned = out;
		h = out_h;
		w = out_w;
		again = scale > 1 && (h < s->next->height || w < s->next->width);
	}
	if (!status)
		status = resample_bytes(RESAMPLE_LANCZOS, from, h, w, COLOURS, large, s->next->height,
					s->next->width, err);
	free(owned);
	upscaler_close(u);
	return status;
}

/* A1111 cuts what was decoded to bytes, and PIL makes bytes of what it scales. */
static int enlarge_pixels(const struct stage *at, const struct kernel *kernel, float **owned, struct error *err)
{
	struct run_params *next = at->next;
	struct latent_spec s = run_latent_spec(at->first);
	int height = s.height * s.scale, width = s.width * s.scale;
	size_t few = (size_t)height * (size_t)width * COLOURS;
	size_t many = (size_t)next->height * (size_t)next->width * COLOURS;
	float *pixels = malloc(few * sizeof *pixels);
	uint8_t *small = malloc(few), *large = malloc(many);
	*owned = malloc(many * sizeof **owned);
	int status = pixels && small && large && *owned
			 ? run_decode(at->first, 0, pixels, err)
			 : error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d",
				     next->width, next->height);
	for (size_t i = 0; i < few && !status; i++)
		small[i] = (uint8_t)(pixels[i] * 255);
	if (!status)
		status = kernel ? resample_bytes(kernel->how, small, height, width, COLOURS, large, next->height,
						 next->width, err)
				: enlarge_by_network(at, small, height, width, large, err);
	for (size_t i = 0; i < many && !status; i++)
		(*owned)[i] = (float)large[i] / 255 * 2 - 1;
	next->init = *owned;
	free(pixels);
	free(small);
	free(large);
	return status;
}

int stages_go_on(const struct stage *s, float **owned, struct error *err)
{
	size_t count;
	*owned = NULL;
	if (s->request->refiner) {
		s->next->latents = run_latents(s->first, false, &count);
		return SUMI_OK;
	}
	const struct kernel *kernel = kernel_of(s->request);
	return !kernel || kernel->pixels ? enlarge_pixels(s, kernel, owned, err)
					 : enlarge_latents(s, kernel->how, owned, err);
}
