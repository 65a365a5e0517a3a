/* Pictures made larger by a network, tile by tile. */
#include "diffusion/upscale.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/resample.h"

enum {
	TILE = 256,	 /* pixels a side that go through the network at once */
	OVERLAP = 64,	 /* of these are the next tile's too, where all of them see each other: */
	DEAD = 24,	 /* so many at a tile's side do not count, behind them it fades in */
	PASSES_MAX = 4,	 /* of the network over its own result */
	SIDE_MAX = 16384,
};

/* --- one axis: where tiles begin, and how much of each counts --- */

struct axis {
	int size, tile, step, count; /* of the picture; of a tile; between tiles; tiles */
	int dead;                    /* pixels at an inner side of a tile that do not count */
	int fade;                    /* behind them, those that count in part */
};

static struct axis plan_axis(int size, const struct upscaler_info *info)
{
	int overlap = info->margin ? 2 * info->margin : OVERLAP;
	struct axis a = {.size = size, .tile = TILE, .dead = info->margin ? info->margin : DEAD};
	/* Multiples of 4 stay multiples of whatever a network wants. */
	overlap = (overlap + 3) / 4 * 4;
	a.fade = info->margin ? 0 : OVERLAP - 2 * DEAD;
	a.step = a.tile - overlap;
	if (size <= a.tile) {
		a.tile = size;
		a.count = 1;
	} else {
		a.count = 1 + (size - a.tile + a.step - 1) / a.step;
	}
	return a;
}

static int tile_start(const struct axis *a, int tile)
{
	int start = tile * a->step;
	return start + a->tile > a->size ? a->size - a->tile : start;
}

/* How much pixel i (of `times` times as many) of a tile counts. */
static float share(const struct axis *a, int start, int times, int i)
{
	int left = i, right = times * a->tile - 1 - i, dead = times * a->dead, fade = times * a->fade;
	float weight = 1;
	const int sides[2] = {start > 0 ? left : -1, start + a->tile < a->size ? right : -1};
	for (int k = 0; k < 2; k++) {
		if (sides[k] < 0)
			continue;
		if (sides[k] < dead)
			return 0;
		if (sides[k] - dead < fade)
			weight *= (float)(sides[k] - dead + 1) / (float)(fade + 1);
	}
	return weight;
}

/* Sums of the shares of all tiles at each output pixel of an axis; the caller's. */
static float *axis_sums(const struct axis *a, int times)
{
	float *sums = calloc((size_t)a->size * (size_t)times, sizeof *sums);
	for (int t = 0; sums && t < a->count; t++) {
		int start = tile_start(a, t);
		for (int i = 0; i < times * a->tile; i++)
			sums[times * start + i] += share(a, start, times, i);
	}
	return sums;
}

/* --- once through the network --- */

struct sheet {
	const struct upscaler *u;
	const float *picture; /* [h, w, 3] */
	float *out;           /* [h·scale, w·scale, 3], begins as zeros */
	int w, scale;
	struct axis down, across;
	float *down_sums, *across_sums;
	float *in, *tile; /* one tile, before and after */
};

static void cut_tile(const struct sheet *s, int y0, int x0)
{
	size_t row = (size_t)s->across.tile * 3;
	for (int y = 0; y < s->down.tile; y++)
		memcpy(s->in + (size_t)y * row,
		       s->picture + ((size_t)(y0 + y) * (size_t)s->w + (size_t)x0) * 3,
		       row * sizeof *s->in);
}

static void add_tile(const struct sheet *s, int y0, int x0)
{
	int rows = s->scale * s->down.tile, columns = s->scale * s->across.tile;
	const float *from = s->tile;
	for (int y = 0; y < rows; y++) {
		int to_y = s->scale * y0 + y;
		float down = share(&s->down, y0, s->scale, y) / s->down_sums[to_y];
		for (int x = 0; x < columns; x++, from += 3) {
			int to_x = s->scale * x0 + x;
			float part =
			    down * share(&s->across, x0, s->scale, x) / s->across_sums[to_x];
			float *to = s->out + ((size_t)to_y * (size_t)(s->scale * s->w) + (size_t)to_x) * 3;
			/* What does not count may be anything. */
			for (int c = 0; c < 3 && part > 0; c++)
				to[c] += part * from[c];
		}
	}
}

