/* Pictures of which a part is made anew. */
#include "modalities/repaint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/resample.h"
#include "diffusion/pack.h"
#include "media/mask.h"
#include "media/picture.h"
#include "media/picture_file.h"

#define BLUR_A1111 4.0
#define PADDING_A1111 32.0
#define IMAGE_CFG_SCALE 1.5

/* A mask may differ from init's shape by so much: sides are whole pixels. */
#define SHAPE_TOLERANCE 0.01

struct repaint {
	float *init, *mask; /* for the core, of the request's size */
	/* Where the core's picture goes: into the box of whole, as far as over says. whole NULL: it is the
	 * result itself. */
	uint8_t *whole, *over;
	int width, height; /* of both */
	struct mask_box box;
};

static bool pastes(const struct request *r)
{
	return r->only_masked || strcmp(r->mask_blend, "a1111") == 0;
}

/* ---- resolving ---- */

/* What is transparent, or was not there, has no colours of its own. */
static const char *usual_fill(const struct request *r)
{
	bool beyond = r->outpaint_left || r->outpaint_right || r->outpaint_top || r->outpaint_bottom;
	return beyond || !r->mask ? "fill" : "original";
}

static int resolve_mask(struct request *r, struct error *err)
{
	if (!r->mask_blend)
		r->mask_blend = "a1111";
	if (isnan(r->mask_blur))
		r->mask_blur = strcmp(r->mask_blend, "a1111") == 0 ? BLUR_A1111 : 0;
	if (!r->mask_fill)
		r->mask_fill = usual_fill(r);
	if (r->only_masked && isnan(r->mask_padding))
		r->mask_padding = PADDING_A1111;
	if (r->outpaint_left + r->outpaint_right >= r->width)
		return error_set(err, SUMI_INVALID,
				 "outpaint_left and outpaint_right leave nothing of a width of %d",
				 r->width);
	if (r->outpaint_top + r->outpaint_bottom >= r->height)
		return error_set(err, SUMI_INVALID,
				 "outpaint_top and outpaint_bottom leave nothing of a height of %d",
				 r->height);
	return SUMI_OK;
}

/* A model that changes a picture begins with noise: all of the run is made. */
static int resolve_picture(const struct pack_info *info, struct request *r, struct error *err)
{
	if (!r->init)
		return error_set(err, SUMI_INVALID,
				 "model %s changes a picture as the prompt says: give one as init",
				 info->name);
	if (request_masked(r))
		return error_set(err, SUMI_INVALID,
				 "model %s changes whole pictures: it takes no mask", info->name);
	if (!isnan(r->strength) && r->strength != 1)
		return error_set(err, SUMI_INVALID,
				 "model %s begins with noise alone: strength has no say, what "
				 "image_cfg_scale is says how much of init stays",
				 info->name);
	r->strength = 1;
	if (r->image_cfg_scale == 0)
		r->image_cfg_scale = IMAGE_CFG_SCALE;
	return SUMI_OK;
}

int repaint_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	if (info->shows_picture)
		return resolve_picture(info, r, err);
	if (r->image_cfg_scale != 0)
		return error_set(err, SUMI_INVALID,
				 "image_cfg_scale is for models that change a picture "
				 "(instruct-pix2pix), and %s is none",
				 info->name);
	return request_masked(r) ? resolve_mask(r, err) : SUMI_OK;
}

/* ---- pixels ---- */

struct pixels {
	uint8_t *rgb, *mask;
	int width, height; /* of both */
};

static int no_memory(struct error *err)
{
	return error_set(err, SUMI_NOMEM, "no memory for the pixels of init and mask");
}

/* Scaled by a box filter that cuts off what the other shape does not hold, as all of init is. */
static int fit(const uint8_t *in, int width, int height, int channels, uint8_t *out, int out_width,
	       int out_height, struct error *err)
{
	size_t values = (size_t)out_width * (size_t)out_height * (size_t)channels;
	if (width == out_width && height == out_height) {
		memcpy(out, in, values);
		return SUMI_OK;
	}
	float *scaled = malloc(values * sizeof *scaled);
	if (!scaled)
		return no_memory(err);
	picture_scale(in, width, height, channels, scaled, out_width, out_height);
	for (size_t i = 0; i < values; i++)
		scaled[i] = (scaled[i] + 1) / 2;
	picture_to_bytes(scaled, out, values);
	free(scaled);
	return SUMI_OK;
}

