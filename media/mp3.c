#include "media/mp3.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "media/id3.h"

/* Of lame.h, which is as it was for twenty years. */
struct lame;
static struct {
	struct lame *(*init)(void);
	int (*close)(struct lame *);
	int (*set_in_samplerate)(struct lame *, int);
	int (*set_out_samplerate)(struct lame *, int);
	int (*set_num_channels)(struct lame *, int);
	int (*set_brate)(struct lame *, int);
	int (*set_vbr_tag)(struct lame *, int);
	int (*init_params)(struct lame *);
	int (*encode)(struct lame *, const float *left, const float *right, int count, unsigned char *out, int room);
	int (*flush)(struct lame *, unsigned char *out, int room);
	size_t (*get_tag)(struct lame *, unsigned char *out, size_t room);
} lame;
static bool is_there;

static void look(void)
{
	static const struct {
		const char *name;
		void *to;
	} all[] = {{"lame_init", &lame.init},
		   {"lame_close", &lame.close},
		   {"lame_set_in_samplerate", &lame.set_in_samplerate},
		   {"lame_set_out_samplerate", &lame.set_out_samplerate},
		   {"lame_set_num_channels", &lame.set_num_channels},
		   {"lame_set_brate", &lame.set_brate},
		   {"lame_set_bWriteVbrTag", &lame.set_vbr_tag},
		   {"lame_init_params", &lame.init_params},
		   {"lame_encode_buffer_ieee_float", &lame.encode},
		   {"lame_encode_flush", &lame.flush},
		   {"lame_get_lametag_frame", &lame.get_tag}};
	void *library = dlopen(MP3_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	is_there = library != NULL;
	for (size_t i = 0; i < sizeof all / sizeof all[0] && is_there; i++) {
		void *found = dlsym(library, all[i].name);
		memcpy(all[i].to, &found, sizeof found);
		is_there = found != NULL;
	}
}

bool mp3_is_there(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, look);
	return is_there;
}

bool mp3_has_rate(int rate)
{
	static const int rates[] = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000};
	for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
		if (rates[i] == rate)
			return true;
	return false;
}

/* All of it, in pieces. *size: bytes in data, which has room for each piece's worst case. */
static int encode_all(struct lame *l, const struct sound *s, unsigned char *data, size_t room, size_t *size,
		      struct error *err)
{
	enum { PIECE = 1 << 15 };
	const float *left = s->samples, *right = s->samples + (s->channels > 1 ? s->length : 0);
	int n = 0;
	*size = 0;
	for (size_t at = 0; at < s->length && n >= 0; at += PIECE) {
		size_t count = s->length - at < PIECE ? s->length - at : PIECE;
		n = lame.encode(l, left + at, right + at, (int)count, data + *size, (int)(room - *size));
		*size += n > 0 ? (size_t)n : 0;
	}
	if (n >= 0)
		n = lame.flush(l, data + *size, (int)(room - *size));
	*size += n > 0 ? (size_t)n : 0;
	if (n < 0)
		return error_set(err, SUMI_INTERNAL, "MP3: LAME stops with %d", n);
	/* The room in front that was left for it: how much silence stands at both ends is known now. */
	size_t tag = lame.get_tag(l, NULL, 0);
	if (tag > *size || (tag && lame.get_tag(l, data, tag) != tag))
		return error_set(err, SUMI_INTERNAL, "MP3: LAME's own frame has %zu bytes of %zu", tag, *size);
	return SUMI_OK;
}

static int encode_frames(const struct sound *s, int rate, int kbps, unsigned char **data, size_t *size,
			 struct error *err)
{
	/* LAME's own bound is 1.25 bytes a sample and 7200, at the rate that goes out. */
	size_t room = (size_t)((double)s->length * 1.25 * (1 + (double)rate / s->rate)) + 4 * 7200;
	struct lame *l = room <= (1u << 30) ? lame.init() : NULL;
	int status = SUMI_OK;
	*data = l ? malloc(room) : NULL;
	if (!*data)
		status = error_set(err, SUMI_NOMEM, "MP3: no memory for it");
	/* Its tag: players cut off by it what the format adds before and after the sound. */
	if (!status && (lame.set_in_samplerate(l, s->rate) || lame.set_out_samplerate(l, rate) ||
			lame.set_num_channels(l, s->channels) || lame.set_brate(l, kbps) || lame.set_vbr_tag(l, 1) ||
			lame.init_params(l) < 0))
		status = error_set(err, SUMI_UNSUPPORTED, "MP3: LAME does not make %d kbit/s of %d samples a second", kbps,
				   rate);
	if (!status)
		status = encode_all(l, s, *data, room, size, err);
	if (l)
		lame.close(l);
	return status;
}

int mp3_encode(const struct sound *s, int rate, int kbps, const struct metadata *meta, uint8_t **data,
	       size_t *size, struct error *err)
{
	struct bytes_writer w = {0};
	unsigned char *frames;
	size_t count = 0;
	if (!mp3_is_there())
		return error_set(err, SUMI_UNSUPPORTED, "MP3: there is no " MP3_LIBRARY " here (Debian: libmp3lame0)");
	int status = encode_frames(s, rate, kbps, &frames, &count, err);
	if (!status && meta)
		id3_put(&w, meta);
	if (!status)
		bytes_put(&w, frames, count);
	free(frames);
	if (!status && w.failed)
		status = error_set(err, SUMI_NOMEM, "MP3: no memory for it");
	if (status)
		free(w.data);
	else {
		*data = w.data;
		*size = w.size;
	}
	return status;
}

int mp3_encode_quality(const struct sound *s, double quality, const struct metadata *meta, uint8_t **data,
		       size_t *size, struct error *err)
{
	static const int kbps[] = {64, 96, 112, 128, 192, 320};
	int at = (int)(quality / 20);
	return mp3_encode(s, mp3_has_rate(s->rate) ? s->rate : 44100, kbps[at < 0 ? 0 : at > 5 ? 5 : at], meta, data,
			  size, err);
}

int mp3_read_texts(const void *data, size_t size, const char *where, struct file_texts *texts,
		   struct error *err)
{
	return id3_read(data, size, texts, err) ? error_prefix(err, "%s", where) : SUMI_OK;
}
