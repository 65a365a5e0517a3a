/* A family that the library does not know, in one file: a denoiser of two layers on latents of 16
 * channels at scale 4, told what to make by two encoders, with a codec of its own and flow matching. */
#include "tests/unit/toy_family.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/pack.h"
#include "networks/pass.h"
#include "weights/loader.h"

/* Toys look at little of what they are told. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

/* ---- two encoders: letters in their order, and tones whatever their order ---------------- */

void toy_letters(const char *text, int rows, float *out)
{
	size_t n = strlen(text);
	for (int i = 0; i < rows * LETTERS; i++)
		out[i] = (size_t)(i / LETTERS) < n
			     ? sinf((float)(text[i / LETTERS] * (i % LETTERS + 1)) * 0.03f)
			     : 0;
}

void toy_tones(const char *text, float *out)
{
	for (const char *c = text; *c; c++)
		out[*c & (TONES - 1)] += 0.1f;
}

static int speaker_shape(const struct conditioner_kind *kind, const struct pack_info *info,
			 struct conditioner_shape *out, struct error *err)
{
	*out = (struct conditioner_shape){.tokens = 16, .width = LETTERS, .pooled = TONES};
	return SUMI_OK;
}

static int speaker_open(const struct conditioner_kind *kind, struct device *device,
			const struct pack_info *info, struct conditioner **out, struct error *err)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return error_set(err, SUMI_NOMEM, "out of memory");
	(*out)->kind = kind;
	return SUMI_OK;
}

static void speaker_close(struct conditioner *c)
{
	free(c);
}

static int speaker_encode(struct conditioner *c, const struct conditioner_input *in,
			  struct conditions *out, struct error *err)
{
	int rows = 1;
	for (int i = 0; i < in->n; i++)
		if (in->texts[i] && strlen(in->texts[i]) > (size_t)rows)
			rows = (int)strlen(in->texts[i]);
	struct condition *tokens, *pooled;
	if (conditions_add(out, CONDITION_TOKENS, rows, LETTERS, &tokens, err) ||
	    conditions_add(out, CONDITION_POOLED, 1, TONES, &pooled, err))
		return SUMI_NOMEM;
	for (int i = 0; i < in->n; i++) {
		const char *text = in->texts[i] ? in->texts[i] : "";
		toy_letters(text, rows, tokens->values + i * rows * LETTERS);
		toy_tones(text, pooled->values + i * TONES);
	}
	return SUMI_OK;
}

static const struct conditioner_kind speaker = {
    .name = "speaker",
    .open = speaker_open,
    .shape = speaker_shape,
    .encode = speaker_encode,
    .close = speaker_close,
};

/* ---- two layers --------------------------------------------------------------------------- */

struct mixer {
	struct denoiser base;
	struct weight_set set;
	struct conv_layer first, second;
};

struct mixer_session {
	struct denoiser_session base;
	struct denoiser_plan plan;
	float said[2][HIDDEN]; /* of each text, for the first layer */
};

static int mixer_size(const struct pack_info *info, const char *part, int *height, int *width,
		      struct error *err)
{
	*height = 5;
	*width = 7;
	return SUMI_OK;
}

static void mixer_close(struct denoiser *d)
{
	weight_set_clear(&((struct mixer *)d)->set);
	free(d);
}

static int mixer_open(const struct denoiser_kind *kind, struct device *device,
		      const struct pack_info *info, const char *part, struct denoiser **out,
		      struct error *err)
{
	char folder[FILES_PATH_MAX];
	struct weights *files = NULL;
	struct mixer *m = calloc(1, sizeof *m);
	if (!m)
		return error_set(err, SUMI_NOMEM, "out of memory");
	m->base.kind = kind;
	m->set.device = device;
	int status = pack_part(info, part, folder, err);
	if (!status && device)
		status = weights_open(folder, &files, err);
	if (!status) {
		struct loader l = {.files = files, .set = &m->set, .err = err};
		load_conv(&l, &m->first, HIDDEN, CHANNELS, 1, LOAD_NO_BIAS, "first");
		load_conv(&l, &m->second, CHANNELS, HIDDEN, 1, LOAD_NO_BIAS, "second");
		status = loader_end(&l);
	}
	weights_close(files);
	if (status)
		mixer_close(&m->base);
	else
		*out = &m->base;
	return status;
}

static void mixer_spec(const struct denoiser *d, struct denoiser_spec *out)
{
	*out = (struct denoiser_spec){.in = CHANNELS, .out = CHANNELS};
}

