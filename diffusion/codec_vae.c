/* The codec of still pictures: AutoencoderKL and AutoencoderTiny, as networks/vae.h has them. */
#include "diffusion/codec.h"

#include <stdlib.h>

#include "base/files.h"
#include "base/json.h"
#include "networks/vae.h"
#include "weights/checkpoint.h"

/* Latents that are decoded beyond an edge and thrown away. */
enum { REACH = 8 };

enum { CONFIG_LIMIT = 1 << 20, LEVELS_MAX = 6 };

struct codec_of_vae {
	struct codec base;
	struct vae_config config;
	struct vae *vae; /* NULL: configs alone */
};

/* An autoencoder halves the picture between each two of its levels. */
static int latents(const char *folder, struct latent_spec *out, struct error *err)
{
	static const char name[] = "vae/config.json";
	char path[FILES_PATH_MAX];
	json_t *root = NULL;
	int status = files_path(path, err, "%s/config.json", folder);
	if (!status)
		status = part_json_read(path, CONFIG_LIMIT, &root, err);
	if (!status && !json_is_object(root))
		status = error_set(err, SUMI_INVALID, "%s: must hold one JSON object", path);
	const json_t *levels = json_object_get(root, "block_out_channels");
	if (!levels)
		levels = json_object_get(root, "encoder_block_out_channels");
	size_t n = json_array_size(levels);
	int64_t channels = 4, colours = 3;
	if (!status)
		status = json_want_int(root, name, "latent_channels", 1, 1024, &channels, err);
	if (!status)
		status = json_want_int(root, name, "out_channels", 1, 1024, &colours, err);
	if (!status && (n < 1 || n > LEVELS_MAX))
		status = error_set(err, SUMI_INVALID, "%s: 'block_out_channels' must list 1 to %d levels",
				   path, LEVELS_MAX);
	json_decref(root);
	if (status)
		return status;
	*out = (struct latent_spec){.channels = (int)channels,
				    .scale = 1 << (n - 1),
				    .time_scale = 1,
				    .patch = 1,
				    .colours = (int)colours};
	return SUMI_OK;
}

/* What the denoiser sees: diffusers' (own − latents_mean − shift_factor) · scaling_factor /
 * latents_std. */
static int set_scales(struct codec *codec, const struct vae_config *c, struct error *err)
{
	size_t n = (size_t)c->latent_channels;
	codec->scale = malloc(n * sizeof *codec->scale);
	codec->shift = malloc(n * sizeof *codec->shift);
	if (!codec->scale || !codec->shift)
		return error_set(err, SUMI_NOMEM, "out of memory for a VAE");
	for (size_t i = 0; i < n; i++) {
		bool has = i < (size_t)c->latent_stats;
		codec->scale[i] = has ? c->scaling / c->latents_std[i] : c->scaling;
		codec->shift[i] = has ? c->latents_mean[i] + c->shift : c->shift;
	}
	return SUMI_OK;
}

static int open_with(struct codec_of_vae *own, struct device *device, const char *folder,
		     struct packed_store *store, struct error *err)
{
	struct codec *codec = &own->base;
	struct vae_config *c = &own->config;
	int status = latents(folder, &codec->latents, err);
	if (!status)
		status = vae_config_read(folder, c, err);
	if (!status && device)
		status = vae_open_kept(device, folder, store, &own->vae, err);
	if (status)
		return status;
	if (c->in_channels != c->out_channels)
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: the VAE takes %d and gives %d channels, pictures have as many "
				 "of both",
				 folder, c->in_channels, c->out_channels);
	if (c->scale != codec->latents.scale)
		return error_set(err, SUMI_INVALID,
				 "%s/config.json: 'block_out_channels' lists other levels than "
				 "'encoder_block_out_channels'",
				 folder);
	codec->random = c->kind == VAE_KL;
	codec->exact = c->force_upcast;
	codec->reach = REACH;
	return set_scales(codec, c, err);
}

static void close_vae(struct codec *codec)
{
	struct codec_of_vae *own = (struct codec_of_vae *)codec;
	vae_close(own->vae);
	free(own);
}

static void rest_vae(const struct codec *codec)
{
	const struct codec_of_vae *own = (const struct codec_of_vae *)codec;
	if (own->vae)
		vae_rest(own->vae);
}

