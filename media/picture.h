/* Pictures as numbers: what lies between a file's bytes and the model's tensors. */
#ifndef SUMI_MEDIA_PICTURE_H
#define SUMI_MEDIA_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define PICTURE_SIDE_MAX 16384        /* pixels of a picture that is read */
#define PICTURE_PIXELS_MAX (1u << 26) /* the same of its area */

/* What a picture's headers say. */
struct picture_info {
	int width, height; /* as it lies in the file */
	int orientation;   /* EXIF's, 1 … 8: how it wants to be turned */
	bool more;         /* of a PNG: it is animated, and more pictures follow, which nobody here reads */
	int depth;         /* of a PNG: bits a channel; else 0 */
	bool grey;         /* of a PNG: one channel without transparency */
};

/* SUMI_CORRUPT for a picture without pixels, SUMI_TOOBIG past the limits above. */
int picture_check_size(uint64_t width, uint64_t height, const char *where, struct error *err);

/* 0…1 floats to bytes, rounded to nearest, values outside clamped. */
void picture_to_bytes(const float *in, uint8_t *out, size_t count);

#endif