/* init's colours, those under what is transparent too, and its own mask where that is asked for. */
static int read_init(const struct request *r, enum mask_from from, struct pixels *p,
		     struct error *err)
{
	char *data;
	uint8_t *rgba = NULL;
	size_t size;
	int status = files_read(r->init_file, PICTURE_FILE_MAX, &data, &size, err);
	if (status)
		return status;
	if (from == MASK_LIGHT || r->mask) {
		status = picture_decode(data, size, r->init, &p->rgb, &p->width, &p->height, err);
		free(data);
		return status;
	}
	status = mask_decode(data, size, r->init, from, &p->mask, &p->width, &p->height, err);
	if (!status)
		status = picture_decode_rgba(data, size, r->init, &rgba, &p->width, &p->height, err);
	size_t pixels = status ? 0 : (size_t)p->width * (size_t)p->height;
	if (!status && !(p->rgb = malloc(pixels * 3)))
		status = no_memory(err);
	for (size_t i = 0; i < pixels && !status; i++)
		memcpy(p->rgb + 3 * i, rgba + 4 * i, 3);
	free(rgba);
	free(data);
	return status;
}

/* In init's size. */
static int read_mask(const struct request *r, enum mask_from from, struct pixels *p,
		     struct error *err)
{
	char *data;
	uint8_t *read;
	size_t size;
	int width, height, status;
	if (!r->mask_file)
		return error_set(err, SUMI_INTERNAL, "mask: nobody has looked for its file");
	if ((status = files_read(r->mask_file, PICTURE_FILE_MAX, &data, &size, err)))
		return status;
	status = mask_decode(data, size, r->mask, from, &read, &width, &height, err);
	free(data);
	if (status)
		return status;
	double shape = (double)width * p->height / height / p->width;
	if (fabs(shape - 1) > SHAPE_TOLERANCE)
		status = error_set(err, SUMI_INVALID,
				   "mask has %dx%d pixels and init %dx%d: a mask must have the shape of "
				   "the picture of which it says what is made anew",
				   width, height, p->width, p->height);
	else if (!(p->mask = malloc((size_t)p->width * (size_t)p->height)))
		status = no_memory(err);
	else
		status = resample_bytes(RESAMPLE_SMOOTH_LINEAR, read, height, width, 1, p->mask,
					p->height, p->width, err);
	free(read);
	return status;
}

static int read_files(const struct request *r, struct pixels *p, struct error *err)
{
	enum mask_from from = !r->mask_from			  ? MASK_LIGHT
			      : strcmp(r->mask_from, "alpha") == 0 ? MASK_ALPHA
			      : strcmp(r->mask_from, "drawn") == 0 ? MASK_DRAWN
								   : MASK_LIGHT;
	int status = read_init(r, from, p, err);
	if (!status && r->mask)
		status = read_mask(r, from, p, err);
	size_t pixels = status ? 0 : (size_t)p->width * (size_t)p->height;
	bool given = p->mask != NULL;
	if (!status && !given && !(p->mask = calloc(pixels, 1))) /* what lies beside it alone */
		status = no_memory(err);
	for (size_t i = 0; i < pixels && given && r->mask_invert && !status; i++)
		p->mask[i] = (uint8_t)(255 - p->mask[i]);
	return status;
}

static int shape_mask(const struct request *r, struct pixels *p, struct error *err)
{
	int status = mask_grow(p->mask, p->width, p->height, r->mask_grow, err);
	if (!status)
		status = mask_blur(p->mask, p->width, p->height, r->mask_blur, err);
	bool alpha = r->mask_from && strcmp(r->mask_from, "alpha") == 0;
	if (!status && !mask_any(p->mask, p->width, p->height))
		status = error_set(err, SUMI_INVALID,
				   "%s: nothing of it is %s, so that nothing would be made anew "
				   "(mask_invert turns it round, mask_from says what of it counts)",
				   r->mask ? "mask" : "init", alpha ? "transparent" : "white");
	return status;
}

