/* Codecs: what all kinds share. */
#include "diffusion/codec_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "networks/pass.h"

int codec_open(const struct codec_kind *kind, struct device *device, const char *folder,
	       struct packed_store *store, struct codec **out, struct error *err)
{
	*out = NULL;
	return kind->open(kind, device, folder, store, out, err);
}

void codec_close(struct codec *codec)
{
	if (!codec)
		return;
	free(codec->scale);
	free(codec->shift);
	codec->kind->close(codec);
}

void codec_rest(const struct codec *codec)
{
	if (codec->kind->rest)
		codec->kind->rest(codec);
}

static size_t pixels_of(const struct latent_spec *s)
{
	size_t frames = 1 + (size_t)(s->frames - 1) * (size_t)s->time_scale;
	return frames * (size_t)(s->height * s->scale) * (size_t)(s->width * s->scale);
}

static size_t latents_of(const struct latent_spec *s)
{
	return (size_t)s->frames * (size_t)s->height * (size_t)s->width;
}

/* Columns first … first + width of rows of `columns` columns into out; beyond the edges they go
 * around (circular) or stand still. cell: floats of a column. */
static void cut_columns(const float *in, size_t rows, int columns, int first, int width,
			bool circular, size_t cell, float *out)
{
	for (size_t y = 0; y < rows; y++)
		for (int x = 0; x < width; x++) {
			int from = first + x;
			if (circular)
				from = (from % columns + columns) % columns;
			else
				from = from < 0 ? 0 : from >= columns ? columns - 1 : from;
			memcpy(out + (y * (size_t)width + (size_t)x) * cell,
			       in + (y * (size_t)columns + (size_t)from) * cell,
			       cell * sizeof(float));
		}
}

/* ---- decoding ---- */

/* Pieces of the kind's own; as one it may go around. */
static struct codec_pieces pieces_of(const struct codec_job *job)
{
	struct codec_pieces pieces = job->pieces;
	pieces.wrap = pieces.rows || job->tile ? 0 : job->wrap;
	return pieces;
}

/* own: as the autoencoder has them. */
static int decode_own(struct codec *codec, const struct latent_spec *block,
		      const struct codec_job *job, const float *own, float *pixels,
		      struct error *err)
{
	if (job->tile && (block->height > job->tile || block->width > job->tile))
		return codec_decode_tiled(codec, block, job->tile, own, pixels, err);
	return codec->kind->decode(codec, block, pieces_of(job), own, pixels, err);
}

/* Latents beyond the edges that are coded and thrown away. */
struct margins {
	int x, y;
};

static struct margins margins_of(const struct codec *codec, const struct codec_job *job)
{
	bool apart = job->pieces.rows || job->tile;
	return (struct margins){
	    .x = job->circular || (apart && job->wrap & WRAP_X) ? codec->reach : 0,
	    .y = apart && job->wrap & WRAP_Y ? codec->reach : 0,
	};
}

/* A sheet [frames, h, w, cell] with margins that go around; NULL: no memory. The caller frees it. */
static float *with_margins(const float *in, int frames, int h, int w, struct margins m, size_t cell)
{
	size_t wide = (size_t)(w + 2 * m.x), count = (size_t)frames * (size_t)(h + 2 * m.y) * wide * cell;
	float *lines = malloc((size_t)frames * (size_t)h * wide * cell * sizeof *lines);
	float *out = malloc(count * sizeof *out);
	if (lines && out) {
		cut_columns(in, (size_t)frames * (size_t)h, w, -m.x, (int)wide, true, cell, lines);
		cut_columns(lines, (size_t)frames, h, -m.y, h + 2 * m.y, true, wide * cell, out);
		free(lines);
		return out;
	}
	free(lines);
	free(out);
	return NULL;
}

/* What lies within margins of a sheet [frames, h + 2·m.y, w + 2·m.x, cell]. */
static void without_margins(const float *in, int frames, int h, int w, struct margins m, size_t cell, float *out)
{
	size_t wide = (size_t)(w + 2 * m.x) * cell, high = (size_t)(h + 2 * m.y);
	for (size_t f = 0; f < (size_t)frames; f++)
		for (size_t y = 0; y < (size_t)h; y++)
			memcpy(out + (f * (size_t)h + y) * (size_t)w * cell,
			       in + (f * high + y + (size_t)m.y) * wide + (size_t)m.x * cell,
			       (size_t)w * cell * sizeof *out);
}