/* Tiles of one pass are numbers *done … of `count` of all. */
static int run_sheet(struct sheet *s, const struct upscale_watch *watch, int *done, int count,
		     struct error *err)
{
	int status = SUMI_OK;
	for (int i = 0; i < s->down.count * s->across.count && !status; i++) {
		int y = tile_start(&s->down, i / s->across.count);
		int x = tile_start(&s->across, i % s->across.count);
		cut_tile(s, y, x);
		status = upscaler_run(s->u, s->in, s->down.tile, s->across.tile, s->tile, err);
		if (!status)
			add_tile(s, y, x);
		if (!status && watch && watch->tile)
			status = watch->tile(watch->context, ++*done, count, err);
	}
	return status;
}

static int tiles_of(const struct upscaler_info *info, int h, int w)
{
	return plan_axis(h, info).count * plan_axis(w, info).count;
}

/* [h, w, 3], multiples of what the network wants → [h·scale, w·scale, 3]. */
static int enlarge(const struct upscaler *u, const float *picture, int h, int w, float *out,
		   const struct upscale_watch *watch, int *done, int count, struct error *err)
{
	const struct upscaler_info *info = upscaler_info(u);
	struct sheet s = {.u = u,
			  .picture = picture,
			  .out = out,
			  .w = w,
			  .scale = info->scale,
			  .down = plan_axis(h, info),
			  .across = plan_axis(w, info)};
	size_t area = (size_t)s.down.tile * (size_t)s.across.tile * 3;
	size_t values = (size_t)h * (size_t)w * 3 * (size_t)(s.scale * s.scale);
	s.down_sums = axis_sums(&s.down, s.scale);
	s.across_sums = axis_sums(&s.across, s.scale);
	s.in = malloc(area * sizeof *s.in);
	s.tile = malloc(area * (size_t)(s.scale * s.scale) * sizeof *s.tile);
	memset(out, 0, values * sizeof *out);
	int status = s.down_sums && s.across_sums && s.in && s.tile
			 ? run_sheet(&s, watch, done, count, err)
			 : error_set(err, SUMI_NOMEM, "no memory to enlarge a picture of %dx%d", w, h);
	free(s.tile);
	free(s.in);
	free(s.across_sums);
	free(s.down_sums);
	return status;
}

/* --- as often as it takes --- */

static void clamp(float *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		values[i] = fminf(fmaxf(values[i], 0), 1);
}

static int round_up(int n, int multiple)
{
	return (n + multiple - 1) / multiple * multiple;
}

/* The last rows and columns once more, to a multiple; the caller's. */
static float *padded(const float *picture, int h, int w, int high, int wide)
{
	float *out = malloc((size_t)high * (size_t)wide * 3 * sizeof *out);
	for (int y = 0; out && y < high; y++)
		for (int x = 0; x < wide; x++)
			memcpy(out + ((size_t)y * (size_t)wide + (size_t)x) * 3,
			       picture + ((size_t)(y < h ? y : h - 1) * (size_t)w +
					  (size_t)(x < w ? x : w - 1)) * 3,
			       3 * sizeof *out);
	return out;
}

/* Takes the first h × w pixels of rows that are `wide`, where they stand. */
static void crop(float *picture, int wide, int h, int w)
{
	for (int y = 1; y < h && wide != w; y++)
		memmove(picture + (size_t)y * (size_t)w * 3, picture + (size_t)y * (size_t)wide * 3,
			(size_t)w * 3 * sizeof *picture);
}

/* *picture, the caller's, is replaced by itself scale times as large. */
static int pass(const struct upscaler *u, float **picture, int *h, int *w,
		const struct upscale_watch *watch, int *done, int count, struct error *err)
{
	const struct upscaler_info *info = upscaler_info(u);
	int high = round_up(*h, info->multiple), wide = round_up(*w, info->multiple);
	float *in = padded(*picture, *h, *w, high, wide);
	float *out = malloc((size_t)high * (size_t)wide * 3 * (size_t)(info->scale * info->scale) *
			    sizeof *out);
	int status = in && out ? enlarge(u, in, high, wide, out, watch, done, count, err)
			       : error_set(err, SUMI_NOMEM,
					   "no memory to enlarge a picture of %dx%d", *w, *h);
	free(in);
	if (status) {
		free(out);
		return status;
	}
	free(*picture);
	*picture = out;
	*h *= info->scale;
	*w *= info->scale;
	crop(out, info->scale * wide, *h, *w);
	return SUMI_OK;
}

/* How often the network is used, and how many tiles that makes. */
static int count_passes(const struct upscaler_info *info, int h, int w, int out_h, int out_w, int *tiles)
{
	int passes = 0;
	*tiles = 0;
	while ((h < out_h || w < out_w) && passes <= PASSES_MAX && info->scale > 1) {
		*tiles += tiles_of(info, round_up(h, info->multiple), round_up(w, info->multiple));
		h *= info->scale;
		w *= info->scale;
		passes++;
	}
	return passes;
}

