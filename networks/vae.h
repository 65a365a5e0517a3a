/* The autoencoders: AutoencoderKL and AutoencoderTiny (TAESD). Pictures to latents and back,
 * latents as the networks have them: what a denoiser sees is brought to another mean and
 * deviation. */
#ifndef SUMI_NETWORKS_VAE_H
#define SUMI_NETWORKS_VAE_H

#include <stdint.h>

#include "backends/backend.h"
#include "networks/config.h"
#include "networks/pass.h"

struct vae;

/* Loads FOLDER/config.json and the decoder's weights beside it onto the device, which must
 * outlive the VAE; the encoder's are loaded when they are first needed. Weights that
 * contradict the config are SUMI_INVALID with file and tensor. */
int vae_open(struct device *device, const char *folder, struct vae **out, struct error *err);
/* The same, with its packed weights kept in store, which is borrowed until close; NULL: nowhere. */
struct packed_store;
int vae_open_kept(struct device *device, const char *folder, struct packed_store *store,
		  struct vae **out, struct error *err);
void vae_close(struct vae *vae); /* NULL is fine */
void vae_rest(const struct vae *vae); /* as unet_rest() */

const struct vae_config *vae_config(const struct vae *vae);

/* How a picture is decoded or encoded that would take too much memory as a whole: so many of the
 * stages where it is small as one, the rest in bands of so many rows of latents. rows 0: all as
 * one. AutoencoderKL only. */
#define VAE_ROWS_MIN 2
struct vae_bands {
	unsigned wrap; /* edges that are one (networks/pass.h); not in bands */
	int whole, rows;
	bool anew; /* decoding: the last stage from its input to pixels for each of its norms: nothing of its
		      size but the picture is ever there, but it takes several times as long */
};

struct vae_input {
	const float *values; /* host; decoding: latents [n, h, w, latent_channels]; encoding:
				pictures in −1 … 1, [n, h, w, in_channels] with h and w multiples
				of config.scale */
	int n, h, w;
	struct vae_bands bands; /* of one picture; no taps in bands */
	struct tap tap; /* conv_in, mid, up.I or down.I; AutoencoderTiny: layer.I */
};

/* pictures: host, [n, h·scale, w·scale, out_channels], about −1 … 1, not clamped. */
int vae_decode(struct vae *vae, const struct vae_input *in, float *pictures, struct error *err);

/* The latents' distribution: mean and logarithm of the variance, which may be NULL. Both host,
 * [n, h/scale, w/scale, latent_channels]. AutoencoderTiny's have no variance: −∞. */
int vae_encode(struct vae *vae, const struct vae_input *in, float *mean, float *log_variance,
	       struct error *err);

/* Bytes of temporaries that decoding n × h × w latent pixels takes at its peak, without what
 * the device's operations may need for themselves; 0 when there is no memory to find out. */
uint64_t vae_memory(const struct vae_config *config, int n, int h, int w, enum dtype dtype);

/* The same for encoding pictures of h × w pixels. */
uint64_t vae_encode_memory(const struct vae_config *config, int n, int h, int w, enum dtype dtype);

/* Bands with which decoding or encoding one picture of h × w latents takes at most so many bytes,
 * and no tensor more than most_alloc (0: any). false: there are none. */
bool vae_plan_bands(const struct vae_config *config, int h, int w, bool encoding, uint64_t bytes,
		    uint64_t most_alloc, enum dtype dtype, struct vae_bands *out);

/* What that takes, and (unless NULL) its largest tensor. */
uint64_t vae_memory_bands(const struct vae_config *config, int h, int w, struct vae_bands bands,
			  bool encoding, enum dtype dtype, uint64_t *largest);

/* Whether the device supports every operation of decoding n pictures of h × w latents, or of encoding
 * pictures of that size; bands.rows 0: as a whole, else one. */
int vae_supported(const struct vae_config *config, int n, int h, int w, struct vae_bands bands,
		  bool encoding, enum dtype dtype, const struct device *device, struct error *err);

/* Bytes of the largest tensor that decoding h × w latent pixels makes. */
uint64_t vae_largest(const struct vae_config *config, int h, int w, enum dtype dtype);

#endif
