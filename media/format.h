/* The kinds of files that sumi reads and writes: one table. */
#ifndef SUMI_MEDIA_FORMAT_H
#define SUMI_MEDIA_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

enum format {
	FORMAT_WEBP,
	FORMAT_PNG,
	FORMAT_JPEG,
	FORMAT_OGG,
	FORMAT_WAV,
	FORMAT_WEBM,
	FORMAT_MP3,
	FORMAT_GLB,
	FORMAT_HEIGHTS,
	FORMATS
};

struct format_row {
	const char *name; /* as jobs call it, and the end of a file's name */
	const char *mime;
	const char *magic; /* bytes that stand … */
	size_t at;         /* … there */
};

/* By enum format; the row behind the last is of what is none of them. */
extern const struct format_row format_table[FORMATS + 1];

/* Whose first bytes these are; FORMATS: of none. */
enum format format_of(const void *data, size_t size);

/* The row of a name; of one that is none, the last. */
const struct format_row *format_named(const char *name);

#endif
