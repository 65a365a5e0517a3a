/* The texts that stand in a file beside its pixels or samples: whoever wrote them, and wherever.
 *
 * Readers of containers collect them here; media/metadata.c picks sumi's own, media/origin.c tells
 * which program wrote the others. */
#ifndef SUMI_MEDIA_TEXTS_H
#define SUMI_MEDIA_TEXTS_H

#include <stddef.h>

#include "base/status.h"

enum text_place {
	TEXT_PNG,     /* tEXt, zTXt, iTXt; key: the chunk's keyword */
	TEXT_EXIF,    /* key: the tag's name, "UserComment" */
	TEXT_XMP,     /* key: the element's name, "sumi:json" */
	TEXT_COMMENT, /* of a JPEG, or of a WAV's list INFO; key: "" */
	TEXT_CHUNK,   /* of a WAV; key: its four letters */
	TEXT_VORBIS,  /* key: the comment's name */
	TEXT_TAG,     /* of a WebM or Matroska file or an MP3; key: the tag's name */
	TEXT_PLAIN,   /* the file is nothing else; key: "" */
	TEXT_HIDDEN,  /* in the lowest bits of pixels; key: "" */
};

/* "PNG", "EXIF", … */
const char *text_place_name(enum text_place place);

struct file_text {
	enum text_place place;
	char *key;
	char *text; /* UTF-8 */
};

#define TEXTS_MAX 64
#define METADATA_TEXT_MAX (4 << 20) /* bytes of a text; longer ones are refused */

/* Zero-initialise; texts_free() releases what it holds, not the struct. */
struct file_texts {
	struct file_text *at;
	size_t count;
	struct error damage; /* of the first packet that could not be read: the others still count */
};
void texts_free(struct file_texts *texts);

/* Of reading one packet among several: SUMI_OK where the others may be read all the same, and what was
 * wrong is kept in damage; else the status. */
int texts_after(struct file_texts *texts, int status, const struct error *err);

/* Adds a copy. NUL bytes at both ends are dropped, and what is empty then is left out, as is what
 * comes after TEXTS_MAX. SUMI_TOOBIG beyond METADATA_TEXT_MAX bytes, SUMI_CORRUPT for a NUL within the
 * text or where it is not UTF-8. */
int texts_add(struct file_texts *texts, enum text_place place, const char *key, const char *text,
	      size_t size, struct error *err);

/* The same for what other programs write: what is not UTF-8 is taken for Latin-1, a text with a NUL
 * in it ends there. */
int texts_add_any(struct file_texts *texts, enum text_place place, const char *key,
		  const char *text, size_t size, struct error *err);

/* The first text with that key, in any letter case, or NULL. Borrowed. */
const char *texts_find(const struct file_texts *texts, enum text_place place, const char *key);

#endif