static int mixer_accepts(const struct denoiser *d, const struct conditioner_shape *shape,
			 struct error *err)
{
	return shape->width == LETTERS && shape->pooled == TONES
		   ? SUMI_OK
		   : error_set(err, SUMI_INVALID, "the mixer wants letters and tones");
}

float toy_at_time(float said, int k, float timestep)
{
	return said + cosf(timestep * 0.001f * (float)(k + 1));
}

void toy_hear(const float *tokens, int rows, const float *pooled, float *out)
{
	for (int k = 0; k < HIDDEN; k++) {
		float sum = 0;
		for (int r = 0; r < rows; r++)
			sum += tokens[r * LETTERS + k % LETTERS] * (float)(r + 1);
		out[k] = sum / (float)rows + pooled[k % TONES];
	}
}

/* latents [h, w, CHANNELS] and add [HIDDEN] → prediction. */
static void forward(struct pass *p, const struct mixer *m, const float *latents, const float *add,
		    int h, int w, float *prediction)
{
	struct map x = pass_upload(p, latents, 1, h, w, CHANNELS);
	struct map beside = pass_upload(p, add, 1, 1, 1, HIDDEN);
	struct map hidden = pass_new(p, 1, h, w, HIDDEN);
	pass_conv(p, &m->first, x, hidden, (struct conv2d_args){.add = beside.t, .act = ACT_SILU});
	pass_free(p, &beside);
	pass_conv(p, &m->second, hidden, x, (struct conv2d_args){0});
	pass_free(p, &hidden);
	pass_download(p, &x, prediction);
	pass_free(p, &x);
}

static uint64_t mixer_memory(const struct denoiser *d, const struct denoiser_plan *plan,
			     enum dtype dtype, struct denoiser_needs *needs)
{
	struct pass p = pass_plan(dtype);
	forward(&p, (const struct mixer *)d, NULL, NULL, plan->h, plan->w, NULL);
	if (needs)
		*needs = (struct denoiser_needs){.largest = p.bytes_largest};
	return p.bytes_peak;
}

static void mixer_end(struct denoiser_session *session)
{
	free(session);
}

static int mixer_prepare(struct denoiser *d, const struct denoiser_plan *plan,
			 const struct conditions *said, struct denoiser_session **out,
			 struct error *err)
{
	const struct condition *tokens = conditions_get(said, CONDITION_TOKENS);
	const struct condition *pooled = conditions_get(said, CONDITION_POOLED);
	struct mixer_session *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(err, SUMI_NOMEM, "out of memory");
	*s = (struct mixer_session){.base = {.denoiser = d}, .plan = *plan};
	for (int i = 0; i < said->n; i++)
		toy_hear(tokens->values + i * tokens->rows * LETTERS, tokens->rows,
		     pooled->values + i * TONES, s->said[i]);
	*out = &s->base;
	return SUMI_OK;
}

/* Every frame of every input by itself, for each text that is seen. */
static int mixer_evaluate(const struct denoiser_input *in, int count, struct error *err)
{
	const struct mixer *m = (const struct mixer *)in->session->denoiser;
	struct pass p = pass_begin(m->set.device, NULL, err);
	for (const struct denoiser_input *end = in + count; in < end; in++) {
		const struct mixer_session *s = (const struct mixer_session *)in->session;
		size_t one = (size_t)s->plan.h * (size_t)s->plan.w * CHANNELS;
		float add[HIDDEN], *prediction = in->prediction;
		for (int text = 1; text <= s->plan.texts; text++) {
			if (in->text && in->text != text)
				continue;
			for (int k = 0; k < HIDDEN; k++)
				add[k] = toy_at_time(s->said[text - 1][k], k, in->timestep);
			for (int f = 0; f < s->plan.frames; f++, prediction += one)
				forward(&p, m, in->latents + (size_t)f * one, add, s->plan.h,
					s->plan.w, prediction);
		}
	}
	return p.status;
}

static bool mixer_joins(const struct denoiser_session *a, const struct denoiser_session *b)
{
	const struct denoiser_plan *p = &((const struct mixer_session *)a)->plan;
	const struct denoiser_plan *q = &((const struct mixer_session *)b)->plan;
	return p->h == q->h && p->w == q->w;
}

int toy_rests;

static void mixer_rest(const struct denoiser *d)
{
	(void)d;
	toy_rests++;
}

static const struct denoiser_kind mixer = {
    .name = "mixer",
    .open = mixer_open,
    .close = mixer_close,
    .size = mixer_size,
    .spec = mixer_spec,
    .accepts = mixer_accepts,
    .memory = mixer_memory,
    .prepare = mixer_prepare,
    .end = mixer_end,
    .evaluate = mixer_evaluate,
    .joins = mixer_joins,
    .rest = mixer_rest,
};

