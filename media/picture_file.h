/* Pictures from files. */
#ifndef SUMI_MEDIA_PICTURE_FILE_H
#define SUMI_MEDIA_PICTURE_FILE_H

#include <stdint.h>

#include "media/picture.h"

#define PICTURE_FILE_MAX (64 << 20)   /* bytes */

/* Whether these are the bytes of a WebP, PNG or JPEG picture within the limits: by its headers and
 * by the lengths that it claims, and where those are fine by decoding all of it. */
int picture_check(const void *data, size_t size, const char *where, struct error *err);

/* Its size by its headers, turned as its EXIF says. */
int picture_size(const void *data, size_t size, const char *where, int *width, int *height,
		 struct error *err);

/* The pixels of such a file's bytes, [height, width, 3], turned as its EXIF says; of an animation the first
 * frame. The caller frees *rgb. SUMI_UNSUPPORTED for another kind of file, SUMI_CORRUPT, SUMI_TOOBIG. */
int picture_decode(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		   int *height, struct error *err);

/* The same with transparency, [height, width, 4]. */
int picture_decode_rgba(const void *data, size_t size, const char *where, uint8_t **rgba, int *width,
			int *height, struct error *err);

/* A PNG of 16 bits of grey, which no other function here tells from one of 8: [height, width] in 0 … 1, turned too.
 * The caller frees *grey. SUMI_UNSUPPORTED for any other picture. */
int picture_decode_grey16(const void *data, size_t size, const char *where, float **grey, int *width,
			  int *height, struct error *err);

/* A picture [height, width, channels] of bytes scaled by a box filter to out_width × out_height, which
 * cuts off what the other shape does not hold (centred): out [out_height, out_width, channels] in
 * −1…1. channels: at most 4. */
void picture_scale(const uint8_t *in, int width, int height, int channels, float *out, int out_width,
		   int out_height);

/* Reads a WebP, PNG or JPEG file, turns it as its EXIF says and scales it to width × height by a
 * box filter that cuts off what the other shape does not hold (centred). *out is
 * [height, width, 3] in −1…1; the caller frees it. Messages name it as `where`. */
int picture_load(const char *path, const char *where, int width, int height, float **out,
		 struct error *err);

#endif
