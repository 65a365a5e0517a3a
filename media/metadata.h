/* What travels inside a file: A1111's "parameters" text, which other programs read, and
 * sumi's own JSON, from which `sumi again FILE` makes the same bytes.
 *
 *     WebP  XMP packet with both; EXIF UserComment with the infotext (A1111's place)
 *     PNG   text chunks "parameters" (A1111's place) and "sumi"
 *     JPEG  (read only) EXIF UserComment, a comment, XMP
 *     Ogg   Vorbis comments PARAMETERS and SUMI
 *     WAV   the comment of the list INFO, and a chunk "sumi"
 */
#ifndef SUMI_MEDIA_METADATA_H
#define SUMI_MEDIA_METADATA_H

#include <stddef.h>

#include "base/status.h"

#define METADATA_TEXT_MAX (1 << 20) /* bytes of either text; longer ones are refused */

#define METADATA_PNG_INFOTEXT "parameters"
#define METADATA_PNG_JSON "sumi"
#define METADATA_OGG_INFOTEXT "PARAMETERS"
#define METADATA_OGG_JSON "SUMI"

/* UTF-8 without NUL inside; either may be NULL. For writing, the strings are borrowed; after
 * reading, they belong to the struct. */
struct metadata {
	char *infotext;
	char *json;
};

void metadata_free(struct metadata *m); /* the strings, not m */

/* The packets that stand in a WebP file, new buffers that the caller frees. *exif is NULL
 * when there is no infotext. SUMI_INVALID for a text that is not UTF-8. */
int metadata_write_xmp(const struct metadata *m, char **xmp, size_t *size, struct error *err);
int metadata_write_exif(const struct metadata *m, unsigned char **exif, size_t *size,
			struct error *err);

/* Reads such packets; what m holds already is left alone. */
int metadata_read_xmp(const char *xmp, size_t size, struct metadata *m, struct error *err);
int metadata_read_exif(const unsigned char *exif, size_t size, struct metadata *m,
		       struct error *err);

/* How EXIF (with or without "Exif\0\0" before it) wants the picture turned, 1 … 8; 1, as it is, where
 * it does not say or cannot be read. */
int metadata_exif_orientation(const unsigned char *exif, size_t size);

#endif
