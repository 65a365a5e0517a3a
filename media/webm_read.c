/* Reading WebM and Matroska: tags. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/webm_internal.h"

int webm_damaged(const char *where, struct error *err)
{
	return error_set(err, SUMI_CORRUPT, "%s: damaged or cut-off WebM file", where);
}

int webm_open_segment(const void *data, size_t size, const char *where, struct ebml_reader *out,
		      struct error *err)
{
	struct ebml_reader file = {.data = data, .size = size};
	struct ebml_element e;
	int got;
	while ((got = ebml_next(&file, &e)) == 1)
		if (e.id == WEBM_SEGMENT) {
			*out = ebml_inside(&e);
			return SUMI_OK;
		}
	return webm_damaged(where, err);
}

/* ---- tags -------------------------------------------------------------------------- */

static int add_tag(const struct ebml_element *tag, const char *where, struct file_texts *texts, struct error *err)
{
	struct ebml_reader r = ebml_inside(tag);
	struct ebml_element e, name = {0}, text = {0};
	char key[64];
	int got;
	while ((got = ebml_next(&r, &e)) == 1) {
		if (e.id == WEBM_TAG_NAME)
			name = e;
		if (e.id == WEBM_TAG_TEXT)
			text = e;
	}
	if (got < 0)
		return webm_damaged(where, err);
	if (!name.size || name.size >= sizeof key || !text.size)
		return SUMI_OK;
	memcpy(key, name.data, name.size);
	key[name.size] = '\0';
	int status = texts_add(texts, TEXT_TAG, key, (const char *)text.data, text.size, err);
	return status ? error_prefix(err, "%s", where) : SUMI_OK;
}

/* Calls back for each child of an element with this id. */
static int each(const struct ebml_element *parent, uint32_t id, const char *where, struct file_texts *texts,
		int (*call)(const struct ebml_element *e, const char *where, struct file_texts *texts,
			    struct error *err),
		struct error *err)
{
	struct ebml_reader r = ebml_inside(parent);
	struct ebml_element e;
	int got, status = SUMI_OK;
	while (!status && (got = ebml_next(&r, &e)) != 0)
		status = got < 0 ? webm_damaged(where, err) : e.id == id ? call(&e, where, texts, err) : SUMI_OK;
	return status;
}

static int add_tags(const struct ebml_element *tag, const char *where, struct file_texts *texts, struct error *err)
{
	return each(tag, WEBM_SIMPLE_TAG, where, texts, add_tag, err);
}

int webm_read_texts(const void *data, size_t size, const char *where, struct file_texts *texts,
		    struct error *err)
{
	struct ebml_reader segment;
	struct ebml_element e;
	int status = webm_open_segment(data, size, where, &segment, err), got = 1;
	while (!status && (got = ebml_next(&segment, &e)) == 1) {
		if (e.id == WEBM_TAGS)
			status = each(&e, WEBM_TAG, where, texts, add_tags, err);
		/* Of a live stream, whose clusters have no length: what follows stands beside its blocks. */
		if (e.id == WEBM_CLUSTER && e.open)
			segment.at -= e.size;
	}
	return status || got == 0 ? status : webm_damaged(where, err);
}
