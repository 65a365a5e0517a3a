#include "modalities/enlarge.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/resample.h"
#include "media/picture.h"
#include "media/webp.h"
#include "request/param.h"
#include "request/upscaler_names.h"

enum { COLOURS = 3 };

/* The network between two runs, NULL where there is none or latents grow by a kernel. */
static const char *between(const struct request *r)
{
	const struct param *p = param_find("hires_upscaler");
	return r->hires > 1 && r->hires_upscaler && !param_word(p, r->hires_upscaler) ? r->hires_upscaler : NULL;
}

int enlargers_find(const char *paths, const char *state_dir, const char *setting, const struct request *r,
		   struct enlargers *out, struct error *err)
{
	const char *hires = between(r);
	*out = (struct enlargers){.between = {.name = ""}};
	int status = SUMI_OK;
	if (hires && (status = upscalers_find(paths, state_dir, hires, upscaler_is_called, &out->between, err)))
		return error_prefix(err, "hires_upscaler");
	if (r->upscale > 0)
		status = r->upscaler ? upscalers_find(paths, state_dir, r->upscaler, upscaler_is_called, &out->after, err)
				     : upscalers_usual(paths, state_dir, setting, upscaler_is_called, &out->after, err);
	return status ? error_prefix(err, "upscaler") : SUMI_OK;
}

int enlarged_side(const struct request *r, int side)
{
	return r->upscale > 0 ? (int)lround(r->upscale * side) : side;
}

static int check_size(const struct request *r, int w, int h, struct error *err)
{
	int64_t wide = enlarged_side(r, w), high = enlarged_side(r, h);
	if (wide <= WEBP_MAX_SIDE && high <= WEBP_MAX_SIDE && wide * high <= (int64_t)PICTURE_PIXELS_MAX)
		return SUMI_OK;
	return error_set(err, SUMI_TOOBIG, "upscale %g of %dx%d is larger than a picture may be", r->upscale, w, h);
}

int enlargers_resolve(struct request *r, struct error *err)
{
	const struct enlargers *e = r->enlargers;
	double hires = r->hires > 1 ? r->hires : 1;
	if (e && e->between.path[0])
		r->hires_upscaler = e->between.name;
	if (e && e->after.path[0])
		r->upscaler = e->after.name;
	return r->upscale > 0 ? check_size(r, (int)(hires * r->width), (int)(hires * r->height), err) : SUMI_OK;
}

uint64_t enlargers_stamp(const struct enlargers *e)
{
	return e ? upscaler_stamp(&e->between) + 3 * upscaler_stamp(&e->after) : 0;
}

json_t *enlargers_json(const struct enlargers *e)
{
	json_t *between_one = e ? upscaler_json(&e->between) : NULL, *after = e ? upscaler_json(&e->after) : NULL;
	return between_one || after ? json_pack("[o*, o*]", between_one, after) : NULL;
}

int enlarger_open(struct pack *pack, const struct upscaler_file *file, struct upscaler **out, struct error *err)
{
	struct stat st;
	*out = NULL;
	if (!file || !file->path[0])
		return error_set(err, SUMI_INTERNAL, "upscaler: nobody has looked for its file");
	pack_make_way(pack, stat(file->path, &st) == 0 ? (uint64_t)st.st_size : 0);
	return upscaler_open(pack_device(pack), file->path, out, err);
}

static int tell(void *context, int done, int count, struct error *err)
{
	const struct generation *g = context;
	return g->part ? g->part(g->part_context, done, count, err) : SUMI_OK;
}

int enlarge_bytes(const struct enlarging *by, const uint8_t *rgb, int h, int w, uint8_t *out, int out_h, int out_w,
		  struct error *err)
{
	const struct upscale_watch watch = {tell, (void *)by->g};
	size_t few = (size_t)h * (size_t)w * COLOURS, many = (size_t)out_h * (size_t)out_w * COLOURS;
	float *in = malloc(few * sizeof *in), *large = malloc(many * sizeof *large);
	int status = in && large ? SUMI_OK
				 : error_set(err, SUMI_NOMEM, "no memory to enlarge a picture to %dx%d", out_w, out_h);
	for (size_t i = 0; i < few && !status; i++)
		in[i] = (float)rgb[i] / 255;
	if (!status)
		status = upscale_around(by->upscaler, in, h, w, large, out_h, out_w, by->tile, &watch, err);
	if (!status)
		picture_to_bytes(large, out, many);
	free(large);
	free(in);
	return status;
}
