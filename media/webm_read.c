/* Reading WebM and Matroska, as far as sumi has use for it: tags, and the first picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/ebml.h"
#include "media/webm.h"

static int damaged(const char *where, struct error *err)
{
	return error_set(err, SUMI_CORRUPT, "%s: damaged or cut-off WebM file", where);
}

/* The segment's elements. */
static int open_segment(const void *data, size_t size, const char *where, struct ebml_reader *out,
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
	return damaged(where, err);
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
		return damaged(where, err);
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
		status = got < 0 ? damaged(where, err) : e.id == id ? call(&e, where, texts, err) : SUMI_OK;
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
	int status = open_segment(data, size, where, &segment, err), got = 1;
	while (!status && (got = ebml_next(&segment, &e)) == 1) {
		if (e.id == WEBM_TAGS)
			status = each(&e, WEBM_TAG, where, texts, add_tags, err);
		/* Of a live stream, whose clusters have no length: what follows stands beside its blocks. */
		if (e.id == WEBM_CLUSTER && e.open)
			segment.at -= e.size;
	}
	return status || got == 0 ? status : damaged(where, err);
}

/* ---- the first picture ------------------------------------------------------------- */

/* Looks at one track: its number into *track where it is the first of pictures. */
static int look_at_track(const struct ebml_element *entry, const char *where, uint64_t *track, struct error *err)
{
	struct ebml_reader r = ebml_inside(entry);
	struct ebml_element e;
	uint64_t number = 0, type = 0;
	char codec[32] = "";
	bool packed = false;
	int got;
	while ((got = ebml_next(&r, &e)) == 1) {
		if (e.id == WEBM_TRACK_NUMBER)
			number = ebml_number(&e);
		if (e.id == WEBM_TRACK_TYPE)
			type = ebml_number(&e);
		if (e.id == WEBM_CODEC)
			snprintf(codec, sizeof codec, "%.*s", e.size < sizeof codec ? (int)e.size : 31, (const char *)e.data);
		packed |= e.id == WEBM_ENCODINGS;
	}
	if (got < 0)
		return damaged(where, err);
	if (type != 1 || *track)
		return SUMI_OK;
	*track = number;
	return strcmp(codec, "V_VP9") == 0 && !packed
		   ? SUMI_OK
		   : error_set(err, SUMI_UNSUPPORTED, "%s: its pictures are %s%.31s, sumi reads V_VP9", where,
			       packed ? "packed " : "", codec);
}

/* A block's picture, where it is of that track. */
static int open_block(const struct ebml_element *block, uint64_t track, const char *where, struct ebml_reader *out,
		      struct error *err)
{
	enum { TIME_AND_FLAGS = 3, LACED = 0x06 };
	struct ebml_reader r = ebml_inside(block);
	uint64_t number;
	if (!ebml_varying(&r, &number) || r.size - r.at < TIME_AND_FLAGS)
		return damaged(where, err);
	if (number != track)
		return SUMI_NOTFOUND;
	if (r.data[r.at + 2] & LACED)
		return error_set(err, SUMI_UNSUPPORTED, "%s: its pictures are laced", where);
	*out = (struct ebml_reader){.data = r.data + r.at + TIME_AND_FLAGS, .size = r.size - r.at - TIME_AND_FLAGS};
	return SUMI_OK;
}

int webm_first_picture(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		       int *height, struct error *err)
{
	struct ebml_reader segment, picture = {0};
	struct ebml_element e;
	uint64_t track = 0;
	int got = 1, status = open_segment(data, size, where, &segment, err);
	while (!status && (got = ebml_next(&segment, &e)) == 1) {
		switch (e.id) {
		case WEBM_TRACKS:
		case WEBM_CLUSTER:
		case WEBM_BLOCK_GROUP: /* what they hold stands in the same row */
			segment.at -= e.size;
			break;
		case WEBM_TRACK:
			status = look_at_track(&e, where, &track, err);
			break;
		case WEBM_SIMPLE_BLOCK:
		case WEBM_BLOCK:
			status = open_block(&e, track, where, &picture, err);
			if (!status)
				return vp9_decode(picture.data, picture.size, where, rgb, width, height, err);
			status = status == SUMI_NOTFOUND ? SUMI_OK : status;
			break;
		}
	}
	if (status)
		return status;
	return got < 0 ? damaged(where, err) : error_set(err, SUMI_CORRUPT, "%s: holds no picture", where);
}
