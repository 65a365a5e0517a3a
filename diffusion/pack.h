/* A model pack: a folder as Hugging Face diffusers writes it, with or without sumi.json; or one
 * file whose tensors tell the same (weights/checkpoint.h). Paths of packs and of their parts are of
 * either kind: part_json_read() and weights_open() read both.
 *
 * pack_info_read() looks at the small files only (for listings and plans); pack_open()
 * puts the models on a device. The folder's own configs say what is built. */
#ifndef SUMI_DIFFUSION_PACK_H
#define SUMI_DIFFUSION_PACK_H

#include <jansson.h>
#include <stdbool.h>

#include "backends/backend.h"
#include "base/files.h"
#include "base/hash.h"
#include "diffusion/latent_spec.h"
#include "diffusion/preview.h"

/* What a pack proposes where a request is silent. */
struct pack_defaults {
	int width, height; /* pixels */
	int steps;
	double cfg_scale;
	char sampler[32];  /* canonical name */
	char schedule[32]; /* canonical name of the sigma schedule, "default": the checkpoint's own
			    */
};

#define PACK_NAME_MAX 95 /* bytes; [A-Za-z0-9._:+-], the first a letter or digit */

struct family;
struct adapters;
struct adapter_list;
struct packed_store;

struct pack_info {
	char path[FILES_PATH_MAX];
	char base[FILES_PATH_MAX]; /* the pack that has the parts which this one lacks; or empty */
	char name[PACK_NAME_MAX + 1]; /* sumi.json "name", else the folder's name */
	const struct family *family;
	char modality[16];         /* "image", "video", "audio" */
	char precision[8];         /* sumi.json "precision": "exact", "half"; or empty */
	char prompt_syntax[16];    /* sumi.json "prompt_syntax", prompt_syntax_names[]; or empty */
	char licence[64];          /* empty when the pack does not say */
	char digest[SHA256_HEX_SIZE]; /* over names, sizes and contents of the config files and the
				     weights' headers and sizes: tells packs apart without reading
				     gigabytes */
	struct pack_defaults defaults;
	bool has_fast;      /* a second UNet, distilled to few steps ("fast" in sumi.json) */
	char fast_unet[64]; /* its folder */
	struct pack_defaults fast;
	bool has_motion;     /* motion_adapter/: frames of one run know of each other */
	double noise_shared; /* of the variance of a video's first noise: the same for all frames */
	struct latent_spec latents; /* without sizes */
	bool shows_mask;    /* its denoiser is shown what is made anew, and the rest: inpainting */
	bool shows_picture; /* … or a picture that it changes; it begins with noise alone */
	struct preview_map preview; /* colours of its latents */
	char note[256];             /* what it says of sampling and is not so; or empty */
	char unread[256];           /* fields of sumi.json that are not known, "'a', 'b' (did you mean 'c'?)"; or empty */
	json_t *manifest;           /* sumi.json or an empty object; owned by the info */
	const struct adapters *adapters; /* on its weights; borrowed, NULL: none */
	struct packed_store *store; /* where its packed weights are kept; borrowed, NULL: nowhere */
};

/* Reads the small files of a pack. The caller releases info with pack_info_free(). */
int pack_info_read(const char *folder, struct pack_info *info, struct error *err);

/* The same in two parts, for those who need no digest: it reads megabytes of weights. */
int pack_info_read_plain(const char *folder, struct pack_info *info, struct error *err);
int pack_info_digest(struct pack_info *info, struct error *err);
void pack_info_free(struct pack_info *info);

/* Whether the weights are whole: their headers are read and checked against the files. */
int pack_parts_check_weights(const struct pack_info *info, struct error *err);

/* Where a part of the pack ("unet", "vae/config.json") lies: in its own folder, or in that of the
 * pack that sumi.json names as "base" where its own lacks it. SUMI_TOOBIG: the path is too long. */
int pack_part(const struct pack_info *info, const char *part, char out[FILES_PATH_MAX],
	      struct error *err);

/* Bytes of the weight files that opening the pack in a folder would load: about what it takes
 * on a device. 0 for a folder without any. */
uint64_t pack_weight_bytes(const char *folder);

/* Bytes of weights by what they are for. Where a device does not hold all at once, texts and denoiser
 * take turns; the codec stays. */
struct pack_weight {
	uint64_t texts, denoiser, codec;
};
void pack_weigh(const struct pack_info *info, struct pack_weight *out);

/* A number that changes when somebody replaces a file of the pack or of its base: made of inodes,
 * sizes and times of change, so it is cheap enough to ask before every job. */
uint64_t pack_stamp(const struct pack_info *info);

/* Such a number with a file more, if that is there. */
uint64_t pack_stamp_add(uint64_t stamp, const char *path);

struct pack;

/* Loads tokenizer, text encoder, UNet(s) and VAE of a pack onto the device. The pack
 * borrows the device; the caller frees the pack first. */
int pack_open(struct device *device, const char *folder, struct pack **out, struct error *err);

/* The same with adapters on its weights; list NULL or empty: none. SUMI_INVALID where one of them is
 * made for another model (diffusion/adapters.h). What the device makes of its weights is kept in the
 * store, which the caller closes after the pack; NULL: nowhere. */
int pack_open_with(struct device *device, const char *folder, const struct adapter_list *list,
		   struct packed_store *store, struct pack **out, struct error *err);

/* Puts other adapters (list NULL: none) in the place of those that are on an open pack, whose weights
 * stay where they are. *done false: they, or those before, are folded into the weights, so that the
 * pack must be opened with them, and nothing has changed. After a failure none is on it. No run of it
 * is alive. */
int pack_adapt(struct pack *pack, const struct adapter_list *list, bool *done, struct error *err);
void pack_close(struct pack *pack); /* NULL is fine */

/* Another pack is about to come onto the device, of so many bytes: what nobody uses goes where there is
 * no room for both. */
void pack_make_way(struct pack *pack, uint64_t bytes);

const struct pack_info *pack_info_of(const struct pack *pack);
struct device *pack_device(const struct pack *pack);

/* *any: a folder holds something that packs are made of, or a file seems to be a model. SUMI_NOMEM
 * where there is no memory to look. */
int pack_parts_any(const char *path, bool *any, struct error *err);

#endif