int upscale_picture(const struct upscaler *u, const float *picture, int h, int w, float *out, int out_h,
		    int out_w, const struct upscale_watch *watch, struct error *err)
{
	const struct upscaler_info *info = upscaler_info(u);
	int tiles, done = 0, first_h = h, first_w = w;
	if (h < 1 || w < 1 || out_h < h || out_w < w || out_h > SIDE_MAX || out_w > SIDE_MAX)
		return error_set(err, SUMI_INVALID, "a picture of %dx%d cannot be enlarged to %dx%d", w, h,
				 out_w, out_h);
	int passes = count_passes(info, h, w, out_h, out_w, &tiles);
	if (info->scale == 1) {
		passes = 1;
		tiles = tiles_of(info, round_up(h, info->multiple), round_up(w, info->multiple));
	}
	if (passes > PASSES_MAX)
		return error_set(err, SUMI_INVALID, "%dx%d is more than this network can make of %dx%d",
				 out_w, out_h, w, h);
	float *now = padded(picture, h, w, h, w);
	int status = now ? SUMI_OK
			 : error_set(err, SUMI_NOMEM, "no memory to enlarge a picture of %dx%d", w, h);
	for (int i = 0; i < passes && !status; i++) {
		if (i > 0)
			clamp(now, (size_t)h * (size_t)w * 3);
		status = pass(u, &now, &h, &w, watch, &done, tiles, err);
	}
	size_t values = (size_t)out_h * (size_t)out_w * 3;
	bool own = info->resize < 1 && out_h == (int)lround(info->scale * info->resize * first_h) &&
		   out_w == (int)lround(info->scale * info->resize * first_w);
	if (!status && h == out_h && w == out_w)
		memcpy(out, now, values * sizeof *out);
	else if (!status)
		status = resample(own ? RESAMPLE_CUBIC : RESAMPLE_LANCZOS, now, h, w, 3, out, out_h, out_w,
				  err);
	if (!status)
		clamp(out, values);
	free(now);
	return status;
}

/* --- pictures whose edges are one --- */

/* Pixels of an axis that are enlarged beyond an edge: so many that nothing of it is felt, and that they
 * become whole pixels. */
static int beyond(const struct upscaler_info *info, int size, int out_size)
{
	int least = info->margin > OVERLAP ? info->margin : OVERLAP, a = size, b = out_size;
	while (b) {
		int rest = a % b;
		a = b;
		b = rest;
	}
	return round_up(least, size / a);
}

int upscale_around(const struct upscaler *u, const float *picture, int h, int w, float *out, int out_h, int out_w,
		   const char *tile, const struct upscale_watch *watch, struct error *err)
{
	bool both = tile && strcmp(tile, "both") == 0;
	const struct upscaler_info *info = upscaler_info(u);
	int columns = both || (tile && strcmp(tile, "x") == 0) ? beyond(info, w, out_w) : 0;
	int lines = both || (tile && strcmp(tile, "y") == 0) ? beyond(info, h, out_h) : 0;
	if (!columns && !lines)
		return upscale_picture(u, picture, h, w, out, out_h, out_w, watch, err);
	int wide = w + 2 * columns, high = h + 2 * lines;
	int out_columns = (int)((int64_t)columns * out_w / w), out_lines = (int)((int64_t)lines * out_h / h);
	int out_wide = out_w + 2 * out_columns, out_high = out_h + 2 * out_lines;
	float *more = malloc((size_t)high * (size_t)wide * 3 * sizeof *more);
	float *large = malloc((size_t)out_high * (size_t)out_wide * 3 * sizeof *large);
	int status = more && large ? SUMI_OK
				   : error_set(err, SUMI_NOMEM, "no memory to enlarge a picture to %dx%d", out_w, out_h);
	for (int y = 0; y < high && !status; y++)
		for (int x = 0; x < wide; x++) {
			int from_y = ((y - lines) % h + h) % h, from_x = ((x - columns) % w + w) % w;
			memcpy(more + ((size_t)y * (size_t)wide + (size_t)x) * 3,
			       picture + ((size_t)from_y * (size_t)w + (size_t)from_x) * 3, 3 * sizeof *more);
		}
	if (!status)
		status = upscale_picture(u, more, high, wide, large, out_high, out_wide, watch, err);
	for (int y = 0; y < out_h && !status; y++)
		memcpy(out + (size_t)y * (size_t)out_w * 3,
		       large + ((size_t)(y + out_lines) * (size_t)out_wide + (size_t)out_columns) * 3,
		       (size_t)out_w * 3 * sizeof *out);
	free(large);
	free(more);
	return status;
}
