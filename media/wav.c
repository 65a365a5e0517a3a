/* WAV files (Multimedia Programming Interface and Data Specifications 1.0, 1991). */
#include "media/wav.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/utf8.h"

enum { FORMAT_PCM = 1, FORMAT_FLOAT = 3, FORMAT_EXTENSIBLE = 0xFFFE };

/* Where the two texts stand: the comment of the list of information, and a chunk of our own. */
#define CHUNK_INFOTEXT "ICMT"
#define CHUNK_JSON "sumi"

static void put_u16(struct bytes_writer *w, int value)
{
	uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};
	bytes_put(w, bytes, sizeof bytes);
}

static void put_chunk(struct bytes_writer *w, const char *id, const char *text)
{
	size_t size = strlen(text) + 1;
	bytes_put(w, id, 4);
	bytes_put_u32(w, (uint32_t)size);
	bytes_put(w, text, size);
	if (size & 1)
		bytes_put(w, "", 1);
}

static void put_metadata(struct bytes_writer *w, const struct metadata *meta)
{
	if (meta->infotext) {
		size_t size = strlen(meta->infotext) + 1;
		bytes_put(w, "LIST", 4);
		bytes_put_u32(w, (uint32_t)(12 + size + (size & 1)));
		bytes_put(w, "INFO", 4);
		put_chunk(w, CHUNK_INFOTEXT, meta->infotext);
	}
	if (meta->json)
		put_chunk(w, CHUNK_JSON, meta->json);
}

static void put_format(struct bytes_writer *w, const struct sound *s)
{
	bytes_put(w, "fmt ", 4);
	bytes_put_u32(w, 16);
	put_u16(w, FORMAT_PCM);
	put_u16(w, s->channels);
	bytes_put_u32(w, (uint32_t)s->rate);
	bytes_put_u32(w, (uint32_t)(s->rate * s->channels * 2));
	put_u16(w, s->channels * 2);
	put_u16(w, 16);
}

int wav_encode(const struct sound *s, const struct metadata *meta, uint8_t **data, size_t *size,
	       struct error *err)
{
	struct bytes_writer w = {0};
	size_t channels = (size_t)s->channels;
	bytes_put(&w, "RIFF....WAVE", 12);
	put_format(&w, s);
	if (meta)
		put_metadata(&w, meta);
	bytes_put(&w, "data", 4);
	bytes_put_u32(&w, (uint32_t)(s->length * channels * 2));
	for (size_t i = 0; i < s->length; i++)
		for (size_t c = 0; c < channels; c++) {
			float v = s->samples[c * s->length + i] * 32767.0f;
			put_u16(&w, (int)lrintf(v < -32767 ? -32767 : v > 32767 ? 32767 : v));
		}
	if (w.failed) {
		free(w.data);
		return error_set(err, SUMI_NOMEM, "no memory for a WAV file");
	}
	for (int i = 0; i < 4; i++)
		w.data[4 + i] = (uint8_t)((w.size - 8) >> (8 * i));
	*data = w.data;
	*size = w.size;
	return SUMI_OK;
}

static uint32_t get(const uint8_t *in, int bytes)
{
	uint32_t value = 0;
	for (int i = 0; i < bytes; i++)
		value |= (uint32_t)in[i] << (8 * i);
	return value;
}

/* ---- reading ----------------------------------------------------------------------- */

struct wav {
	int format, channels, rate, bits;
	const uint8_t *data;
	size_t bytes;
};

static float sample(const struct wav *w, const uint8_t *at)
{
	int bytes = w->bits / 8;
	uint32_t raw = get(at, bytes);
	float value;
	if (w->format == FORMAT_FLOAT) {
		memcpy(&value, &raw, sizeof value);
		return isfinite(value) ? value : 0;
	}
	if (bytes == 1) /* the only width without a sign */
		return ((float)raw - 128) / 128;
	return (float)((int32_t)(raw << (32 - w->bits)) / 2147483648.0);
}

