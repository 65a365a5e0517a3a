/* ID3v2.4 tags: texts of users before the frames of an MP3. */
#include "media/id3.h"

#include <string.h>

enum { HEADER = 10, UTF8 = 3, UNUSABLE = 0xf0 /* flags: another coding, further headers */ };

/* Four bytes of seven bits. */
static void put_size(struct bytes_writer *w, size_t size)
{
	const uint8_t b[4] = {size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127};
	bytes_put(w, b, 4);
}

static size_t get_size(const uint8_t *b)
{
	return (size_t)(b[0] & 127) << 21 | (size_t)(b[1] & 127) << 14 | (size_t)(b[2] & 127) << 7 | (b[3] & 127);
}

static size_t frame_size(const char *key, const char *text)
{
	return 1 + strlen(key) + 1 + strlen(text);
}

static void put_frame(struct bytes_writer *w, const char *key, const char *text)
{
	bytes_put(w, "TXXX", 4);
	put_size(w, frame_size(key, text));
	bytes_put(w, "\0\0\3", 3); /* no flags, UTF-8 */
	bytes_put(w, key, strlen(key) + 1);
	bytes_put(w, text, strlen(text));
}

void id3_put(struct bytes_writer *w, const struct metadata *meta)
{
	const char *texts[][2] = {{METADATA_ID3_INFOTEXT, meta->infotext}, {METADATA_ID3_JSON, meta->json}};
	size_t size = 0;
	for (size_t i = 0; i < 2; i++)
		size += texts[i][1] ? HEADER + frame_size(texts[i][0], texts[i][1]) : 0;
	bytes_put(w, "ID3\4\0\0", 6);
	put_size(w, size);
	for (size_t i = 0; i < 2; i++)
		if (texts[i][1])
			put_frame(w, texts[i][0], texts[i][1]);
}

int id3_read(const void *data, size_t size, struct file_texts *texts, struct error *err)
{
	const uint8_t *in = data;
	if (size < HEADER || memcmp(in, "ID3\4", 4) != 0 || in[5] & UNUSABLE)
		return SUMI_OK;
	size_t end = HEADER + get_size(in + 6);
	end = end < size ? end : size;
	int status = SUMI_OK;
	for (size_t at = HEADER, length; at + HEADER < end && in[at] && !status; at += HEADER + length) {
		const char *key = (const char *)in + at + HEADER + 1;
		length = get_size(in + at + 4);
		if (!length || length > end - at - HEADER)
			break;
		const char *zero = memchr(key, '\0', length - 1);
		if (memcmp(in + at, "TXXX", 4) == 0 && in[at + HEADER] == UTF8 && zero)
			status = texts_add(texts, TEXT_TAG, key, zero + 1, (size_t)(key + length - 1 - zero - 1), err);
	}
	return status;
}