static int open_vae(const struct codec_kind *kind, struct device *device, const char *folder,
		    struct packed_store *store, struct codec **out, struct error *err)
{
	struct codec_of_vae *own = calloc(1, sizeof *own);
	if (!own)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", folder);
	own->base.kind = kind;
	own->base.device = device;
	int status = open_with(own, device, folder, store, err);
	if (status)
		codec_close(&own->base);
	else
		*out = &own->base;
	return status;
}

/* What is made in pieces goes frame by frame. */
static int frames_at_once(const struct latent_spec *block, struct codec_pieces pieces)
{
	return pieces.rows || pieces.wrap ? 1 : block->frames;
}

static int decode(struct codec *codec, const struct latent_spec *block, struct codec_pieces pieces,
		  const float *own, float *pixels, struct error *err)
{
	int status = SUMI_OK;
	struct vae_input in = {.values = own,
			       .n = frames_at_once(block, pieces),
			       .h = block->height,
			       .w = block->width,
			       .bands = {pieces.wrap, pieces.whole, pieces.rows, pieces.anew}};
	size_t one = (size_t)in.n * (size_t)in.h * (size_t)in.w, side = (size_t)block->scale;
	for (int i = 0; i < block->frames && !status; i += in.n) {
		status = vae_decode(((struct codec_of_vae *)codec)->vae, &in, pixels, err);
		in.values += one * (size_t)block->channels;
		pixels += one * side * side * (size_t)block->colours;
	}
	return status;
}

static int encode(struct codec *codec, const struct latent_spec *block, struct codec_pieces pieces,
		  const float *pixels, float *mean, float *log_variance, struct error *err)
{
	int status = SUMI_OK;
	struct vae_input in = {.values = pixels,
			       .n = frames_at_once(block, pieces),
			       .h = block->height * block->scale,
			       .w = block->width * block->scale,
			       .bands = {pieces.wrap, pieces.whole, pieces.rows, false}};
	size_t one = (size_t)in.n * (size_t)block->height * (size_t)block->width;
	for (int i = 0; i < block->frames && !status; i += in.n) {
		status = vae_encode(((struct codec_of_vae *)codec)->vae, &in, mean, log_variance, err);
		in.values += (size_t)in.n * (size_t)in.h * (size_t)in.w * (size_t)block->colours;
		mean += one * (size_t)block->channels;
		log_variance += one * (size_t)block->channels;
	}
	return status;
}

static uint64_t memory(const struct codec *codec, const struct latent_spec *block,
		       struct codec_pieces pieces, bool encoding, enum dtype dtype)
{
	const struct vae_config *c = &((const struct codec_of_vae *)codec)->config;
	struct vae_bands bands = {pieces.wrap, pieces.whole, pieces.rows, pieces.anew};
	if (pieces.rows || pieces.wrap)
		return vae_memory_bands(c, block->height, block->width, bands, encoding, dtype,
					NULL);
	return encoding ? vae_encode_memory(c, block->frames, block->height * block->scale,
					    block->width * block->scale, dtype)
			: vae_memory(c, block->frames, block->height, block->width, dtype);
}

static int supported(const struct codec *codec, const struct latent_spec *block,
		     struct codec_pieces pieces, bool encoding, enum dtype dtype,
		     const struct device *device, struct error *err)
{
	return vae_supported(&((const struct codec_of_vae *)codec)->config,
			     frames_at_once(block, pieces), block->height, block->width,
			     (struct vae_bands){pieces.wrap, pieces.whole, pieces.rows, pieces.anew}, encoding,
			     dtype, device, err);
}

static uint64_t largest(const struct codec *codec, const struct latent_spec *block,
			enum dtype dtype)
{
	const struct vae_config *c = &((const struct codec_of_vae *)codec)->config;
	return vae_largest(c, block->height, block->width, dtype);
}

static bool pieces(const struct codec *codec, const struct latent_spec *block, bool encoding,
		   uint64_t bytes, uint64_t most_alloc, enum dtype dtype, struct codec_pieces *out)
{
	struct vae_bands bands;
	bool found = vae_plan_bands(&((const struct codec_of_vae *)codec)->config, block->height,
				    block->width, encoding, bytes, most_alloc, dtype, &bands);
	*out = (struct codec_pieces){0, bands.whole, bands.rows, bands.anew};
	return found;
}

const struct codec_kind codec_vae = {
    .name = "autoencoder of pictures",
    .latents = latents,
    .open = open_vae,
    .close = close_vae,
    .rest = rest_vae,
    .decode = decode,
    .encode = encode,
    .memory = memory,
    .supported = supported,
    .largest = largest,
    .pieces = pieces,
};
