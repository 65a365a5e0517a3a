/* Pictures of a job that a network makes larger: between its two runs (hires), and at the end. */
#ifndef SUMI_MODALITIES_ENLARGE_H
#define SUMI_MODALITIES_ENLARGE_H

#include <jansson.h>

#include "diffusion/pack.h"
#include "diffusion/upscale.h"
#include "diffusion/upscalers.h"
#include "modalities/modality.h"

/* The networks that a request asks for; empty paths: none. */
struct enlargers {
	struct upscaler_file between, after;
};

/* Looks for them in the models folders of the host; setting: its usual one, of requests that name none. Errors as
 * upscalers_find()'s. */
int enlargers_find(const char *paths, const char *state_dir, const char *setting, const struct request *r,
		   struct enlargers *out, struct error *err);

/* Where r->enlargers stands: the names that were found. Sizes are resolved: SUMI_TOOBIG where a picture would
 * be larger than one may be. */
int enlargers_resolve(struct request *r, struct error *err);

/* A number that changes with the files. */
uint64_t enlargers_stamp(const struct enlargers *e);

/* [{"name", "sha256", …}] for metadata, a new reference; NULL for none. */
json_t *enlargers_json(const struct enlargers *e);

/* How large a side becomes at the end. */
int enlarged_side(const struct request *r, int side);

/* Opens one on the pack's device, which makes room for it. The caller closes *out. */
int enlarger_open(struct pack *pack, const struct upscaler_file *file, struct upscaler **out, struct error *err);

/* Who enlarges for whom. */
struct enlarging {
	const struct upscaler *upscaler;
	const struct generation *g; /* told of each part; may end it */
	const char *tile;           /* of the request */
};

/* rgb [h, w, 3] → out [out_h, out_w, 3]. */
int enlarge_bytes(const struct enlarging *by, const uint8_t *rgb, int h, int w, uint8_t *out, int out_h, int out_w,
		  struct error *err);

#endif