/* ---- the two ways ---- */

/* init and mask in the request's size, with what is made beside them; beyond init its edge goes on. */
static int spread(const struct request *r, struct pixels *p, struct error *err)
{
	int left = r->outpaint_left, top = r->outpaint_top;
	int inner_width = r->width - left - r->outpaint_right;
	int inner_height = r->height - top - r->outpaint_bottom;
	size_t inner = (size_t)inner_width * (size_t)inner_height;
	size_t all = (size_t)r->width * (size_t)r->height;
	uint8_t *rgb = malloc(inner * 3), *mask = malloc(inner);
	struct pixels out = {malloc(all * 3), malloc(all), r->width, r->height};
	int status = rgb && mask && out.rgb && out.mask ? SUMI_OK : no_memory(err);
	if (!status)
		status = fit(p->rgb, p->width, p->height, 3, rgb, inner_width, inner_height, err);
	if (!status)
		status = fit(p->mask, p->width, p->height, 1, mask, inner_width, inner_height,
			     err);
	for (int y = 0; y < r->height && !status; y++)
		for (int x = 0; x < r->width; x++) {
			int u = x - left, v = y - top;
			bool inside = u >= 0 && u < inner_width && v >= 0 && v < inner_height;
			u = u < 0 ? 0 : u >= inner_width ? inner_width - 1 : u;
			v = v < 0 ? 0 : v >= inner_height ? inner_height - 1 : v;
			size_t from = (size_t)v * (size_t)inner_width + (size_t)u;
			size_t to = (size_t)y * (size_t)r->width + (size_t)x;
			memcpy(out.rgb + to * 3, rgb + from * 3, 3);
			out.mask[to] = inside ? mask[from] : 255;
		}
	free(rgb);
	free(mask);
	if (status) {
		free(out.rgb);
		free(out.mask);
		return status;
	}
	free(p->rgb);
	free(p->mask);
	*p = out;
	return SUMI_OK;
}

/* A1111 lays the whole picture back with a mask of twice the strength: what is half in it, is in it. */
static int keep_whole(struct repaint *out, const struct pixels *p, int strength, struct error *err)
{
	size_t pixels = (size_t)p->width * (size_t)p->height;
	out->whole = malloc(pixels * 3);
	out->over = malloc(pixels);
	out->width = p->width;
	out->height = p->height;
	if (!out->whole || !out->over)
		return no_memory(err);
	memcpy(out->whole, p->rgb, pixels * 3);
	for (size_t i = 0; i < pixels; i++) {
		int over = p->mask[i] * strength;
		out->over[i] = (uint8_t)(over > 255 ? 255 : over);
	}
	return SUMI_OK;
}

/* The box of a picture of bytes in another size, as a picture of its own. */
static int cut(const uint8_t *in, int width, struct mask_box box, int channels, uint8_t *out,
	       int out_width, int out_height, struct error *err)
{
	size_t c = (size_t)channels, row = (size_t)box.width * c;
	uint8_t *piece = malloc(row * (size_t)box.height);
	if (!piece)
		return no_memory(err);
	for (int y = 0; y < box.height; y++)
		memcpy(piece + (size_t)y * row,
		       in + ((size_t)(box.y + y) * (size_t)width + (size_t)box.x) * c, row);
	int status = resample_bytes(RESAMPLE_LANCZOS, piece, box.height, box.width, channels, out,
				    out_height, out_width, err);
	free(piece);
	return status;
}

/* The surroundings of the mask, as large as the request says. */
static int enlarge(const struct request *r, struct pixels *p, struct repaint *out, struct error *err)
{
	size_t all = (size_t)r->width * (size_t)r->height;
	struct pixels part = {malloc(all * 3), malloc(all), r->width, r->height};
	out->box =
	    mask_box(p->mask, p->width, p->height, (int)r->mask_padding, r->width, r->height);
	int status = part.rgb && part.mask ? keep_whole(out, p, 1, err) : no_memory(err);
	if (!status)
		status = cut(p->rgb, p->width, out->box, 3, part.rgb, r->width, r->height, err);
	if (!status)
		status = cut(p->mask, p->width, out->box, 1, part.mask, r->width, r->height, err);
	free(p->rgb);
	free(p->mask);
	*p = part;
	return status;
}

