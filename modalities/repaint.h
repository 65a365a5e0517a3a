/* A picture of which a part is made anew: what of a request says so, the pixels that the core begins with,
 * and how what it makes comes back into the picture. */
#ifndef SUMI_MODALITIES_REPAINT_H
#define SUMI_MODALITIES_REPAINT_H

#include <stdint.h>

#include "base/status.h"
#include "request/request.h"

struct pack_info;

/* Fills in what is left open of masks, and of pictures that a model is shown. Sizes are resolved.
 * SUMI_INVALID for what the pack cannot do, or what leaves nothing of init. */
int repaint_resolve(const struct pack_info *info, struct request *r, struct error *err);

struct repaint;

/* Reads init and mask of a resolved request with request_masked(). The caller frees *out. SUMI_INVALID
 * for a mask of another shape than init, or one that makes nothing anew. */
int repaint_load(const struct request *r, struct repaint **out, struct error *err);
void repaint_free(struct repaint *p); /* NULL is fine */

/* What the core takes, until repaint_begun(): [height, width, 3] in −1…1, and the mask [height, width]. */
const float *repaint_init(const struct repaint *p);
const float *repaint_mask(const struct repaint *p);
void repaint_begun(struct repaint *p);

/* *rgb, what the core made of it, a buffer of its own, becomes the picture that is asked for: the whole
 * one, whose sizes *width and *height then are. After a failure all is as it was. */
int repaint_paste(const struct repaint *p, uint8_t **rgb, int *width, int *height, struct error *err);

#endif