/* A circle is decoded with so much more at both ends that its seam is felt by nothing that is kept. */
static int decode_circle(struct codec *codec, const struct codec_job *job, struct margins m,
			 const float *own, float *pixels, struct error *err)
{
	int high = job->height + 2 * m.y, wide = job->width + 2 * m.x, scale = codec->latents.scale;
	struct latent_spec block = codec_block(codec, job->frames, high, wide);
	size_t colours = (size_t)block.colours;
	size_t frames = pixels_of(&block) / ((size_t)(high * scale) * (size_t)(wide * scale));
	float *padded = with_margins(own, job->frames, job->height, job->width, m, (size_t)block.channels);
	float *picture = malloc(pixels_of(&block) * colours * sizeof *picture);
	int status = padded && picture ? decode_own(codec, &block, job, padded, picture, err)
				       : error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d",
						   wide * scale, high * scale);
	if (!status)
		without_margins(picture, (int)frames, job->height * scale, job->width * scale,
				(struct margins){m.x * scale, m.y * scale}, colours, pixels);
	free(padded);
	free(picture);
	return status;
}

/* What device and run would like of numbers, while a codec that must not be rounded works. */
struct liking {
	enum dtype dtype;
	enum precision precision;
};

static struct liking insist(struct codec *codec)
{
	struct device *d = codec->device;
	if (!codec->exact)
		return (struct liking){0};
	struct liking before = {d->activation_dtype, d->precision};
	d->activation_dtype = DTYPE_F32;
	d->precision = PRECISION_EXACT;
	return before;
}

static void relent(struct codec *codec, struct liking before)
{
	if (!codec->exact)
		return;
	codec->device->activation_dtype = before.dtype;
	codec->device->precision = before.precision;
}

int codec_decode(struct codec *codec, const struct codec_job *job, const float *latents,
		 float *pixels, struct error *err)
{
	if (job->tile != 0 && job->tile < CODEC_TILE_MIN)
		return error_set(err, SUMI_INVALID,
				 "a tile of %d latent pixels: at least %d are needed", job->tile,
				 CODEC_TILE_MIN);
	struct latent_spec block = codec_block(codec, job->frames, job->height, job->width);
	size_t c = (size_t)block.channels, count = latents_of(&block) * c;
	float *own = malloc(count * sizeof *own);
	if (!own)
		return error_set(err, SUMI_NOMEM, "out of memory for %zu latents", count);
	for (size_t i = 0; i < count; i++)
		own[i] = (float)(latents[i] / codec->scale[i % c] + codec->shift[i % c]);
	struct liking before = insist(codec);
	struct margins m = margins_of(codec, job);
	int status = m.x || m.y ? decode_circle(codec, job, m, own, pixels, err)
				: decode_own(codec, &block, job, own, pixels, err);
	relent(codec, before);
	free(own);
	return status;
}

/* ---- encoding ---- */

/* deviation holds the logarithm of the variance before. */
static void bring_to_scale(const struct codec *codec, size_t count, float *mean, float *deviation)
{
	size_t c = (size_t)codec->latents.channels;
	for (size_t i = 0; i < count; i++) {
		double scale = codec->scale[i % c];
		mean[i] = (float)((mean[i] - codec->shift[i % c]) * scale);
		deviation[i] = (float)(exp(0.5 * deviation[i]) * fabs(scale));
	}
}

/* One window of columns after the other, each with a margin of what stands beside it. */
static int encode_windows(struct codec *codec, const struct codec_job *job, const float *pixels,
			  float *mean, float *deviation, struct error *err)
{
	int margin = codec->reach, scale = codec->latents.scale, status = SUMI_OK;
	struct latent_spec block =
	    codec_block(codec, job->frames, job->height, job->window + 2 * margin);
	size_t c = (size_t)block.channels, latents = latents_of(&block) * c;
	size_t rows = (size_t)job->frames * (size_t)job->height;
	float *piece = malloc(pixels_of(&block) * (size_t)block.colours * sizeof *piece);
	float *part = malloc(latents * 2 * sizeof *part);
	if (!piece || !part)
		status = error_set(err, SUMI_NOMEM, "no memory for a picture of %d columns",
				   block.width * scale);
	for (int first = 0; first < job->width && !status; first += job->window) {
		int width = job->width - first < job->window ? job->width - first : job->window;
		block.width = width + 2 * margin;
		cut_columns(pixels, pixels_of(&block) / (size_t)(block.width * scale),
			    job->width * scale, (first - margin) * scale, block.width * scale,
			    job->circular, (size_t)block.colours, piece);
		status = codec->kind->encode(codec, &block, (struct codec_pieces){0}, piece, part,
					     part + latents, err);
		for (size_t y = 0; y < rows && !status; y++) {
			size_t to = (y * (size_t)job->width + (size_t)first) * c;
			size_t from = (y * (size_t)block.width + (size_t)margin) * c;
			memcpy(mean + to, part + from, (size_t)width * c * sizeof(float));
			memcpy(deviation + to, part + latents + from,
			       (size_t)width * c * sizeof(float));
		}
	}
	free(piece);
	free(part);
	return status;
}

