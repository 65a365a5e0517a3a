/* Texts in the lowest bits of pixels: a mark of 15 bytes, the number of the text's bits, the text,
 * which may be packed by gzip. The highest bit of each byte comes first. */
#include "media/hidden.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "media/metadata.h"

struct bits {
	const uint8_t *rgba;
	size_t width, height;
	size_t at, pixels; /* the next; of all */
	int channel, first, last;
};

static int next_bit(struct bits *b)
{
	if (b->at == b->pixels)
		return 0;
	size_t x = b->at / b->height, y = b->at % b->height;
	int bit = b->rgba[4 * (y * b->width + x) + (size_t)b->channel] & 1;
	if (b->channel++ == b->last) {
		b->channel = b->first;
		b->at++;
	}
	return bit;
}

static void next_bytes(struct bits *b, uint8_t *out, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		out[i] = 0;
		for (int k = 0; k < 8; k++)
			out[i] = (uint8_t)(out[i] << 1 | next_bit(b));
	}
}

/* *text: a new buffer, NULL where it is no gzip or too large. */
static int unpack(const uint8_t *in, size_t size, uint8_t **text, size_t *length,
		  struct error *err)
{
	enum { GZIP = 16 + MAX_WBITS };
	z_stream z = {.next_in = (Bytef *)in, .avail_in = (uInt)size};
	*text = malloc(METADATA_TEXT_MAX);
	if (!*text || inflateInit2(&z, GZIP) != Z_OK) {
		free(*text);
		*text = NULL;
		return error_set(err, SUMI_NOMEM, "no memory for metadata");
	}
	z.next_out = *text;
	z.avail_out = METADATA_TEXT_MAX;
	bool whole = inflate(&z, Z_FINISH) == Z_STREAM_END;
	*length = z.total_out;
	inflateEnd(&z);
	if (!whole) {
		free(*text);
		*text = NULL;
	}
	return SUMI_OK;
}

static int read_text(struct bits *b, bool packed, struct file_texts *texts, struct error *err)
{
	uint8_t head[4], *text = NULL;
	next_bytes(b, head, sizeof head);
	size_t size = ((size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3]) / 8;
	size_t there = (b->pixels - b->at) * (size_t)(b->last - b->first + 1) / 8;
	if (size == 0 || size > there || size > METADATA_TEXT_MAX)
		return SUMI_OK;
	uint8_t *bytes = malloc(size);
	if (!bytes)
		return error_set(err, SUMI_NOMEM, "no memory for metadata");
	next_bytes(b, bytes, size);
	int status = packed ? unpack(bytes, size, &text, &size, err) : SUMI_OK;
	const char *found = (const char *)(packed ? text : bytes);
	if (!status && found)
		status = texts_add_any(texts, TEXT_HIDDEN, "", found, size, err);
	free(bytes);
	free(text);
	return status;
}

int hidden_read(const uint8_t *rgba, size_t width, size_t height, struct file_texts *texts,
		struct error *err)
{
	enum { MARK = 15, RED = 0, BLUE = 2, ALPHA = 3 };
	static const struct {
		const char *mark;
		int first, last;
		bool packed;
	} kinds[] = {{"stealth_pngcomp", ALPHA, ALPHA, true},
		     {"stealth_pnginfo", ALPHA, ALPHA, false},
		     {"stealth_rgbcomp", RED, BLUE, true},
		     {"stealth_rgbinfo", RED, BLUE, false}};
	int status = SUMI_OK;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && !status; i++) {
		struct bits b = {rgba, width, height, 0, width * height, kinds[i].first,
				 kinds[i].first, kinds[i].last};
		uint8_t mark[MARK];
		next_bytes(&b, mark, MARK);
		if (memcmp(mark, kinds[i].mark, MARK) == 0)
			status = read_text(&b, kinds[i].packed, texts, err);
	}
	return status;
}
