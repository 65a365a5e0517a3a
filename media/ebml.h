/* EBML, of which WebM files are made: elements of an id, a length and bytes or other elements. */
#ifndef SUMI_MEDIA_EBML_H
#define SUMI_MEDIA_EBML_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* Ids of the elements that sumi writes or reads, with the bits that tell how long they are. */
enum {
	EBML_HEADER = 0x1A45DFA3,
	EBML_VERSION = 0x4286,
	EBML_READ_VERSION = 0x42F7,
	EBML_MAX_ID = 0x42F2,
	EBML_MAX_SIZE = 0x42F3,
	EBML_DOC_TYPE = 0x4282,
	EBML_DOC_VERSION = 0x4287,
	EBML_DOC_READ_VERSION = 0x4285,
	WEBM_SEGMENT = 0x18538067,
	WEBM_SEEK_HEAD = 0x114D9B74,
	WEBM_SEEK = 0x4DBB,
	WEBM_SEEK_ID = 0x53AB,
	WEBM_SEEK_POSITION = 0x53AC,
	WEBM_INFO = 0x1549A966,
	WEBM_TIMESTAMP_SCALE = 0x2AD7B1,
	WEBM_DURATION = 0x4489,
	WEBM_MUXING_APP = 0x4D80,
	WEBM_WRITING_APP = 0x5741,
	WEBM_TRACKS = 0x1654AE6B,
	WEBM_TRACK = 0xAE,
	WEBM_TRACK_NUMBER = 0xD7,
	WEBM_TRACK_UID = 0x73C5,
	WEBM_TRACK_TYPE = 0x83,
	WEBM_LACING = 0x9C,
	WEBM_LANGUAGE = 0x22B59C,
	WEBM_DEFAULT_DURATION = 0x23E383,
	WEBM_CODEC = 0x86,
	WEBM_CODEC_PRIVATE = 0x63A2,
	WEBM_ENCODINGS = 0x6D80,
	WEBM_DELAY = 0x56AA,
	WEBM_PREROLL = 0x56BB,
	WEBM_VIDEO = 0xE0,
	WEBM_WIDTH = 0xB0,
	WEBM_HEIGHT = 0xBA,
	WEBM_COLOUR = 0x55B0,
	WEBM_MATRIX = 0x55B1,
	WEBM_BITS = 0x55B2,
	WEBM_SITING_ACROSS = 0x55B7,
	WEBM_SITING_DOWN = 0x55B8,
	WEBM_RANGE = 0x55B9,
	WEBM_TRANSFER = 0x55BA,
	WEBM_PRIMARIES = 0x55BB,
	WEBM_AUDIO = 0xE1,
	WEBM_RATE = 0xB5,
	WEBM_CHANNELS = 0x9F,
	WEBM_TAGS = 0x1254C367,
	WEBM_TAG = 0x7373,
	WEBM_TARGETS = 0x63C0,
	WEBM_SIMPLE_TAG = 0x67C8,
	WEBM_TAG_NAME = 0x45A3,
	WEBM_TAG_TEXT = 0x4487,
	WEBM_CUES = 0x1C53BB6B,
	WEBM_CUE = 0xBB,
	WEBM_CUE_TIME = 0xB3,
	WEBM_CUE_PLACE = 0xB7,
	WEBM_CUE_TRACK = 0xF7,
	WEBM_CUE_CLUSTER = 0xF1,
	WEBM_CLUSTER = 0x1F43B675,
	WEBM_TIMESTAMP = 0xE7,
	WEBM_SIMPLE_BLOCK = 0xA3,
	WEBM_BLOCK_GROUP = 0xA0,
	WEBM_BLOCK = 0xA1,
	WEBM_DISCARD = 0x75A2
};

/* ---- writing: each appends an element, or sets failed ---- */

void ebml_bytes(struct bytes_writer *w, uint32_t id, const void *data, size_t size);
void ebml_text(struct bytes_writer *w, uint32_t id, const char *text);
void ebml_uint(struct bytes_writer *w, uint32_t id, uint64_t value); /* in as few bytes as it takes */
void ebml_uint8(struct bytes_writer *w, uint32_t id, uint64_t value); /* in eight: its place is known before it is */
void ebml_float(struct bytes_writer *w, uint32_t id, double value);
/* What stands in another writer, which is emptied. */
void ebml_master(struct bytes_writer *w, uint32_t id, struct bytes_writer *inner);
/* The head of an element of so many bytes, its length in eight. */
enum { EBML_HEAD_MAX = 12 };
void ebml_head(struct bytes_writer *w, uint32_t id, uint64_t size);

/* ---- reading what may be hostile ---- */

struct ebml_element {
	uint32_t id;
	const uint8_t *data; /* borrowed */
	size_t size;
	bool open; /* its length is not known: size is what its parent has left */
};

struct ebml_reader {
	const uint8_t *data; /* borrowed */
	size_t size, at;
};

/* The next element, which the reader then stands behind: 1, 0 at the end, −1 for what is none or goes
 * beyond the end. */
int ebml_next(struct ebml_reader *r, struct ebml_element *e);

/* Its elements. */
struct ebml_reader ebml_inside(const struct ebml_element *e);

/* A number; 0 for one of more than eight bytes. */
uint64_t ebml_number(const struct ebml_element *e);

/* A number of variable length, such as a block's track; false at the end. */
bool ebml_varying(struct ebml_reader *r, uint64_t *value);

#endif