/* In pieces, with what lies beyond the edges. */
static int encode_circle(struct codec *codec, const struct codec_job *job, struct margins m,
			 const float *pixels, float *mean, float *deviation, struct error *err)
{
	int scale = codec->latents.scale, frames = 1 + (job->frames - 1) * codec->latents.time_scale;
	struct latent_spec block =
	    codec_block(codec, job->frames, job->height + 2 * m.y, job->width + 2 * m.x);
	size_t c = (size_t)block.channels, count = latents_of(&block) * c;
	float *padded = with_margins(pixels, frames, job->height * scale, job->width * scale,
				     (struct margins){m.x * scale, m.y * scale}, (size_t)block.colours);
	float *own = malloc(2 * count * sizeof *own);
	int status = padded && own ? codec->kind->encode(codec, &block, job->pieces, padded, own, own + count, err)
				   : error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d",
					       block.width * scale, block.height * scale);
	for (int i = 0; i < 2 && !status; i++)
		without_margins(own + (size_t)i * count, job->frames, job->height, job->width, m, c,
				i ? deviation : mean);
	free(padded);
	free(own);
	return status;
}

int codec_encode(struct codec *codec, const struct codec_job *job, const float *pixels, float *mean,
		 float *deviation, struct error *err)
{
	struct latent_spec block = codec_block(codec, job->frames, job->height, job->width);
	struct liking before = insist(codec);
	struct margins m = margins_of(codec, job);
	int status = job->window  ? encode_windows(codec, job, pixels, mean, deviation, err)
		     : m.x || m.y ? encode_circle(codec, job, m, pixels, mean, deviation, err)
				  : codec->kind->encode(codec, &block, pieces_of(job), pixels, mean,
							deviation, err);
	relent(codec, before);
	if (!status)
		bring_to_scale(codec, latents_of(&block) * (size_t)block.channels, mean, deviation);
	return status;
}

/* ---- planning ---- */

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* What is coded at once. */
static struct latent_spec block_of(const struct codec *codec, const struct codec_job *job,
				   bool encoding)
{
	int height = job->height, width = job->width;
	if (encoding && job->window) {
		width = job->window;
	} else if (job->tile) {
		height = least(height, job->tile);
		width = least(width, job->tile);
	}
	return codec_block(codec, job->frames, height, width);
}

uint64_t codec_memory(const struct codec *codec, const struct codec_job *job, bool encoding,
		      enum dtype dtype)
{
	struct latent_spec block = block_of(codec, job, encoding);
	return codec->kind->memory(codec, &block, pieces_of(job), encoding,
				   codec->exact ? DTYPE_F32 : dtype);
}

uint64_t codec_largest(const struct codec *codec, const struct codec_job *job)
{
	struct latent_spec block = block_of(codec, job, false);
	return codec->kind->largest(codec, &block,
				    codec->exact ? DTYPE_F32 : codec->device->activation_dtype);
}

int codec_supported(const struct codec *codec, const struct codec_job *job, bool encoding,
		    struct error *err)
{
	const struct device *device = codec->device;
	struct latent_spec block = block_of(codec, job, encoding);
	if (!codec->kind->supported)
		return SUMI_OK;
	return codec->kind->supported(codec, &block, pieces_of(job), encoding,
				      codec->exact ? DTYPE_F32 : device->activation_dtype, device, err);
}

bool codec_plan(const struct codec *codec, struct codec_job *job, bool encoding, uint64_t bytes,
		uint64_t most_alloc, enum dtype dtype)
{
	const struct codec_kind *kind = codec->kind;
	/* In pieces it is so much larger. */
	int beyond_x = job->wrap & WRAP_X ? 2 * codec->reach : 0, beyond_y = job->wrap & WRAP_Y ? 2 * codec->reach : 0;
	struct latent_spec whole = codec_block(codec, 1, job->height + beyond_y, job->width + beyond_x);
	int longer = job->height > job->width ? job->height : job->width;
	uint64_t in_pieces = bytes ? bytes : UINT64_MAX;
	if (codec->exact)
		dtype = DTYPE_F32;
	if (most_alloc > 0 && kind->largest(codec, &whole, dtype) > most_alloc &&
	    (bytes == 0 || bytes > most_alloc))
		bytes = most_alloc;
	if (bytes == 0 || codec_memory(codec, job, encoding, dtype) <= bytes)
		return true;
	if (kind->pieces && kind->pieces(codec, &whole, encoding, in_pieces, most_alloc, dtype,
					 &job->pieces))
		return true;
	for (job->tile = encoding ? 0 : longer / 8 * 8; job->tile >= CODEC_TILE_MIN; job->tile -= 8)
		if (codec_memory(codec, job, false, dtype) <= bytes)
			return true;
	return false;
}