/* ---- pixels in channels ------------------------------------------------------------------- */

static const struct latent_spec pixels16 = {
    .channels = CHANNELS, .scale = SCALE, .time_scale = 1, .patch = 1, .colours = 3};

static int shuffle_read(const char *folder, struct latent_spec *out, struct error *err)
{
	*out = pixels16;
	return SUMI_OK;
}

static void shuffle_close(struct codec *c)
{
	free(c);
}

static int shuffle_open(const struct codec_kind *kind, struct device *device, const char *folder,
			struct packed_store *store, struct codec **out, struct error *err)
{
	(void)store;
	struct codec *c = calloc(1, sizeof *c);
	if (!c)
		return error_set(err, SUMI_NOMEM, "out of memory");
	*c = (struct codec){.kind = kind, .device = device, .latents = pixels16};
	c->scale = malloc(CHANNELS * sizeof *c->scale);
	c->shift = calloc(CHANNELS, sizeof *c->shift);
	if (!c->scale || !c->shift) {
		codec_close(c);
		return error_set(err, SUMI_NOMEM, "out of memory");
	}
	for (int i = 0; i < CHANNELS; i++)
		c->scale[i] = 2;
	*out = c;
	return SUMI_OK;
}

size_t toy_place(int width, size_t i)
{
	size_t w = (size_t)width, channel = i % CHANNELS, x = i / CHANNELS % w, y = i / CHANNELS / w;
	return ((y * SCALE + channel / SCALE) * w * SCALE + x * SCALE + channel % SCALE) * 3;
}

static size_t latents_in(const struct latent_spec *b)
{
	return (size_t)(b->frames * b->height * b->width) * CHANNELS;
}

static int shuffle_decode(struct codec *c, const struct latent_spec *b, struct codec_pieces pieces,
			  const float *latents, float *pixels, struct error *err)
{
	for (size_t i = 0; i < latents_in(b); i++) {
		float *to = pixels + toy_place(b->width, i);
		to[0] = to[1] = to[2] = latents[i];
	}
	return SUMI_OK;
}

static int shuffle_encode(struct codec *c, const struct latent_spec *b, struct codec_pieces pieces,
			  const float *pixels,
			  float *mean, float *log_variance, struct error *err)
{
	for (size_t i = 0; i < latents_in(b); i++) {
		const float *from = pixels + toy_place(b->width, i);
		mean[i] = (from[0] + from[1] + from[2]) / 3;
		log_variance[i] = -INFINITY;
	}
	return SUMI_OK;
}

static uint64_t shuffle_memory(const struct codec *c, const struct latent_spec *b,
			       struct codec_pieces pieces, bool encoding, enum dtype dtype)
{
	return latents_in(b) * dtype_size(dtype);
}

static uint64_t shuffle_largest(const struct codec *c, const struct latent_spec *b,
				enum dtype dtype)
{
	return shuffle_memory(c, b, (struct codec_pieces){0}, false, dtype);
}

static const struct codec_kind shuffle = {
    .name = "shuffle",
    .latents = shuffle_read,
    .open = shuffle_open,
    .close = shuffle_close,
    .decode = shuffle_decode,
    .encode = shuffle_encode,
    .memory = shuffle_memory,
    .largest = shuffle_largest,
};

/* ---- the family ---------------------------------------------------------------------------- */

static const struct part part_index = {.folder = ".", .files = {"model_index.json"}};
static const struct part part_letters = {
    .folder = "letters", .files = {"config.json"}, .use = PART_TEXTS};
static const struct part part_tones = {
    .folder = "tones", .files = {"config.json"}, .use = PART_TEXTS};
static const struct part part_mixer = {
    .folder = "mixer", .weights = TOY_WEIGHTS, .use = PART_DENOISER};
static const struct part part_shuffle = {
    .folder = "shuffle", .files = {"config.json"}, .use = PART_CODEC};
static const struct part part_noise = {
    .folder = "noise", .files = {"scheduler_config.json"}, .use = PART_NOISE};

static const struct part *const toy_parts[] = {
    &part_index, &part_letters, &part_tones, &part_mixer, &part_shuffle, &part_noise, NULL,
};

static const char *const toy_classes[] = {"ToyPipeline", NULL};

const struct family toy_family = {
    .name = "Toys",
    .classes = toy_classes,
    .parts = toy_parts,
    .conditioner = &speaker,
    .denoiser = &mixer,
    .codec = &shuffle,
};
