/* PNG: 8-bit RGB pictures and 16-bit grey ones, written and read. Same input, same bytes. */
#ifndef SUMI_MEDIA_PNG_H
#define SUMI_MEDIA_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "media/metadata.h"
#include "media/texts.h"
#include "media/picture.h"

/* rgb is [height, width, 3]. meta may be NULL; its texts become the chunks "parameters" and
 * "sumi", tEXt where Latin-1 says it all and iTXt where it does not. The caller frees *data. */
int png_encode(const uint8_t *rgb, int width, int height, const struct metadata *meta,
	       uint8_t **data, size_t *size, struct error *err);

/* The same with transparency, [height, width, 4]. */
int png_encode_rgba(const uint8_t *rgba, int width, int height, const struct metadata *meta,
		    uint8_t **data, size_t *size, struct error *err);

/* The same of one grey channel of 16 bits: grey is [height, width], 0…1, both sides 1 or more. */
int png_encode_grey16(const float *grey, int width, int height, const struct metadata *meta, uint8_t **data,
		      size_t *size, struct error *err);

/* What the headers say, within the limits of pictures, when every chunk ends within the file.
 * SUMI_CORRUPT, SUMI_TOOBIG. Nothing is decoded. */
int png_picture_info(const void *data, size_t size, const char *where, struct picture_info *info,
	     struct error *err);

/* Any PNG to 8-bit RGB (transparency over black), a new buffer [height, width, 3] that the
 * caller frees. SUMI_TOOBIG past the limits, SUMI_CORRUPT for a damaged file. */
int png_decode(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
	       int *height, struct error *err);

/* The same with transparency, [height, width, 4]. */
int png_decode_rgba(const void *data, size_t size, const char *where, uint8_t **rgba, int *width,
		    int *height, struct error *err);

/* One of 16 bits in one grey channel (png_picture_info() says which is) as it lies in the file: [height, width, 2],
 * the higher byte first. SUMI_UNSUPPORTED for another. */
int png_decode_grey16(const void *data, size_t size, const char *where, uint8_t **grey, int *width,
		      int *height, struct error *err);

/* Adds what stands in text chunks, before and behind the picture, in eXIf, in XMP and in the lowest
 * bits of transparent pictures. */
int png_read_texts(const void *data, size_t size, const char *where,
		struct file_texts *texts, struct error *err);

#endif
