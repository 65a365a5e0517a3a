/* Forms with files. */
#define _GNU_SOURCE /* memmem() */
#include "gateway/multipart.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

enum { BOUNDARY_MAX = 70, HEADERS_MAX = 4096 };

/* Whether a Content-Type is one of such a form. */
bool multipart_is(const char *type)
{
	static const char name[] = "multipart/form-data";
	size_t n = sizeof name - 1;
	return type && strncasecmp(type, name, n) == 0 && (!type[n] || strchr("; \t", type[n]));
}

enum found { ABSENT, UNREADABLE, READ };

/* Where a text in quotes ends that begins at `at`. Browsers send backslashes as they are, others escape with them: a
 * quote behind one is the last where no other comes. */
static const char *closing_quote(const char *at, const char *end)
{
	for (const char *p = at; p < end; p++) {
		if (*p == '"')
			return p;
		p += *p == '\\' && p + 1 < end;
	}
	return memchr(at, '"', (size_t)(end - at));
}

static bool copy_value(const char *at, const char *end, bool quoted, char *out, size_t room)
{
	size_t used = 0;
	for (; at < end; at++) {
		if (quoted && *at == '\\' && at + 1 < end)
			at++;
		if (used + 1 >= room)
			return false;
		out[used++] = *at;
	}
	out[used] = '\0';
	return true;
}

/* The first parameter of this name: `; name=word`, `; name="text"`. What stands in another's quotes is none. */
static enum found parameter(const char *text, size_t size, const char *name, char *out, size_t room)
{
	const char *at = memchr(text, ';', size), *end = text + size;
	size_t n = strlen(name);
	while (at && at < end) {
		for (at++; at < end && strchr(" \t", *at);)
			at++;
		const char *key = at;
		while (at < end && !strchr("=;", *at))
			at++;
		if (at == end || *at == ';')
			continue;
		bool wanted = (size_t)(at - key) == n && strncasecmp(key, name, n) == 0, quoted = ++at < end && *at == '"';
		const char *value = at += quoted, *stop = quoted ? closing_quote(at, end) : at;
		while (!quoted && stop < end && !strchr("; \t", *stop))
			stop++;
		if (!stop)
			return UNREADABLE;
		if (wanted)
			return copy_value(value, stop, quoted, out, room) ? READ : UNREADABLE;
		at = memchr(stop, ';', (size_t)(end - stop));
	}
	return ABSENT;
}

static bool read_boundary(const char *type, char out[BOUNDARY_MAX + 8])
{
	char text[BOUNDARY_MAX + 2];
	if (!multipart_is(type) || parameter(type, strlen(type), "boundary", text, sizeof text) != READ || !*text)
		return false;
	for (const char *p = text; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("'()+_,-./:=? ", *p))
			return false;
	snprintf(out, BOUNDARY_MAX + 8, "\r\n--%s", text);
	return true;
}

/* The headers of one part, without the empty line behind them. */
static bool read_headers(const char *text, size_t size, struct multipart_part *part)
{
	static const char wanted[] = "content-disposition:";
	char ignored[1024];
	bool named = false;
	for (const char *at = text, *end = text + size; at < end;) {
		const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);
		size_t n = stop ? (size_t)(stop - at) : (size_t)(end - at);
		if (n > sizeof wanted - 1 && strncasecmp(at, wanted, sizeof wanted - 1) == 0) {
			if (named)
				return false;
			named = parameter(at, n, "name", part->name, sizeof part->name) == READ;
			/* How it is called is no matter, however it is written. */
			part->file = parameter(at, n, "filename", ignored, sizeof ignored) != ABSENT ||
				     parameter(at, n, "filename*", ignored, sizeof ignored) != ABSENT;
		}
		at += n + 2;
	}
	return named && utf8_valid(part->name, strlen(part->name));
}

static int refuse(struct error *err, const char *why)
{
	return error_set(err, SUMI_INVALID, "the form cannot be read: %s", why);
}

int multipart_parse(const char *content_type, const char *body, size_t size, struct multipart *out,
		    struct error *err)
{
	char mark[BOUNDARY_MAX + 8];
	out->count = 0;
	if (!read_boundary(content_type, mark))
		return refuse(err, "Content-Type names no boundary");
	size_t length = strlen(mark);
	const char *end = body + size, *at = body;
	/* The first boundary has no line end before it. */
	if (size < length || memcmp(body, mark + 2, length - 2) != 0)
		return refuse(err, "it does not begin with its boundary");
	for (at += length - 2;; at += length) {
		if (end - at >= 2 && memcmp(at, "--", 2) == 0)
			return SUMI_OK;
		if (end - at < 2 || memcmp(at, "\r\n", 2) != 0)
			return refuse(err, "something stands behind a boundary");
		if (out->count == MULTIPART_MAX)
			return refuse(err, "it has more than 64 parts");
		at += 2;
		struct multipart_part *part = &out->parts[out->count];
		const char *data = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
		const char *next = data ? memmem(data + 2, (size_t)(end - data - 2), mark, length) : NULL;
		*part = (struct multipart_part){0};
		if (!next || data - at > HEADERS_MAX)
			return refuse(err, "a part has no end, or too many headers");
		if (!read_headers(at, (size_t)(data - at), part))
			return refuse(err, "a part has no name");
		/* The two bytes of the empty line's end may be those before the boundary. */
		part->data = data + 4;
		part->size = next > data + 4 ? (size_t)(next - data - 4) : 0;
		out->count++;
		at = next;
	}
}

const struct multipart_part *multipart_find(const struct multipart *form, const char *name, size_t *count)
{
	const struct multipart_part *first = NULL;
	*count = 0;
	for (size_t i = 0; i < form->count; i++)
		if (strcmp(form->parts[i].name, name) == 0) {
			first = first ? first : &form->parts[i];
			(*count)++;
		}
	return first;
}
