/* Pictures as numbers: what lies between a file's bytes and the model's tensors. */
#ifndef SUMI_MEDIA_PICTURE_H
#define SUMI_MEDIA_PICTURE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Reads a WebP or PNG file and scales it to width × height by a box filter that cuts off
 * what the other shape does not hold (centred). *out is [height, width, 3] in −1…1; the
 * caller frees it. The message names the file. */
int picture_load(const char *path, int width, int height, float **out, struct error *err);

/* 0…1 floats to bytes, rounded to nearest, values outside clamped. */
void picture_to_bytes(const float *in, uint8_t *out, size_t count);

#endif
