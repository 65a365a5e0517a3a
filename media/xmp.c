/* XMP packets (ISO 16684-1). */
#define _GNU_SOURCE /* memmem() */
#include "media/xmp.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

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

int xmp_write(const struct metadata *m, char **xmp, size_t *size, struct error *err)
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
		status = metadata_check(parts[i].name, parts[i].text, err);
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

struct xmp_name {
	const char *name, *space; /* with the prefix that programs have for that namespace */
};

/* Where the text of element or attribute `name` begins, and the character that ends it. Programs
 * that rewrite XMP may turn a simple element into an attribute. What others hold is stepped over: a
 * prompt may have the name in it. NULL when there is none. */
static const char *xmp_find(const char *p, const char *end, const char *name, char *stop)
{
	size_t n = strlen(name);
	while ((p = memchr(p, '<', (size_t)(end - p)))) {
		const char *tag = ++p;
		bool named = (size_t)(end - tag) > n && memcmp(tag, name, n) == 0;
		if (named && strchr(" \t\r\n", tag[n])) { /* it has attributes of its own */
			const char *close = memchr(tag, '>', (size_t)(end - tag));
			named = close && close[-1] != '/';
			tag = named ? close - n : tag;
		}
		if (named && tag[n] == '>') {
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

/* Where the text begins within an element whose value is a list (rdf:Alt, rdf:li): behind the tags that
 * stand before it. */
static const char *step_in(const char *p, const char *end)
{
	for (;;) {
		const char *q = p;
		while (q < end && strchr(" \t\r\n", *q))
			q++;
		if (q + 1 >= end || *q != '<' || q[1] == '/' || q[1] == '!')
			return p;
		q = memchr(q, '>', (size_t)(end - q));
		if (!q || q[-1] == '/')
			return p;
		p = q + 1;
	}
}

/* A text that stands in <![CDATA[ ]]>: where it begins, and ends (NULL: nowhere). */
static bool take_cdata(const char **p, const char *end, const char **close)
{
	static const char begins[] = "<![CDATA[", ends[] = "]]>";
	const char *at = *p;
	while (at < end && strchr(" \t\r\n", *at))
		at++;
	if ((size_t)(end - at) < strlen(begins) || memcmp(at, begins, strlen(begins)) != 0)
		return false;
	*p = at + strlen(begins);
	*close = memmem(*p, (size_t)(end - *p), ends, strlen(ends));
	return true;
}

/* The name under which a program has an element of that namespace, where it took another prefix than all others do.
 * False: it did not. */
static bool other_name(const char *xmp, size_t size, const struct xmp_name *name, char out[64])
{
	char quoted[80];
	snprintf(quoted, sizeof quoted, "=\"%s\"", name->space ? name->space : "");
	const char *at = name->space ? memmem(xmp, size, quoted, strlen(quoted)) : NULL, *from = at;
	while (from && from > xmp && (isalnum((unsigned char)from[-1]) || strchr("-_.", from[-1])))
		from--;
	if (!from || from - xmp < 7 || memcmp(from - 6, "xmlns:", 6) != 0 || at - from > 30)
		return false;
	snprintf(out, 64, "%.*s%s", (int)(at - from), from, strchr(name->name, ':'));
	return strcmp(out, name->name) != 0;
}

/* Adds that text; there may be none. */
static int add_value(const char *xmp, size_t size, const struct xmp_name *wanted, struct file_texts *texts,
		     struct error *err)
{
	char stop, other[64];
	const char *name = wanted->name;
	const char *end = xmp + size, *p = xmp_find(xmp, end, name, &stop);
	if (!p && other_name(xmp, size, wanted, other))
		p = xmp_find(xmp, end, other, &stop);
	if (!p)
		return SUMI_OK;
	if (stop == '<')
		p = step_in(p, end);
	const char *close = memchr(p, stop, (size_t)(end - p));
	bool as_it_is = stop == '<' && take_cdata(&p, end, &close);
	if (!close)
		return error_set(err, SUMI_CORRUPT, "XMP: %s has no end", name);
	if (close - p > 6 * METADATA_TEXT_MAX)
		return error_set(err, SUMI_TOOBIG, "XMP: %s is longer than %d bytes", name,
				 METADATA_TEXT_MAX);
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	if (!out)
		return error_set(err, SUMI_NOMEM, "no memory for metadata");
	while (p < close)
		p += as_it_is ? fwrite(p, 1, (size_t)(close - p), out) : put_unescaped(out, p, (size_t)(close - p));
	int status = fclose(out) != 0 ? error_set(err, SUMI_NOMEM, "no memory for metadata")
				      : texts_add(texts, TEXT_XMP, name, text, length, err);
	free(text);
	return status;
}

int xmp_read(const char *xmp, size_t size, struct file_texts *texts, struct error *err)
{
	static const struct xmp_name names[] = {{METADATA_XMP_JSON, XMP_NAMESPACE},
						{METADATA_XMP_INFOTEXT, XMP_NAMESPACE},
						{"exif:UserComment", "http://ns.adobe.com/exif/1.0/"},
						{"dc:description", "http://purl.org/dc/elements/1.1/"},
						{"xmp:CreatorTool", "http://ns.adobe.com/xap/1.0/"}};
	int status = SUMI_OK;
	for (size_t i = 0; i < sizeof names / sizeof names[0] && !status; i++)
		status = add_value(xmp, size, &names[i], texts, err);
	return status;
}
