/* EXIF packets (TIFF 6.0; Exif 2.32). */
#include "media/exif.h"

#include <ctype.h>
#include <iconv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum {
	TAG_EXIF_IFD = 0x8769,
	TAG_ORIENTATION = 0x0112,
	TYPE_BYTE = 1,
	TYPE_ASCII = 2,
	TYPE_LONG = 4,
	TYPE_UNDEFINED = 7,
	TYPE_UTF8 = 129, /* Exif 3.0 */
};

/* ---- writing ---- */

/* Big-endian TIFF, because A1111's reader takes the UTF-16 of the comment as big-endian
 * whatever the file says. */
int exif_write(const struct metadata *m, unsigned char **exif, size_t *size,
			struct error *err)
{
	static const unsigned char head[] = {
	    'M', 'M', 0,    42,   0,   0,
	    0,   8, /* IFD0 at 8 */
	    0,   1,   0x87, 0x69, 0,   TYPE_LONG,
	    0,   0,   0,    1,    0,   0,
	    0,   26,           /* one entry: Exif IFD at 26 */
	    0,   0,   0,    0, /* no IFD1 */
	    0,   1,   0x92, 0x86, 0,   TYPE_UNDEFINED,
	    0,   0,   0,    0,    0,   0,
	    0,   44, /* UserComment at 44 */
	    0,   0,   0,    0,    'U', 'N',
	    'I', 'C', 'O',  'D',  'E', 0,
	};
	*exif = NULL;
	*size = 0;
	if (!m->infotext)
		return SUMI_OK;
	int status = metadata_check("infotext", m->infotext, err);
	if (status)
		return status;
	size_t length = strlen(m->infotext);
	unsigned char *out = malloc(sizeof head + 2 * length);
	if (!out)
		return error_set(err, SUMI_NOMEM, "no memory for metadata");
	memcpy(out, head, sizeof head);
	unsigned char *p = out + sizeof head;
	for (size_t i = 0; i < length;) {
		uint32_t code = 0;
		i += utf8_decode(m->infotext + i, length - i, &code);
		uint32_t units[2] = {code, 0};
		size_t count = 1;
		if (code >= 0x10000) {
			units[0] = 0xD800 + ((code - 0x10000) >> 10);
			units[1] = 0xDC00 + ((code - 0x10000) & 0x3FF);
			count = 2;
		}
		for (size_t u = 0; u < count; u++) {
			*p++ = (unsigned char)(units[u] >> 8);
			*p++ = (unsigned char)units[u];
		}
	}
	*size = (size_t)(p - out);
	size_t comment = *size - 44;
	for (int i = 0; i < 4; i++)
		out[32 + i] = (unsigned char)(comment >> (24 - 8 * i));
	*exif = out;
	return SUMI_OK;
}

/* ---- reading ---- */

struct tiff {
	const unsigned char *data;
	size_t size;
	bool little;
};

static uint32_t tiff_number(const struct tiff *t, size_t at, int bytes)
{
	uint32_t value = 0;
	for (int i = 0; i < bytes; i++)
		value |= (uint32_t)t->data[at + (size_t)i] << (8 * (t->little ? i : bytes - 1 - i));
	return value;
}

/* The packet's TIFF; false where there is none. */
static bool tiff_open(const unsigned char *exif, size_t size, struct tiff *t)
{
	if (size >= 6 && memcmp(exif, "Exif\0\0", 6) == 0) {
		exif += 6;
		size -= 6;
	}
	*t = (struct tiff){exif, size, size >= 2 && exif[0] == 'I'};
	return size >= 8 && (memcmp(exif, "II*\0", 4) == 0 || memcmp(exif, "MM\0*", 4) == 0);
}

struct entry {
	unsigned tag, type;
	uint32_t count;
	size_t at; /* of its four bytes of value */
};

/* Entry i of the directory at `at`; false behind the last, and where the directory is cut. */
static bool tiff_entry(const struct tiff *t, size_t at, size_t i, struct entry *e)
{
	if (at > t->size || t->size - at < 2 || i >= tiff_number(t, at, 2) ||
	    (t->size - at - 2) / 12 <= i)
		return false;
	at += 2 + 12 * i;
	*e = (struct entry){tiff_number(t, at, 2), tiff_number(t, at + 2, 2),
			    tiff_number(t, at + 4, 4), at + 8};
	return true;
}

