/* Metadata as text, and as the XMP and EXIF packets of WebP. */
#define _GNU_SOURCE /* memmem */
#include "media/metadata.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

void metadata_free(struct metadata *m)
{
	free(m->infotext);
	free(m->json);
	*m = (struct metadata){0};
}

static int check_text(const char *name, const char *text, struct error *err)
{
	size_t size = strlen(text);
	if (size > METADATA_TEXT_MAX)
		return error_set(err, SUMI_TOOBIG,
				 "metadata: %s has %zu bytes, at most %d are allowed", name, size,
				 METADATA_TEXT_MAX);
	if (!utf8_valid(text, size))
		return error_set(err, SUMI_INVALID, "metadata: %s is not valid UTF-8", name);
	return SUMI_OK;
}

/* ---- XMP (ISO 16684-1) ---- */

#define XMP_NAMESPACE "urn:sumi:metadata:1#"

static void put_xml(FILE *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		switch (*p) {
		case '&':
			fputs("&amp;", out);
			break;
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '\r': /* a parser would read a bare one as a newline */
			fputs("&#13;", out);
			break;
		default:
			/* XML 1.0 has no way to write the other control characters. */
			fputc(*p < 0x20 && *p != '\n' && *p != '\t' ? ' ' : *p, out);
		}
	}
}

int metadata_write_xmp(const struct metadata *m, char **xmp, size_t *size, struct error *err)
{
	static const char head[] =
	    "<?xpacket begin=\"\xEF\xBB\xBF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
	    "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">"
	    "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">"
	    "<rdf:Description rdf:about=\"\" xmlns:sumi=\"" XMP_NAMESPACE "\">\n";
	static const char tail[] =
	    "</rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end=\"r\"?>\n";
	const struct {
		const char *name, *text;
	} parts[] = {{"parameters", m->infotext}, {"json", m->json}};

	*xmp = NULL;
	FILE *out = open_memstream(xmp, size);
	if (!out)
		return error_set(err, SUMI_NOMEM, "no memory for metadata");
	int status = SUMI_OK;
	fputs(head, out);
	for (size_t i = 0; i < 2 && !status; i++) {
		if (!parts[i].text)
			continue;
		status = check_text(parts[i].name, parts[i].text, err);
		fprintf(out, "<sumi:%s>", parts[i].name);
		put_xml(out, parts[i].text);
		fprintf(out, "</sumi:%s>\n", parts[i].name);
	}
	fputs(tail, out);
	if (fclose(out) != 0 && !status)
		status = error_set(err, SUMI_NOMEM, "no memory for metadata");
	if (status) {
		free(*xmp);
		*xmp = NULL;
	}
	return status;
}

