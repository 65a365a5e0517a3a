/* Pictures to latents and back. Each kind of autoencoder is one table of functions that knows whole
 * blocks; tiles, windows, circles and the mean and deviation to which latents are brought are here,
 * once.
 *
 * Pixels are about −1 … 1 and latents as the denoiser sees them, both host memory in rows of
 * channels: [frames, height, width, channels]. */
#ifndef SUMI_DIFFUSION_CODEC_H
#define SUMI_DIFFUSION_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/backend.h"
#include "diffusion/latent_spec.h"

struct codec;

/* How a kind makes one picture in pieces of its own, without a difference that is seen: what the
 * numbers mean is its affair. rows 0: as one. */
struct codec_pieces {
	unsigned wrap; /* as one: edges that are one (networks/pass.h) */
	int whole, rows;
	bool anew;
};

struct packed_store;

struct codec_kind {
	const char *name;

	/* What the small files in a folder say of the latents; nothing is opened. */
	int (*latents)(const char *folder, struct latent_spec *out, struct error *err);

	/* device NULL: the configs alone, for memory. Fills in what struct codec says. store: for its
	 * packed weights, borrowed until close, or NULL. */
	int (*open)(const struct codec_kind *kind, struct device *device, const char *folder,
		    struct packed_store *store, struct codec **out, struct error *err);
	void (*close)(struct codec *codec);
	/* Weights that are mapped from files leave the process until they are used. NULL: there are none. */
	void (*rest)(const struct codec *codec);

	/* One block of block->frames × height × width latents, as the autoencoder itself has
	 * them. */
	int (*decode)(struct codec *codec, const struct latent_spec *block,
		      struct codec_pieces pieces, const float *latents, float *pixels,
		      struct error *err);
	/* log_variance: of the distribution, −∞ where there is none. */
	int (*encode)(struct codec *codec, const struct latent_spec *block,
		      struct codec_pieces pieces, const float *pixels, float *mean,
		      float *log_variance, struct error *err);

	/* Bytes of temporaries at the peak of that, and of the largest one; 0: not known. */
	uint64_t (*memory)(const struct codec *codec, const struct latent_spec *block,
			   struct codec_pieces pieces, bool encoding, enum dtype dtype);
	uint64_t (*largest)(const struct codec *codec, const struct latent_spec *block,
			    enum dtype dtype);

	/* Whether the device supports every operation of that. NULL: nothing is asked. */
	int (*supported)(const struct codec *codec, const struct latent_spec *block,
			 struct codec_pieces pieces, bool encoding, enum dtype dtype,
			 const struct device *device, struct error *err);

	/* Pieces that take at most so many bytes, and no more than most_alloc (0: any) at once.
	 * false: there are none. NULL: it knows none. */
	bool (*pieces)(const struct codec *codec, const struct latent_spec *block, bool encoding,
		       uint64_t bytes, uint64_t most_alloc, enum dtype dtype, struct codec_pieces *out);
};

/* What every kind's own state begins with. */
struct codec {
	const struct codec_kind *kind;
	struct device *device;      /* borrowed, or NULL */
	struct latent_spec latents; /* without sizes */
	bool random;                /* what is encoded is a sample: mean + deviation·noise */
	bool exact; /* it overflows in float16 and must not be rounded (force_upcast): its numbers
		       are float32 whatever the device and the run would like */
	int reach;                  /* latents to which what lies beyond an edge is felt */
	/* As the denoiser sees them: (own − shift) · scale, for each channel. */
	double *scale, *shift; /* [latents.channels], owned */
};

/* AutoencoderKL and AutoencoderTiny: each frame by itself. */
extern const struct codec_kind codec_vae;

/* The caller closes *out before the device. */
int codec_open(const struct codec_kind *kind, struct device *device, const char *folder,
	       struct packed_store *store, struct codec **out, struct error *err);
void codec_close(struct codec *codec); /* NULL is fine */
void codec_rest(const struct codec *codec);

/* What is to be coded, and how. */
struct codec_job {
	int frames, height, width; /* latents in all */
	bool circular;             /* the last column is followed by the first */
	unsigned wrap; /* edges that are one (networks/pass.h): as one the autoencoder's own convolutions go
			  around; in pieces or tiles so much of what lies beyond is coded that the seam is
			  not felt */
	struct codec_pieces pieces; /* not with windows; or: */
	int tile;   /* decoding: latents a side that are decoded at once, overlapping and mixed, at
		       least CODEC_TILE_MIN; 0: all */
	int window; /* encoding: columns that are encoded at once; 0: all */
};

#define CODEC_TILE_MIN 16

/* latents → pixels [frames, height·scale, width·scale, colours], not clamped. */
int codec_decode(struct codec *codec, const struct codec_job *job, const float *latents,
		 float *pixels, struct error *err);

/* pixels → mean and deviation of the latents, neither NULL. */
int codec_encode(struct codec *codec, const struct codec_job *job, const float *pixels, float *mean,
		 float *deviation, struct error *err);

/* Bytes of device memory at the peak of either, without what operations need for themselves. */
uint64_t codec_memory(const struct codec *codec, const struct codec_job *job, bool encoding,
		      enum dtype dtype);

/* Bytes of the largest tensor that decoding makes on its device. */
uint64_t codec_largest(const struct codec *codec, const struct codec_job *job);

/* Whether its device supports every operation of that: what device_supports() says of the first that
 * it does not. */
int codec_supported(const struct codec *codec, const struct codec_job *job, bool encoding,
		    struct error *err);

/* Sets pieces or, decoding, where there are none, the largest tile with which it takes at most so
 * many bytes (0: any), and no piece more than most_alloc (0: any); neither where all fits as one.
 * false: there is no way. Tiles see their own norms alone, so that they differ from the whole. */
bool codec_plan(const struct codec *codec, struct codec_job *job, bool encoding, uint64_t bytes,
		uint64_t most_alloc, enum dtype dtype);

#endif