static bool tiff_find(const struct tiff *t, size_t at, unsigned tag, struct entry *e)
{
	for (size_t i = 0; tiff_entry(t, at, i, e); i++)
		if (e->tag == tag)
			return true;
	return false;
}

/* Which way the UTF-16 goes is not said anywhere: most prompts have more Latin letters than
 * anything else, and those have a zero byte first when it is big-endian. */
static bool looks_little(const unsigned char *s, size_t size)
{
	size_t zeros[2] = {0, 0};
	for (size_t i = 0; i < size; i++)
		zeros[i % 2] += s[i] == 0;
	return zeros[1] > zeros[0];
}

/* Whether most of its units are Latin letters in UTF-16 of one of the two ways. */
static bool looks_utf16(const unsigned char *s, size_t size)
{
	size_t zeros[2] = {0, 0};
	for (size_t i = 0; i < size; i++)
		zeros[i % 2] += s[i] == 0;
	bool little = zeros[1] > zeros[0];
	return zeros[little] > size / 4 && zeros[!little] <= size / 32 + 2;
}

static char *from_utf16(const unsigned char *s, size_t size)
{
	bool marked = size >= 2 && s[0] + s[1] == 0xFF + 0xFE;
	bool little = marked ? s[0] == 0xFF : looks_little(s, size);
	char *out = malloc(size / 2 * 3 + 1), *p = out;
	if (!out)
		return NULL;
	for (size_t i = 0; i + 1 < size; i += 2) {
		uint32_t unit =
		    little ? s[i] | (uint32_t)s[i + 1] << 8 : (uint32_t)s[i] << 8 | s[i + 1];
		if (unit == 0)
			break;
		if (unit == 0xFEFF && i == 0)
			continue;
		if (unit >= 0xD800 && unit < 0xDC00 && i + 3 < size) {
			uint32_t low = little ? s[i + 2] | (uint32_t)s[i + 3] << 8
					      : (uint32_t)s[i + 2] << 8 | s[i + 3];
			if (low >= 0xDC00 && low < 0xE000) {
				unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
				i += 2;
			}
		}
		size_t n = utf8_encode(unit, p);
		if (n == 0) { /* half a pair */
			memcpy(p, "\xEF\xBF\xBD", 3);
			n = 3;
		}
		p += n;
	}
	*p = '\0';
	return out;
}

/* ---- tags that hold a text ---- */

static int add_text(struct file_texts *texts, const char *name, const unsigned char *value,
		    size_t size, struct error *err)
{
	return texts_add_any(texts, TEXT_EXIF, name, (const char *)value, size, err);
}

static int add_utf16(struct file_texts *texts, const char *name, const unsigned char *value,
		     size_t size, struct error *err)
{
	char *text = from_utf16(value, size);
	int status = text ? texts_add_any(texts, TEXT_EXIF, name, text, strlen(text), err)
			  : error_set(err, SUMI_NOMEM, "no memory for metadata");
	free(text);
	return status;
}

/* JIS: as the standard has it (ISO-2022-JP, with its escapes) or as Python's piexif writes it (Shift JIS). */
static int add_jis(struct file_texts *texts, const char *name, const unsigned char *value, size_t size,
		   struct error *err)
{
	enum { ESCAPE = 0x1B };
	bool escapes = memchr(value, ESCAPE, size);
	if (!escapes && utf8_valid((const char *)value, size))
		return add_text(texts, name, value, size, err);
	iconv_t to = iconv_open("UTF-8", escapes ? "ISO-2022-JP" : "SHIFT_JIS");
	char *in = (char *)(uintptr_t)value, *text = malloc(3 * size + 1), *out = text;
	size_t left = size, room = 3 * size;
	bool known = to != (iconv_t)-1; /* a C library may come without its tables */
	bool read = known && text && iconv(to, &in, &left, &out, &room) != (size_t)-1;
	int status = !text  ? error_set(err, SUMI_NOMEM, "no memory for metadata")
		     : read ? texts_add_any(texts, TEXT_EXIF, name, text, (size_t)(out - text), err)
			    : add_text(texts, name, value, size, err);
	if (known)
		iconv_close(to);
	free(text);
	return status;
}

/* Whether a comment begins with those eight bytes, in capitals or not. */
static bool names_set(const unsigned char *value, size_t size, const char *set)
{
	size_t i = 0;
	while (i < 8 && i < size && toupper(value[i]) == set[i])
		i++;
	return i == 8;
}

