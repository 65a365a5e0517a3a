/* What travels inside a file: A1111's "parameters" text, which other programs read, and
 * sumi's own JSON, from which `sumi again FILE` makes the same bytes.
 *
 *     WebP  XMP packet with both; EXIF UserComment with the infotext (A1111's place)
 *     PNG   text chunks "parameters" (A1111's place) and "sumi"
 *     JPEG  as WebP; read also a comment
 *     Ogg   Vorbis comments PARAMETERS and SUMI
 *     WAV   the comment of the list INFO, and a chunk "sumi"
 *     MP3   ID3 texts of users (TXXX), PARAMETERS and SUMI
 *     WebM  tags PARAMETERS and SUMI
 *     glTF  asset.extras, "parameters" and "sumi"
 */
#ifndef SUMI_MEDIA_METADATA_H
#define SUMI_MEDIA_METADATA_H

#include <stddef.h>

#include "media/texts.h"


#define METADATA_PNG_INFOTEXT "parameters"
#define METADATA_PNG_JSON "sumi"
#define METADATA_OGG_INFOTEXT "PARAMETERS"
#define METADATA_OGG_JSON "SUMI"
#define METADATA_XMP_INFOTEXT "sumi:parameters"
#define METADATA_XMP_JSON "sumi:json"
#define METADATA_WAV_JSON "sumi"
#define METADATA_WEBM_INFOTEXT "PARAMETERS"
#define METADATA_WEBM_JSON "SUMI"
#define METADATA_ID3_INFOTEXT METADATA_WEBM_INFOTEXT
#define METADATA_ID3_JSON METADATA_WEBM_JSON

/* UTF-8 without NUL inside; either may be NULL. For writing, the strings are borrowed; after
 * reading, they belong to the struct. */
struct metadata {
	char *infotext;
	char *json;
};

void metadata_free(struct metadata *m); /* the strings, not m */

/* SUMI_INVALID where a text is not UTF-8, SUMI_TOOBIG where it is too long; name: of the text. */
int metadata_check(const char *name, const char *text, struct error *err);

/* What of a file's texts is sumi's, and the infotext, whoever wrote that: new strings in *m. */
int metadata_pick(const struct file_texts *texts, struct metadata *m, struct error *err);

#endif
