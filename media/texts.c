/* The texts that stand in a file. */
#include "media/texts.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"

const char *text_place_name(enum text_place place)
{
	static const char *const names[] = {
	    [TEXT_PNG] = "PNG",	      [TEXT_EXIF] = "EXIF",   [TEXT_XMP] = "XMP",
	    [TEXT_COMMENT] = "comment", [TEXT_CHUNK] = "chunk", [TEXT_VORBIS] = "Vorbis",
	    [TEXT_TAG] = "tag",	      [TEXT_HIDDEN] = "pixels",   [TEXT_PLAIN] = "text",
	};
	return names[place];
}

void texts_free(struct file_texts *texts)
{
	for (size_t i = 0; i < texts->count; i++) {
		free(texts->at[i].key);
		free(texts->at[i].text);
	}
	free(texts->at);
	*texts = (struct file_texts){0};
}

int texts_after(struct file_texts *texts, int status, const struct error *err)
{
	if (status != SUMI_CORRUPT && status != SUMI_INVALID && status != SUMI_TOOBIG)
		return status;
	if (!texts->damage.status && err)
		texts->damage = *err;
	return SUMI_OK;
}

/* "EXIF UserComment", "comment" */
static void describe(enum text_place place, const char *key, char out[80])
{
	const char *name = text_place_name(place);
	snprintf(out, 80, "%s%s%.48s", name, *key ? " " : "", key);
}

static int keep(struct file_texts *texts, enum text_place place, const char *key, char *text,
		struct error *err)
{
	char *name = strdup(key);
	if (!texts->at)
		texts->at = calloc(TEXTS_MAX, sizeof *texts->at);
	if (!texts->at || !name || !text) {
		free(name);
		free(text);
		return error_set(err, SUMI_NOMEM, "no memory for metadata");
	}
	texts->at[texts->count++] = (struct file_text){place, name, text};
	return SUMI_OK;
}

static void trim(const char **text, size_t *size)
{
	while (*size > 0 && (*text)[*size - 1] == '\0')
		--*size;
	while (*size > 0 && **text == '\0') {
		++*text;
		--*size;
	}
}

static int check_size(enum text_place place, const char *key, size_t size, struct error *err)
{
	char what[80];
	if (size <= METADATA_TEXT_MAX)
		return SUMI_OK;
	describe(place, key, what);
	return error_set(err, SUMI_TOOBIG, "metadata: %s has %zu bytes, at most %d are allowed",
			 what, size, METADATA_TEXT_MAX);
}

int texts_add(struct file_texts *texts, enum text_place place, const char *key, const char *text,
	      size_t size, struct error *err)
{
	char what[80];
	trim(&text, &size);
	if (size == 0 || texts->count == TEXTS_MAX)
		return SUMI_OK;
	int status = check_size(place, key, size, err);
	if (status)
		return status;
	describe(place, key, what);
	if (memchr(text, '\0', size))
		return error_set(err, SUMI_CORRUPT, "metadata: %s holds a NUL byte", what);
	if (!utf8_valid(text, size))
		return error_set(err, SUMI_CORRUPT, "metadata: %s is not valid UTF-8", what);
	return keep(texts, place, key, strndup(text, size), err);
}

int texts_add_any(struct file_texts *texts, enum text_place place, const char *key,
		  const char *text, size_t size, struct error *err)
{
	trim(&text, &size);
	size = strnlen(text, size);
	if (size == 0 || texts->count == TEXTS_MAX)
		return SUMI_OK;
	int status = check_size(place, key, size, err);
	if (status)
		return status;
	if (utf8_valid(text, size))
		return keep(texts, place, key, strndup(text, size), err);
	char *out = malloc(2 * size + 1), *p = out;
	for (size_t i = 0; out && i < size; i++)
		p += utf8_encode((unsigned char)text[i], p);
	if (out)
		*p = '\0';
	return keep(texts, place, key, out, err);
}

const char *texts_find(const struct file_texts *texts, enum text_place place, const char *key)
{
	for (size_t i = 0; i < texts->count; i++)
		if (texts->at[i].place == place && strcasecmp(texts->at[i].key, key) == 0)
			return texts->at[i].text;
	return NULL;
}