/* One entity or character at p; returns how many bytes it took. */
static size_t put_unescaped(FILE *out, const char *p, size_t left)
{
	static const struct {
		const char *entity;
		char c;
	} named[] = {
	    {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
	for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
		size_t n = strlen(named[i].entity);
		if (left >= n && memcmp(p, named[i].entity, n) == 0) {
			fputc(named[i].c, out);
			return n;
		}
	}
	if (left >= 4 && p[0] == '&' && p[1] == '#') {
		char digits[12] = {0};
		size_t n = 0;
		while (2 + n < left && n < sizeof digits - 1 && p[2 + n] != ';') {
			digits[n] = p[2 + n];
			n++;
		}
		bool hex = digits[0] == 'x';
		char *end;
		unsigned long code = strtoul(digits + hex, &end, hex ? 16 : 10);
		char utf8[4];
		size_t length = code <= 0x10FFFF ? utf8_encode((uint32_t)code, utf8) : 0;
		if (2 + n < left && p[2 + n] == ';' && *end == '\0' && code != 0 && length != 0) {
			fwrite(utf8, 1, length, out);
			return n + 3;
		}
	}
	fputc(*p, out);
	return 1;
}

/* Where the text of element or attribute `name` begins, and the character that ends it. Programs
 * that rewrite XMP may turn a simple element into an attribute. What others hold is stepped over: a
 * prompt may have the name in it. NULL when there is none. */
static const char *xmp_find(const char *p, const char *end, const char *name, char *stop)
{
	size_t n = strlen(name);
	while ((p = memchr(p, '<', (size_t)(end - p)))) {
		const char *tag = ++p;
		if ((size_t)(end - tag) > n && memcmp(tag, name, n) == 0 && tag[n] == '>') {
			*stop = '<';
			return tag + n + 1;
		}
		for (; p < end && *p != '>'; p++) {
			if (*p != '"' && *p != '\'')
				continue;
			*stop = *p++;
			if ((size_t)(p - tag) > n + 2 && p[-2] == '=' &&
			    memcmp(p - 2 - n, name, n) == 0 && strchr(" \t\r\n", *(p - 3 - n)))
				return p;
			p = memchr(p, *stop, (size_t)(end - p));
			if (!p)
				return NULL;
		}
	}
	return NULL;
}

/* That text in *text, a new string, or NULL when there is none. */
static int xmp_value(const char *xmp, size_t size, const char *name, char **text, struct error *err)
{
	char stop;
	const char *end = xmp + size, *p = xmp_find(xmp, end, name, &stop);
	*text = NULL;
	if (!p)
		return SUMI_OK;
	const char *close = memchr(p, stop, (size_t)(end - p));
	if (!close)
		return error_set(err, SUMI_CORRUPT, "XMP: %s has no end", name);
	if (close - p > 6 * METADATA_TEXT_MAX)
		return error_set(err, SUMI_TOOBIG, "XMP: %s is longer than %d bytes", name,
				 METADATA_TEXT_MAX);
	size_t length;
	FILE *out = open_memstream(text, &length);
	if (!out)
		return error_set(err, SUMI_NOMEM, "no memory for metadata");
	while (p < close)
		p += put_unescaped(out, p, (size_t)(close - p));
	if (fclose(out) != 0)
		return error_set(err, SUMI_NOMEM, "no memory for metadata");
	int status = SUMI_OK;
	if (strlen(*text) != length)
		status = error_set(err, SUMI_CORRUPT, "XMP: %s holds a NUL byte", name);
	else
		status = check_text(name, *text, err);
	if (status) {
		free(*text);
		*text = NULL;
	}
	return status;
}

int metadata_read_xmp(const char *xmp, size_t size, struct metadata *m, struct error *err)
{
	int status = SUMI_OK;
	if (!m->infotext)
		status = xmp_value(xmp, size, "sumi:parameters", &m->infotext, err);
	if (!status && !m->json)
		status = xmp_value(xmp, size, "sumi:json", &m->json, err);
	return status;
}

/* ---- EXIF (TIFF 6.0; Exif 2.32, 4.6.5 UserComment) ---- */

enum { TAG_EXIF_IFD = 0x8769, TAG_USER_COMMENT = 0x9286, TYPE_LONG = 4, TYPE_UNDEFINED = 7 };

/* Big-endian TIFF, because A1111's reader takes the UTF-16 of the comment as big-endian
 * whatever the file says. */
int metadata_write_exif(const struct metadata *m, unsigned char **exif, size_t *size,
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
	int status = check_text("infotext", m->infotext, err);
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

/* Finds tag in the directory at `at`; false when it is not there or the directory is cut. */
static bool tiff_find(const struct tiff *t, size_t at, unsigned tag, uint32_t *count,
		      uint32_t *value)
{
	if (at > t->size || t->size - at < 2)
		return false;
	size_t entries = tiff_number(t, at, 2);
	for (size_t i = 0; i < entries; i++) {
		size_t entry = at + 2 + 12 * i;
		if (t->size < entry + 12)
			return false;
		if (tiff_number(t, entry, 2) != tag)
			continue;
		*count = tiff_number(t, entry + 4, 4);
		*value = tiff_number(t, entry + 8, 4);
		return true;
	}
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

int metadata_read_exif(const unsigned char *exif, size_t size, struct metadata *m,
		       struct error *err)
{
	if (m->infotext)
		return SUMI_OK;
	if (size >= 6 && memcmp(exif, "Exif\0\0", 6) == 0) {
		exif += 6;
		size -= 6;
	}
	struct tiff t = {exif, size, size >= 2 && exif[0] == 'I'};
	if (size < 8 || (memcmp(exif, "II*\0", 4) != 0 && memcmp(exif, "MM\0*", 4) != 0))
		return error_set(err, SUMI_CORRUPT, "EXIF: no TIFF header");
	uint32_t count, at;
	if (!tiff_find(&t, tiff_number(&t, 4, 4), TAG_EXIF_IFD, &count, &at) ||
	    !tiff_find(&t, at, TAG_USER_COMMENT, &count, &at) || count < 8)
		return SUMI_OK;
	if (at > size || size - at < count)
		return error_set(err, SUMI_CORRUPT, "EXIF: UserComment lies outside the packet");
	if (count > 2 * METADATA_TEXT_MAX)
		return error_set(err, SUMI_TOOBIG, "EXIF: UserComment has %u bytes", count);
	const unsigned char *text = exif + at + 8;
	count -= 8;
	if (memcmp(exif + at, "UNICODE\0", 8) == 0)
		m->infotext = from_utf16(text, count);
	else if (utf8_valid((const char *)text, count))
		m->infotext = strndup((const char *)text, count);
	else
		return SUMI_OK;
	if (!m->infotext)
		return error_set(err, SUMI_NOMEM, "no memory for metadata");
	return SUMI_OK;
}

int metadata_exif_orientation(const unsigned char *exif, size_t size)
{
	enum { TAG_ORIENTATION = 0x0112 };
	uint32_t count, value;
	if (size >= 6 && memcmp(exif, "Exif\0\0", 6) == 0) {
		exif += 6;
		size -= 6;
	}
	struct tiff t = {exif, size, size >= 2 && exif[0] == 'I'};
	if (size < 8 || (memcmp(exif, "II*\0", 4) != 0 && memcmp(exif, "MM\0*", 4) != 0) ||
	    !tiff_find(&t, tiff_number(&t, 4, 4), TAG_ORIENTATION, &count, &value))
		return 1;
	/* A number of two bytes stands at the beginning of its four. */
	value = t.little ? value & 0xFFFF : value >> 16;
	return value >= 1 && value <= 8 ? (int)value : 1;
}
