/* Masks: pictures of one byte a pixel that say what of another is made anew (255) and what stays (0). */
#ifndef SUMI_MEDIA_MASK_H
#define SUMI_MEDIA_MASK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* What of a picture says it. */
enum mask_from {
	MASK_LIGHT, /* white is made anew */
	MASK_ALPHA, /* what is transparent */
	MASK_DRAWN, /* what is opaque, as A1111 takes a layer that was drawn on; where all is, light */
};

/* The mask that the bytes of a WebP, PNG or JPEG file are, a new buffer [height, width] that the caller
 * frees. Errors as picture_decode(). */
int mask_decode(const void *data, size_t size, const char *where, enum mask_from from,
		uint8_t **mask, int *width, int *height, struct error *err);

/* Whether anything is made anew. */
bool mask_any(const uint8_t *mask, int width, int height);

/* White grows by so many pixels each way, negative: it shrinks; beyond the edges is nothing of either. */
int mask_grow(uint8_t *mask, int width, int height, int pixels, struct error *err);

/* Gauss's blur as A1111 has OpenCV make it: 2·int(2.5·sigma + ½) + 1 pixels across, then down. */
int mask_blur(uint8_t *mask, int width, int height, double sigma, struct error *err);

/* Where white is of a picture rgb [height, width, 3], the colours around it, as A1111's "fill" finds
 * them: blurred more and more. */
int mask_fill(uint8_t *rgb, const uint8_t *mask, int width, int height, struct error *err);

struct mask_box {
	int x, y, width, height;
};

/* The box around all that is not black, with padding; grown to the shape of a picture of
 * to_width × to_height as far as there is room, as A1111 does for "only masked". mask_any(). */
struct mask_box mask_box(const uint8_t *mask, int width, int height, int padding, int to_width,
			 int to_height);

#endif
