/* The segments of a JPEG file (ISO/IEC 10918-1, B.1) that may say how it was made. */
#include "media/texts_jpeg.h"

#include <stdint.h>
#include <string.h>

#include "media/exif.h"
#include "media/xmp.h"

enum { SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, RST0 = 0xD0, TEM = 0x01, APP1 = 0xE1, COM = 0xFE };

static int read_exif(const uint8_t *p, size_t size, struct file_texts *texts, struct error *err)
{
	return exif_read(p, size, texts, err);
}

static int read_xmp(const uint8_t *p, size_t size, struct file_texts *texts, struct error *err)
{
	return xmp_read((const char *)p, size, texts, err);
}

static int read_comment(const uint8_t *p, size_t size, struct file_texts *texts,
			struct error *err)
{
	return texts_add_any(texts, TEXT_COMMENT, "", (const char *)p, size, err);
}

/* In the order in which they count, and what stands at their beginning. */
static const struct {
	int marker;
	const char *head;
	size_t length;
	int (*read)(const uint8_t *p, size_t size, struct file_texts *texts, struct error *err);
} kinds[] = {
    {APP1, "http://ns.adobe.com/xap/1.0/", 29, read_xmp}, /* and a NUL */
    {APP1, "Exif\0", 6, read_exif},
    {COM, "", 0, read_comment},
};

static int read_segments(const uint8_t *p, size_t size, size_t kind, struct file_texts *texts,
			 struct error *err)
{
	size_t at = 2, length;
	for (;; at += length) {
		if (size - at < 2)
			return error_set(err, SUMI_CORRUPT, "JPEG: cut off at byte %zu", at);
		if (p[at] != 0xFF)
			return error_set(err, SUMI_CORRUPT, "JPEG: no marker at byte %zu", at);
		int marker = p[at + 1];
		if (marker == SOS || marker == EOI)
			return SUMI_OK;
		/* Filling, and what has no length. */
		length = marker == 0xFF ? 1 : 2;
		if (marker == 0xFF || marker == TEM || (marker >= RST0 && marker <= SOI))
			continue;
		if (size - at < 4)
			return error_set(err, SUMI_CORRUPT, "JPEG: cut off at byte %zu", at);
		size_t inside = (size_t)p[at + 2] << 8 | p[at + 3];
		if (inside < 2 || inside > size - at - 2)
			return error_set(err, SUMI_CORRUPT,
					 "JPEG: the segment at byte %zu has %zu bytes, there are "
					 "%zu",
					 at, inside, size - at - 2);
		length = inside + 2;
		const uint8_t *body = p + at + 4;
		size_t n = kinds[kind].length;
		if (marker != kinds[kind].marker || inside - 2 < n ||
		    memcmp(body, kinds[kind].head, n) != 0)
			continue;
		int status = texts_after(
		    texts, kinds[kind].read(body + n, inside - 2 - n, texts, err), err);
		if (status)
			return status;
	}
}

int jpeg_read_texts(const void *data, size_t size, const char *where,
		struct file_texts *texts, struct error *err)
{
	int status = size < 2 ? error_set(err, SUMI_CORRUPT, "JPEG: cut off at byte 0") : SUMI_OK;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && !status; i++)
		status = read_segments(data, size, i, texts, err);
	return status ? error_prefix(err, "%s", where) : SUMI_OK;
}