/* The numbers that the core begins with. */
static int to_numbers(const struct request *r, struct pixels *p, struct repaint *out,
		      struct error *err)
{
	size_t pixels = (size_t)p->width * (size_t)p->height;
	int status = SUMI_OK;
	if (strcmp(r->mask_fill, "original") != 0)
		status = mask_fill(p->rgb, p->mask, p->width, p->height, err);
	out->init = malloc(pixels * 3 * sizeof *out->init);
	out->mask = malloc(pixels * sizeof *out->mask);
	if (!status && (!out->init || !out->mask))
		status = no_memory(err);
	for (size_t i = 0; i < pixels * 3 && !status; i++)
		out->init[i] = (float)(p->rgb[i] / 127.5 - 1);
	for (size_t i = 0; i < pixels && !status; i++)
		out->mask[i] = (float)p->mask[i] / 255;
	return status;
}

int repaint_load(const struct request *r, struct repaint **out, struct error *err)
{
	struct pixels p = {0};
	*out = NULL;
	struct repaint *made = calloc(1, sizeof *made);
	if (!made)
		return error_set(err, SUMI_NOMEM, "out of memory");
	int status = read_files(r, &p, err);
	if (!status && !r->only_masked)
		status = spread(r, &p, err);
	if (!status)
		status = shape_mask(r, &p, err);
	if (!status && r->only_masked) {
		status = enlarge(r, &p, made, err);
	} else if (!status && pastes(r)) {
		made->box = (struct mask_box){0, 0, p.width, p.height};
		status = keep_whole(made, &p, 2, err);
	}
	if (!status)
		status = to_numbers(r, &p, made, err);
	free(p.rgb);
	free(p.mask);
	if (status)
		repaint_free(made);
	else
		*out = made;
	return status;
}

void repaint_begun(struct repaint *p)
{
	free(p->init);
	free(p->mask);
	p->init = p->mask = NULL;
}

void repaint_free(struct repaint *p)
{
	if (!p)
		return;
	repaint_begun(p);
	free(p->whole);
	free(p->over);
	free(p);
}

const float *repaint_init(const struct repaint *p)
{
	return p->init;
}

const float *repaint_mask(const struct repaint *p)
{
	return p->mask;
}

/* ---- the result ---- */

/* What the mask leaves out keeps its bytes. */
static void lay(const struct repaint *p, const uint8_t *piece, uint8_t *whole)
{
	size_t width = (size_t)p->box.width;
	for (size_t y = 0; y < (size_t)p->box.height; y++)
		for (size_t x = 0; x < width; x++) {
			size_t at = ((size_t)p->box.y + y) * (size_t)p->width + (size_t)p->box.x + x;
			int over = p->over[at];
			for (size_t c = 0; c < 3; c++) {
				int now = whole[at * 3 + c], new = piece[(y * width + x) * 3 + c];
				whole[at * 3 + c] =
				    (uint8_t)((new * over + now * (255 - over) + 127) / 255);
			}
		}
}

int repaint_paste(const struct repaint *p, uint8_t **rgb, int *width, int *height, struct error *err)
{
	if (!p->whole)
		return SUMI_OK;
	size_t bytes = (size_t)p->width * (size_t)p->height * 3;
	uint8_t *whole = malloc(bytes);
	uint8_t *piece = malloc((size_t)p->box.width * (size_t)p->box.height * 3);
	int status = whole && piece
			 ? resample_bytes(RESAMPLE_LANCZOS, *rgb, *height, *width, 3, piece,
					  p->box.height, p->box.width, err)
			 : no_memory(err);
	if (!status) {
		memcpy(whole, p->whole, bytes);
		lay(p, piece, whole);
		free(*rgb);
		*rgb = whole;
		*width = p->width;
		*height = p->height;
	}
	free(piece);
	if (status)
		free(whole);
	return status;
}
