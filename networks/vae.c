/* The autoencoders: what both kinds share. */
#include "networks/vae.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "networks/vae_internal.h"

/* --- life --- */

static void load_half(struct loader *l, struct vae_half *half, const struct vae_config *c,
		      bool encoder)
{
	if (c->kind == VAE_KL)
		kl_load(l, &half->kl, c, encoder);
	else
		tiny_load(l, &half->tiny, c, encoder);
}

static int open_half(struct vae *vae, struct vae_half *half, bool encoder, struct error *err)
{
	struct weights *files;
	int status = weights_open(vae->folder, &files, err);
	if (status)
		return status;
	weights_keep(files, vae->store);
	struct loader l = {
	    .files = files,
	    .set = &half->set,
	    .part = encoder ? "encoder" : "decoder",
	    .err = err,
	};
	load_half(&l, half, &vae->config, encoder);
	status = loader_end(&l);
	if (!status)
		status = weights_check_unused(files, encoder ? "encoder." : "decoder.", err);
	weights_close(files);
	return status;
}

static void clear_half(struct vae_half *half)
{
	weight_set_clear(&half->set);
	kl_clear(&half->kl);
	tiny_clear(&half->tiny);
	memset(&half->kl, 0, sizeof half->kl);
	memset(&half->tiny, 0, sizeof half->tiny);
}

int vae_open(struct device *device, const char *folder, struct vae **out, struct error *err)
{
	return vae_open_kept(device, folder, NULL, out, err);
}

int vae_open_kept(struct device *device, const char *folder, struct packed_store *store,
		  struct vae **out, struct error *err)
{
	*out = NULL;
	struct vae *vae = calloc(1, sizeof *vae);
	if (!vae)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", folder);
	vae->store = store;
	vae->decoder.set.device = vae->encoder.set.device = device;
	int status = files_path(vae->folder, err, "%s", folder);
	if (!status)
		status = vae_config_read(folder, &vae->config, err);
	if (!status)
		status = open_half(vae, &vae->decoder, false, err);
	/* What was read to check it need not wait for the last step. */
	if (!status)
		vae_rest(vae);
	if (status) {
		vae_close(vae);
		return status;
	}
	*out = vae;
	return SUMI_OK;
}

void vae_close(struct vae *vae)
{
	if (!vae)
		return;
	clear_half(&vae->decoder);
	clear_half(&vae->encoder);
	free(vae);
}

void vae_rest(const struct vae *vae)
{
	packed_rest(vae->decoder.set.packed);
	packed_rest(vae->encoder.set.packed);
}

const struct vae_config *vae_config(const struct vae *vae)
{
	return &vae->config;
}

/* --- decoding --- */

static int check_size(const char *what, const struct vae_input *in, int multiple, struct error *err)
{
	if (in->n < 1 || in->h < 1 || in->w < 1 || in->h > 65536 || in->w > 65536 ||
	    in->h % multiple || in->w % multiple)
		return error_set(err, SUMI_INVALID, "%s: [%d, %d, %d] is not a size in steps of %d",
				 what, in->n, in->h, in->w, multiple);
	return SUMI_OK;
}

static int check_bands(const struct vae_config *c, const struct vae_input *in, struct error *err)
{
	const struct vae_bands *b = &in->bands;
	if (b->rows && (b->wrap || c->kind != VAE_KL || in->n != 1 || b->rows < VAE_ROWS_MIN || b->whole < 0 ||
			b->whole >= c->levels))
		return error_set(err, SUMI_INVALID, "bands of %d rows are not for this picture",
				 b->rows);
	return SUMI_OK;
}

static void decode(struct pass *p, const struct vae_half *half, const struct vae_config *c,
		   struct map *x)
{
	if (c->kind == VAE_KL)
		kl_decode(p, &half->kl, c, x);
	else
		tiny_decode(p, &half->tiny, c, x);
}