static int read_format(struct wav *w, const uint8_t *chunk, size_t size, const char *where,
		       struct error *err)
{
	if (size < 16)
		return error_set(err, SUMI_CORRUPT, "%s: chunk 'fmt ' has %zu bytes", where, size);
	w->format = (int)get(chunk, 2);
	w->channels = (int)get(chunk + 2, 2);
	w->rate = (int)(get(chunk + 4, 4) & 0x7fffffff);
	w->bits = (int)get(chunk + 14, 2);
	if (w->format == FORMAT_EXTENSIBLE && size >= 26)
		w->format = (int)get(chunk + 24, 2);
	bool pcm = w->format == FORMAT_PCM &&
		   (w->bits == 8 || w->bits == 16 || w->bits == 24 || w->bits == 32);
	if (!pcm && !(w->format == FORMAT_FLOAT && w->bits == 32))
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: format %d with %d bits; plain PCM is needed", where,
				 w->format, w->bits);
	return sound_check_size(w->rate, w->channels, 0, where, err);
}

static int read_chunks(struct wav *w, const uint8_t *in, size_t size, const char *where,
		       struct error *err)
{
	for (size_t at = 12; at + 8 <= size;) {
		size_t length = get(in + at + 4, 4), left = size - at - 8;
		const uint8_t *chunk = in + at + 8;
		bool sound = memcmp(in + at, "data", 4) == 0;
		/* A recording that was cut short is still worth its sound. */
		if (sound && length > left)
			length = left;
		if (length > left)
			return error_set(err, SUMI_CORRUPT,
					 "%s: a chunk at byte %zu ends beyond the file", where, at);
		if (memcmp(in + at, "fmt ", 4) == 0) {
			int status = read_format(w, chunk, length, where, err);
			if (status)
				return status;
		}
		if (sound) {
			w->data = chunk;
			w->bytes = length;
			break;
		}
		at += 8 + length + (length & 1);
	}
	return w->channels && w->data
		   ? SUMI_OK
		   : error_set(err, SUMI_CORRUPT, "%s: has no chunk 'fmt ' before one 'data'",
			       where);
}

static size_t frame_size(const struct wav *w)
{
	return (size_t)w->channels * (size_t)(w->bits / 8);
}

static int read_header(struct wav *w, const void *data, size_t size, const char *where,
		       struct error *err)
{
	*w = (struct wav){0};
	if (size < 12 || memcmp(data, "RIFF", 4) != 0 ||
	    memcmp((const char *)data + 8, "WAVE", 4) != 0)
		return error_set(err, SUMI_UNSUPPORTED, "%s: is not a WAV file", where);
	int status = read_chunks(w, data, size, where, err);
	return status ? status
		      : sound_check_size(w->rate, w->channels,
					 (int64_t)(w->bytes / frame_size(w)), where, err);
}

int wav_check(const void *data, size_t size, const char *where, struct error *err)
{
	struct wav w;
	int status = read_header(&w, data, size, where, err);
	return status || w.bytes >= frame_size(&w)
		   ? status
		   : error_set(err, SUMI_INVALID, "%s: holds no sound", where);
}

int wav_decode(const void *data, size_t size, const char *where, struct sound *out,
	       struct error *err)
{
	struct wav w;
	*out = (struct sound){0};
	int status = read_header(&w, data, size, where, err);
	if (status)
		return status;
	size_t frame = frame_size(&w), length = w.bytes / frame;
	if ((status = sound_new(out, w.rate, w.channels, length, err)))
		return status;
	for (size_t i = 0; i < length; i++)
		for (int c = 0; c < w.channels; c++)
			out->samples[(size_t)c * length + i] =
			    sample(&w, w.data + i * frame + (size_t)(c * (w.bits / 8)));
	return SUMI_OK;
}

/* ---- metadata ---------------------------------------------------------------------- */

int wav_read_texts(const void *data, size_t size, const char *where, struct file_texts *texts,
		   struct error *err)
{
	const uint8_t *in = data;
	int status = SUMI_OK;
	for (size_t at = 12; at + 8 <= size && !status;) {
		size_t length = get(in + at + 4, 4), left = size - at - 8;
		const char *text = (const char *)in + at + 8;
		/* A list is stepped into. */
		if (memcmp(in + at, "LIST", 4) == 0 && left >= 4) {
			at += 12;
			continue;
		}
		if (length > left)
			break;
		if (memcmp(in + at, CHUNK_INFOTEXT, 4) == 0)
			status = texts_add(texts, TEXT_COMMENT, "", text, length, err);
		else if (memcmp(in + at, CHUNK_JSON, 4) == 0)
			status = texts_add(texts, TEXT_CHUNK, METADATA_WAV_JSON, text, length, err);
		at += 8 + length + (length & 1);
	}
	return status ? error_prefix(err, "%s", where) : SUMI_OK;
}