/* Text of no set that is named. */
static int add_unnamed(struct file_texts *texts, const char *name, const unsigned char *value, size_t size, struct error *err)
{
	return (looks_utf16(value, size) ? add_utf16 : add_text)(texts, name, value, size, err);
}

/* Exif 2.32, 4.6.5: eight bytes name the character set. Some programs leave them out, some name another than they
 * write. */
static int add_comment(struct file_texts *texts, const char *name, const unsigned char *value,
		       size_t size, struct error *err)
{
	static const char *const sets[] = {"ASCII\0\0", "\0\0\0\0\0\0\0", "UNDEFINE"};
	if (names_set(value, size, "JIS\0\0\0\0"))
		return add_jis(texts, name, value + 8, size - 8, err);
	if (names_set(value, size, "UNICODE")) {
		if (memchr(value + 8, '\0', size - 8) || !utf8_valid((const char *)value + 8, size - 8))
			return add_utf16(texts, name, value + 8, size - 8, err);
		return add_text(texts, name, value + 8, size - 8, err);
	}
	for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
		if (names_set(value, size, sets[i]))
			return add_unnamed(texts, name, value + 8, size - 8, err);
	return add_unnamed(texts, name, value, size, err);
}

static const struct {
	unsigned tag;
	const char *name;
	int (*add)(struct file_texts *texts, const char *name, const unsigned char *value,
		   size_t size, struct error *err);
} tags[] = {
    {0x010D, "DocumentName", add_text},
    {0x010E, "ImageDescription", add_text},
    {0x010F, "Make", add_text},
    {0x0110, "Model", add_text},
    {0x0131, "Software", add_text},
    {0x013B, "Artist", add_text},
    {0x9286, "UserComment", add_comment},
    {0x927C, "MakerNote", add_text},
    {0x9C9B, "XPTitle", add_utf16},
    {0x9C9C, "XPComment", add_utf16},
    {0x9C9D, "XPAuthor", add_utf16},
    {0x9C9E, "XPKeywords", add_utf16},
    {0x9C9F, "XPSubject", add_utf16},
};

static int add_entry(const struct tiff *t, const struct entry *e, struct file_texts *texts,
		     struct error *err)
{
	size_t i = 0, count = sizeof tags / sizeof tags[0];
	while (i < count && tags[i].tag != e->tag)
		i++;
	if (i == count ||
	    (e->type != TYPE_ASCII && e->type != TYPE_UNDEFINED && e->type != TYPE_BYTE && e->type != TYPE_UTF8))
		return SUMI_OK;
	size_t at = e->count <= 4 ? e->at : tiff_number(t, e->at, 4);
	if (at > t->size || t->size - at < e->count)
		return error_set(err, SUMI_CORRUPT, "EXIF: %s lies outside the packet",
				 tags[i].name);
	if (e->count > 2 * METADATA_TEXT_MAX)
		return error_set(err, SUMI_TOOBIG, "EXIF: %s has %u bytes", tags[i].name, e->count);
	return tags[i].add(texts, tags[i].name, t->data + at, e->count, err);
}

int exif_read(const unsigned char *exif, size_t size, struct file_texts *texts, struct error *err)
{
	struct tiff t;
	struct entry e;
	if (!tiff_open(exif, size, &t))
		return error_set(err, SUMI_CORRUPT, "EXIF: no TIFF header");
	size_t first = tiff_number(&t, 4, 4), at[2] = {first, 0};
	int status = SUMI_OK;
	if (tiff_find(&t, first, TAG_EXIF_IFD, &e))
		at[1] = tiff_number(&t, e.at, 4);
	/* That of the camera's directory counts first: A1111's place. */
	for (int k = 1; k >= 0; k--)
		for (size_t i = 0; at[k] && !status && tiff_entry(&t, at[k], i, &e); i++)
			status = add_entry(&t, &e, texts, err);
	return status;
}

int exif_orientation(const unsigned char *exif, size_t size)
{
	struct tiff t;
	struct entry e;
	if (!tiff_open(exif, size, &t) || !tiff_find(&t, tiff_number(&t, 4, 4), TAG_ORIENTATION, &e))
		return 1;
	/* A number of two bytes stands at the beginning of its four. */
	uint32_t value = tiff_number(&t, e.at, 2);
	return value >= 1 && value <= 8 ? (int)value : 1;
}