int vae_decode(struct vae *vae, const struct vae_input *in, float *pictures, struct error *err)
{
	int status = check_size("latents", in, 1, err);
	if (status)
		return status;
	if ((status = check_bands(&vae->config, in, err)))
		return status;
	struct pass p = pass_begin(vae->decoder.set.device, &in->tap, err);
	p.wrap = in->bands.wrap;
	struct map x =
	    pass_upload(&p, in->values, in->n, in->h, in->w, vae->config.latent_channels);
	if (in->bands.rows)
		kl_decode_bands(&p, &vae->decoder.kl, &vae->config, in->bands, &x);
	else
		decode(&p, &vae->decoder, &vae->config, &x);
	pass_tap(&p, &x, "out");
	pass_download(&p, &x, pictures);
	pass_free(&p, &x);
	return p.status;
}

/* --- encoding --- */

static int want_encoder(struct vae *vae, struct error *err)
{
	if (vae->has_encoder)
		return SUMI_OK;
	int status = open_half(vae, &vae->encoder, true, err);
	if (status)
		clear_half(&vae->encoder);
	vae->has_encoder = !status;
	return status;
}

/* The host's copy of a picture as the encoder wants it: TAESD was trained on 0 … 1. */
static float *encoder_input(const struct vae_config *c, const struct vae_input *in)
{
	size_t count = (size_t)in->n * (size_t)in->h * (size_t)in->w * (size_t)c->in_channels;
	float *values = malloc(count * sizeof *values);
	for (size_t i = 0; values && i < count; i++)
		values[i] = c->kind == VAE_TINY ? (in->values[i] + 1) / 2 : in->values[i];
	return values;
}

/* moments [pixels, 2·channels] or, without variance, [pixels, channels]. The bounds of the
 * logarithm are those of diffusers' DiagonalGaussianDistribution. */
static void split_moments(const struct vae_config *c, const float *moments, size_t pixels,
			  float *mean, float *log_variance)
{
	int channels = c->latent_channels;
	int stride = c->kind == VAE_KL ? 2 * channels : channels;
	for (size_t i = 0; i < pixels; i++)
		for (int k = 0; k < channels; k++) {
			const float *m = moments + i * (size_t)stride + k;
			size_t at = i * (size_t)channels + (size_t)k;
			mean[at] = m[0];
			if (log_variance)
				log_variance[at] =
				    c->kind == VAE_KL ? fminf(fmaxf(m[channels], -30), 20)
						      : -INFINITY;
		}
}

static void encode(struct pass *p, const struct vae_half *half, const struct vae_config *c,
		   struct map *x)
{
	if (c->kind == VAE_KL)
		kl_encode(p, &half->kl, c, x);
	else
		tiny_encode(p, &half->tiny, c, x);
}

int vae_encode(struct vae *vae, const struct vae_input *in, float *mean, float *log_variance,
	       struct error *err)
{
	const struct vae_config *c = &vae->config;
	int status = check_size("picture", in, c->scale, err);
	if (!status)
		status = check_bands(c, in, err);
	if (!status)
		status = want_encoder(vae, err);
	if (status)
		return status;
	int outputs = c->kind == VAE_KL ? 2 * c->latent_channels : c->latent_channels;
	size_t pixels = (size_t)in->n * (size_t)(in->h / c->scale) * (size_t)(in->w / c->scale);
	float *values = encoder_input(c, in);
	float *moments = malloc(pixels * (size_t)outputs * sizeof *moments);
	if (!values || !moments) {
		status = error_set(err, SUMI_NOMEM, "out of memory for a picture");
		goto done;
	}
	struct pass p = pass_begin(vae->encoder.set.device, &in->tap, err);
	p.wrap = in->bands.wrap;
	struct map x = pass_upload(&p, values, in->n, in->h, in->w, c->in_channels);
	if (in->bands.rows)
		kl_encode_bands(&p, &vae->encoder.kl, c, in->bands, &x);
	else
		encode(&p, &vae->encoder, c, &x);
	pass_tap(&p, &x, c->kind == VAE_KL ? "moments" : "out");
	pass_download(&p, &x, moments);
	pass_free(&p, &x);
	status = p.status;
	if (!status)
		split_moments(c, moments, pixels, mean, log_variance);
done:
	free(values);
	free(moments);
	return status;
}

