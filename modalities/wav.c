/* WAV files (Multimedia Programming Interface and Data Specifications 1.0, 1991). */
#include "modalities/wav.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_PCM = 1, FORMAT_FLOAT = 3, FORMAT_EXTENSIBLE = 0xFFFE, HEAD = 44 };

static void put(uint8_t *out, uint32_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get(const uint8_t *in, int bytes)
{
	uint32_t value = 0;
	for (int i = 0; i < bytes; i++)
		value |= (uint32_t)in[i] << (8 * i);
	return value;
}

int wav_encode(const struct sound *s, uint8_t **data, size_t *size, struct error *err)
{
	size_t channels = (size_t)s->channels, bytes = s->length * channels * 2;
	uint8_t *out = malloc(HEAD + bytes);
	if (!out)
		return error_set(err, SUMI_NOMEM, "no memory for a WAV file");
	memcpy(out, "RIFF....WAVEfmt ", 16);
	put(out + 4, (uint32_t)(HEAD - 8 + bytes), 4);
	put(out + 16, 16, 4);
	put(out + 20, FORMAT_PCM, 2);
	put(out + 22, (uint32_t)s->channels, 2);
	put(out + 24, (uint32_t)s->rate, 4);
	put(out + 28, (uint32_t)(s->rate * s->channels * 2), 4);
	put(out + 32, (uint32_t)(s->channels * 2), 2);
	put(out + 34, 16, 2);
	memcpy(out + 36, "data", 4);
	put(out + 40, (uint32_t)bytes, 4);
	for (size_t i = 0; i < s->length; i++)
		for (size_t c = 0; c < channels; c++) {
			float v = s->samples[c * s->length + i] * 32767.0f;
			long rounded = lrintf(v < -32767 ? -32767 : v > 32767 ? 32767 : v);
			put(out + HEAD + (i * channels + c) * 2, (uint32_t)rounded & 0xffff, 2);
		}
	*data = out;
	*size = HEAD + bytes;
	return SUMI_OK;
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
		return error_set(err, SUMI_UNSUPPORTED, "%s: format %d with %d bits; plain PCM is needed",
		                 where, w->format, w->bits);
	if (w->channels < 1 || w->channels > 2 || w->rate < SOUND_RATE_MIN || w->rate > SOUND_RATE_MAX)
		return error_set(err, SUMI_UNSUPPORTED, "%s: must have one or two channels at %d to %d Hz",
		                 where, SOUND_RATE_MIN, SOUND_RATE_MAX);
	return SUMI_OK;
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
			return error_set(err, SUMI_CORRUPT, "%s: a chunk at byte %zu ends beyond the file",
			                 where, at);
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
	           : error_set(err, SUMI_CORRUPT, "%s: has no chunk 'fmt ' before one 'data'", where);
}

int wav_decode(const void *data, size_t size, const char *where, struct sound *out,
               struct error *err)
{
	struct wav w = {0};
	*out = (struct sound){0};
	if (size < 12 || memcmp(data, "RIFF", 4) != 0 || memcmp((const char *)data + 8, "WAVE", 4) != 0)
		return error_set(err, SUMI_UNSUPPORTED, "%s: is not a WAV file", where);
	int status = read_chunks(&w, data, size, where, err);
	if (status)
		return status;
	size_t frame = (size_t)w.channels * (size_t)(w.bits / 8), length = w.bytes / frame;
	if (length > SOUND_LENGTH_MAX)
		return error_set(err, SUMI_TOOBIG, "%s: has %zu samples", where, length);
	if ((status = sound_new(out, w.rate, w.channels, length, err)))
		return status;
	for (size_t i = 0; i < length; i++)
		for (int c = 0; c < w.channels; c++)
			out->samples[(size_t)c * length + i] =
			    sample(&w, w.data + i * frame + (size_t)(c * (w.bits / 8)));
	return SUMI_OK;
}
