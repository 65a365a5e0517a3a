/* A pack's models with random input. */
#include "bench/subject.h"

#include <stdlib.h>

#include "base/files.h"
#include "networks/text_encoder.h"
#include "networks/unet.h"
#include "networks/vae.h"
#include "weights/overlay.h"

#define TOKENS 77

const char *const subject_words[SUBJECTS] = {"text", "step", "decode", "encode"};
const char *const subject_names[SUBJECTS] = {"text encoding", "UNet step", "VAE decode",
					     "VAE encode"};

struct subject {
	enum subject_kind kind;
	struct device *device;
	struct overlays on; /* nothing but where packed weights are kept */
	struct text_encoder *encoder;
	struct unet *unet;
	struct unet_text *text;
	struct vae *vae;
	int32_t ids[TOKENS];
	float *in, *out, *timesteps, *context; /* owned */
	float *added;                          /* owned; NULL: the UNet is told nothing beside the time */
	int n, h, w;                           /* of the input */
	int frames;                            /* of the n, that belong together */
};

/* The same values in -1…1 each time; NULL when there is no memory. */
static float *numbers(size_t count)
{
	float *x = malloc(count * sizeof *x);
	uint32_t seed = 1;
	for (size_t i = 0; x && i < count; i++) {
		seed = seed * 1664525u + 1013904223u;
		x[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
	}
	return x;
}

static int allocate(struct subject *s, size_t in, size_t out, struct error *err)
{
	s->in = numbers(in);
	s->out = numbers(out);
	return s->in && s->out ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for the input");
}

static int open_text(struct subject *s, const char *pack, struct error *err)
{
	char folder[FILES_PATH_MAX];
	int status = files_path(folder, err, "%s/text_encoder", pack);
	if (status || (status = text_encoder_open_with(s->device, folder, false, &s->on, &s->encoder, err)))
		return status;
	const struct text_config *config = text_encoder_config(s->encoder);
	s->w = config->tokens < TOKENS ? config->tokens : TOKENS;
	return allocate(s, 1, (size_t)s->w * (size_t)config->width, err);
}

static int open_step(struct subject *s, const char *pack, struct error *err)
{
	char folder[FILES_PATH_MAX];
	int status = files_path(folder, err, "%s/unet", pack);
	if (status || (status = unet_open_with(s->device, folder, &s->on, &s->unet, err)))
		return status;
	if (s->frames > 1 && ((status = files_path(folder, err, "%s/motion_adapter", pack)) ||
			      (status = unet_motion_open(s->unet, folder, &s->on, err))))
		return status;
	const struct unet_config *config = unet_config(s->unet);
	int texts = s->n / s->frames;
	size_t count = (size_t)s->n * (size_t)s->h * (size_t)s->w;
	status = allocate(s, count * (size_t)config->in_channels,
			  count * (size_t)config->out_channels, err);
	if (status)
		return status;
	s->context = numbers((size_t)texts * TOKENS * (size_t)config->context);
	s->timesteps = calloc((size_t)s->n, sizeof *s->timesteps);
	if (config->added)
		s->added = numbers((size_t)s->n * (size_t)config->time_width);
	if (!s->context || !s->timesteps || (config->added && !s->added))
		return error_set(err, SUMI_NOMEM, "no memory for the input");
	for (int i = 0; i < s->n; i++)
		s->timesteps[i] = 500;
	return unet_text_new(s->unet, s->context, texts, TOKENS, &s->text, err);
}

static int open_vae(struct subject *s, const char *pack, struct error *err)
{
	char folder[FILES_PATH_MAX];
	int status = files_path(folder, err, "%s/vae", pack);
	if (status || (status = vae_open_kept(s->device, folder, s->on.store, &s->vae, err)))
		return status;
	const struct vae_config *config = vae_config(s->vae);
	size_t picture = (size_t)s->h * (size_t)s->w;
	size_t latents = picture / (size_t)(config->scale * config->scale);
	latents *= (size_t)config->latent_channels;
	s->n = 1;
	if (s->kind == SUBJECT_ENCODE)
		return allocate(s, picture * (size_t)config->in_channels, latents, err);
	s->h /= config->scale;
	s->w /= config->scale;
	return allocate(s, latents, picture * (size_t)config->out_channels, err);
}

/* A latent pixel's side in pixels. */
static int read_scale(const char *pack, int *scale, struct error *err)
{
	char folder[FILES_PATH_MAX];
	struct vae_config config;
	int status = files_path(folder, err, "%s/vae", pack);
	if (!status)
		status = vae_config_read(folder, &config, err);
	if (!status)
		*scale = config.scale;
	return status;
}

int subject_open(struct device *d, const char *pack, enum subject_kind kind,
		 const struct subject_size *size, struct subject **out, struct error *err)
{
	int scale;
	*out = NULL;
	int status = read_scale(pack, &scale, err);
	if (status)
		return status;
	struct subject *s = calloc(1, sizeof *s);
	if (!s)
		return error_set(err, SUMI_NOMEM, "no memory for a model's bench");
	*s = (struct subject){
	    .kind = kind, .device = d, .n = size->batch, .h = size->height, .w = size->width,
	    .on.store = size->store};
	*out = s;
	if (kind == SUBJECT_TEXT)
		return open_text(s, pack, err);
	if (kind != SUBJECT_STEP)
		return open_vae(s, pack, err);
	s->h /= scale;
	s->w /= scale;
	s->frames = size->frames > 1 ? size->frames : 1;
	s->n *= s->frames;
	return open_step(s, pack, err);
}

void subject_close(struct subject *s)
{
	if (!s)
		return;
	unet_text_free(s->text);
	unet_close(s->unet);
	vae_close(s->vae);
	text_encoder_close(s->encoder);
	free(s->context);
	free(s->added);
	free(s->timesteps);
	free(s->in);
	free(s->out);
	free(s);
}

int subject_call(void *user, struct error *err)
{
	struct subject *s = user;
	if (s->kind == SUBJECT_TEXT) {
		struct text_input in = {.ids = s->ids, .n = 1, .tokens = s->w};
		return text_encoder_forward(s->encoder, &in, s->out, err);
	}
	if (s->kind == SUBJECT_STEP) {
		struct unet_input in = {.latents = s->in,
					.n = s->n,
					.h = s->h,
					.w = s->w,
					.timesteps = s->timesteps,
					.added = s->added,
					.text = s->text,
					.motion.frames = s->frames};
		return unet_forward(s->unet, &in, s->out, err);
	}
	struct vae_input in = {.values = s->in, .n = 1, .h = s->h, .w = s->w};
	return s->kind == SUBJECT_DECODE ? vae_decode(s->vae, &in, s->out, err)
					 : vae_encode(s->vae, &in, s->out, NULL, err);
}

uint64_t subject_plan(const struct subject *s)
{
	if (s->kind == SUBJECT_DECODE)
		return vae_memory(vae_config(s->vae), 1, s->h, s->w, s->device->activation_dtype);
	if (s->kind != SUBJECT_STEP)
		return 0;
	struct unet_plan plan = {.config = unet_config(s->unet),
				 .texts = s->n / s->frames,
				 .motion.frames = s->frames,
				 .tokens = TOKENS,
				 .n = s->n,
				 .h = s->h,
				 .w = s->w,
				 .dtype = s->device->activation_dtype};
	return unet_memory(&plan, NULL);
}