/* --- planning --- */

/* Goes the way of coding n pictures; h, w: of the latents. False: no memory. */
static bool plan_pass(struct pass *p, const struct vae_config *c, int n, int h, int w,
		      struct vae_bands bands, bool encoding)
{
	struct vae_half half = {0};
	struct loader l = {.set = &half.set};
	int scale = encoding ? c->scale : 1;
	load_half(&l, &half, c, encoding);
	p->wrap = bands.wrap;
	if (!l.status) {
		struct map x = pass_upload(p, NULL, n, h * scale, w * scale,
					   encoding ? c->in_channels : c->latent_channels);
		if (bands.rows)
			(encoding ? kl_encode_bands : kl_decode_bands)(p, &half.kl, c, bands, &x);
		else
			(encoding ? encode : decode)(p, &half, c, &x);
		pass_free(p, &x);
	}
	clear_half(&half);
	return !l.status;
}

uint64_t vae_encode_memory(const struct vae_config *c, int n, int h, int w, enum dtype dtype)
{
	struct pass p = pass_plan(dtype);
	bool done = plan_pass(&p, c, n, h / c->scale, w / c->scale, (struct vae_bands){0}, true);
	return done ? p.bytes_peak : 0;
}

uint64_t vae_memory(const struct vae_config *c, int n, int h, int w, enum dtype dtype)
{
	struct pass p = pass_plan(dtype);
	return plan_pass(&p, c, n, h, w, (struct vae_bands){0}, false) ? p.bytes_peak : 0;
}

uint64_t vae_memory_bands(const struct vae_config *c, int h, int w, struct vae_bands bands,
			  bool encoding, enum dtype dtype, uint64_t *largest)
{
	struct pass p = pass_plan(dtype);
	bool done = plan_pass(&p, c, 1, h, w, bands, encoding);
	if (largest)
		*largest = p.bytes_largest;
	return done && !p.status ? p.bytes_peak : 0;
}

bool vae_plan_bands(const struct vae_config *config, int h, int w, bool encoding, uint64_t bytes,
		    uint64_t most_alloc, enum dtype dtype, struct vae_bands *out)
{
	*out = (struct vae_bands){0};
	if (config->kind != VAE_KL)
		return false;
	/* The fewer stages are made in bands, the less is made twice; and so with larger bands. The
	 * last stage all anew for each of its norms comes last: that takes several times as
	 * long. */
	for (int anew = 0; anew < (encoding ? 1 : 2); anew++)
		for (int whole = config->levels - 1; whole >= 0; whole--)
			for (int rows = h / 2; rows >= VAE_ROWS_MIN; rows /= 2) {
				struct vae_bands bands = {0, whole, rows, anew};
				uint64_t largest;
				uint64_t need = vae_memory_bands(config, h, w, bands, encoding,
								 dtype, &largest);
				if (need == 0 || need > bytes ||
				    (most_alloc && largest > most_alloc))
					continue;
				*out = bands;
				return true;
			}
	return false;
}

int vae_supported(const struct vae_config *c, int n, int h, int w, struct vae_bands bands,
		  bool encoding, enum dtype dtype, const struct device *device, struct error *err)
{
	struct pass p = pass_plan(dtype);
	p.asked = device;
	p.err = err;
	if (!plan_pass(&p, c, n, h, w, bands, encoding))
		return error_set(err, SUMI_NOMEM, "out of memory for the plan of a picture");
	return p.status;
}

uint64_t vae_largest(const struct vae_config *c, int h, int w, enum dtype dtype)
{
	/* The last but one stage ends at full size, if there is one. */
	int widest = c->channels[c->levels > 1] > c->channels[0] ? c->channels[c->levels > 1]
								 : c->channels[0];
	return (uint64_t)h * (uint64_t)w * (uint64_t)c->scale * (uint64_t)c->scale *
	       (uint64_t)widest * dtype_size(dtype);
}
