/* Reading WebM and Matroska: pictures one after the other, and sound as it stands there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "media/webm_internal.h"

enum { BLOCKS_MAX = 1 << 22, LACED = 0x06 };
#define MS_MAX 1e12

struct track {
	uint64_t number; /* 0: there is none */
	uint64_t type;
	uint64_t duration_ns; /* of a picture; 0: not said */
	bool packed;
	struct webm_sound sound;
};

struct picture {
	int64_t ms;
	const uint8_t *data;
	size_t size;
};

struct webm_reader {
	const char *where; /* borrowed */
	struct webm_film film;
	struct track shown, heard;
	struct vp9_decoder *decoder;
	struct picture *pictures; /* owned */
	size_t count, room, at;
	size_t sound_room;
	double scale_ns, cluster, duration; /* in units of scale_ns */
};

/* ---- tracks ------------------------------------------------------------------------ */

static int read_track(const struct ebml_element *entry, const char *where, struct track *t, struct error *err)
{
	struct ebml_reader r = ebml_inside(entry);
	struct ebml_element e;
	int got;
	*t = (struct track){.number = 0};
	while ((got = ebml_next(&r, &e)) == 1)
		switch (e.id) {
		case WEBM_TRACK_NUMBER:
			t->number = ebml_number(&e);
			break;
		case WEBM_TRACK_TYPE:
			t->type = ebml_number(&e);
			break;
		case WEBM_DEFAULT_DURATION:
			t->duration_ns = ebml_number(&e);
			break;
		case WEBM_CODEC:
			snprintf(t->sound.codec, sizeof t->sound.codec, "%.*s",
				 e.size < sizeof t->sound.codec ? (int)e.size : 31, (const char *)e.data);
			break;
		case WEBM_CODEC_PRIVATE:
			t->sound.private = e.data;
			t->sound.private_size = e.size;
			break;
		case WEBM_AUDIO:
			t->sound.audio = e.data;
			t->sound.audio_size = e.size;
			break;
		case WEBM_DELAY:
			t->sound.delay_ns = ebml_number(&e);
			break;
		case WEBM_PREROLL:
			t->sound.preroll_ns = ebml_number(&e);
			break;
		case WEBM_ENCODINGS:
			t->packed = true;
			break;
		}
	/* Numbers begin at 1: a track without one could neither be found nor be told from none. */
	return got < 0 || t->number == 0 ? webm_damaged(where, err) : SUMI_OK;
}

/* The first of pictures and the first of sound count. */
static int add_track(struct webm_reader *r, const struct ebml_element *entry, struct error *err)
{
	enum { PICTURES = 1, SOUND = 2 };
	struct track t;
	int status = read_track(entry, r->where, &t, err);
	if (status)
		return status;
	r->film.sounds += t.type == SOUND;
	if (t.type == SOUND && !r->heard.number)
		r->heard = t;
	if (t.type != PICTURES || r->shown.number)
		return SUMI_OK;
	r->shown = t;
	bool vp8 = strcmp(t.sound.codec, "V_VP8") == 0;
	if ((!vp8 && strcmp(t.sound.codec, "V_VP9") != 0) || t.packed)
		return error_set(err, SUMI_UNSUPPORTED, "%s: its pictures are %s%.31s, sumi reads V_VP9 and V_VP8", r->where,
				 t.packed ? "packed " : "", t.sound.codec);
	return vp9_decoder_new(vp8, r->where, &r->decoder, err);
}

/* ---- blocks ------------------------------------------------------------------------ */

static int add_picture(struct webm_reader *r, int64_t ms, const struct ebml_reader *b, struct error *err)
{
	struct picture *all = grow_room(r->pictures, r->count, &r->room, 64, sizeof *all);
	if (!all)
		return error_set(err, SUMI_NOMEM, "%s: no memory for its pictures", r->where);
	r->pictures = all;
	if (r->count && ms < all[r->count - 1].ms)
		ms = all[r->count - 1].ms;
	all[r->count++] = (struct picture){ms, b->data + b->at, b->size - b->at};
	return SUMI_OK;
}

static int add_sound(struct webm_reader *r, int64_t ms, uint8_t lacing, const struct ebml_reader *b, struct error *err)
{
	struct webm_sound *s = &r->heard.sound;
	struct webm_packet *all = grow_room(s->packets, s->count, &r->sound_room, 64, sizeof *all);
	if (!all)
		return error_set(err, SUMI_NOMEM, "%s: no memory for its sound", r->where);
	s->packets = all;
	if (s->count && ms < all[s->count - 1].ms)
		ms = all[s->count - 1].ms;
	all[s->count++] = (struct webm_packet){ms, b->data + b->at, b->size - b->at, 0, lacing};
	return SUMI_OK;
}

/* *sound: whether it was of that track. */
static int add_block(struct webm_reader *r, const struct ebml_element *block, bool *sound, struct error *err)
{
	enum { TIME_AND_FLAGS = 3 };
	struct ebml_reader b = ebml_inside(block);
	uint64_t number;
	if (!ebml_varying(&b, &number) || b.size - b.at < TIME_AND_FLAGS)
		return webm_damaged(r->where, err);
	int after = (int16_t)(b.data[b.at] << 8 | b.data[b.at + 1]);
	uint8_t lacing = b.data[b.at + 2] & LACED;
	double ms = (r->cluster + after) * r->scale_ns / 1e6;
	b.at += TIME_AND_FLAGS;
	*sound = false;
	if (!number || (number != r->shown.number && number != r->heard.number))
		return SUMI_OK;
	if (!(ms < MS_MAX) || r->count + r->heard.sound.count >= BLOCKS_MAX)
		return error_set(err, SUMI_TOOBIG, "%s: it is longer than sumi reads", r->where);
	ms = ms < 0 ? 0 : ms;
	if (number == r->heard.number) {
		*sound = true;
		return add_sound(r, llround(ms), lacing, &b, err);
	}
	return lacing ? error_set(err, SUMI_UNSUPPORTED, "%s: its pictures are laced", r->where)
		      : add_picture(r, llround(ms), &b, err);
}

/* A float of four or eight bytes; 0 for others. */
static double real_of(const struct ebml_element *e)
{
	uint64_t bits = ebml_number(e);
	uint32_t half = (uint32_t)bits;
	double wide = 0;
	float narrow = 0;
	if (e->size == sizeof wide)
		memcpy(&wide, &bits, sizeof wide);
	if (e->size == sizeof narrow)
		memcpy(&narrow, &half, sizeof narrow);
	return isfinite(wide + (double)narrow) ? wide + (double)narrow : 0;
}

static int read_elements(struct webm_reader *r, struct ebml_reader *segment, struct error *err)
{
	struct ebml_element e;
	bool sound = false;
	int got = 1, status = SUMI_OK;
	while (!status && (got = ebml_next(segment, &e)) == 1)
		switch (e.id) {
		case WEBM_INFO:
		case WEBM_TRACKS:
		case WEBM_CLUSTER:
		case WEBM_BLOCK_GROUP: /* what they hold stands in the same row */
			segment->at -= e.size;
			break;
		case WEBM_TIMESTAMP_SCALE:
			r->scale_ns = (double)ebml_number(&e);
			break;
		case WEBM_DURATION:
			r->duration = real_of(&e);
			break;
		case WEBM_TRACK:
			status = add_track(r, &e, err);
			break;
		case WEBM_TIMESTAMP:
			r->cluster = (double)ebml_number(&e);
			break;
		case WEBM_SIMPLE_BLOCK:
		case WEBM_BLOCK:
			status = add_block(r, &e, &sound, err);
			break;
		case WEBM_DISCARD:
			if (sound)
				r->heard.sound.packets[r->heard.sound.count - 1].discard_ns = (int64_t)ebml_number(&e);
			break;
		}
	return status || got >= 0 ? status : webm_damaged(r->where, err);
}

/* ---- the reader -------------------------------------------------------------------- */

/* Pictures a second: as the track says, else those that there are in their time. */
static double rate_of(const struct webm_reader *r)
{
	enum { USUAL = 25, LEAST = 1, MOST = 240 };
	double last = r->count > 1 ? (double)(r->pictures[r->count - 1].ms - r->pictures[0].ms) : 0;
	double fps = r->shown.duration_ns ? 1e9 / (double)r->shown.duration_ns : last > 0 ? (double)(r->count - 1) * 1000 / last : USUAL;
	return fmin(fmax(fps, LEAST), MOST);
}

int webm_reader_new(const void *data, size_t size, const char *where, struct webm_reader **out, struct error *err)
{
	struct webm_reader *r = *out = calloc(1, sizeof *r);
	struct ebml_reader segment;
	if (!r)
		return error_set(err, SUMI_NOMEM, "%s: no memory for a film", where);
	r->where = where;
	r->scale_ns = 1e6;
	int status = webm_open_segment(data, size, where, &segment, err);
	if (!status)
		status = read_elements(r, &segment, err);
	if (!status && !r->count)
		status = error_set(err, SUMI_CORRUPT, "%s: holds no picture", where);
	if (status) {
		webm_reader_free(r);
		*out = NULL;
		return status;
	}
	r->film.frames = r->count;
	r->film.fps = rate_of(r);
	double end = r->duration * r->scale_ns / 1e6, last = (double)r->pictures[r->count - 1].ms + 1000 / r->film.fps;
	r->film.end_ms = llround(end > last && end < MS_MAX ? end : last);
	return SUMI_OK;
}

const struct webm_film *webm_reader_film(const struct webm_reader *r)
{
	return &r->film;
}

int webm_reader_sound(const struct webm_reader *r, const struct webm_sound **sound, struct error *err)
{
	const struct webm_sound *s = &r->heard.sound;
	*sound = r->heard.number ? s : NULL;
	if (!*sound || (!r->heard.packed && (strcmp(s->codec, "A_VORBIS") == 0 || strcmp(s->codec, "A_OPUS") == 0)))
		return SUMI_OK;
	return error_set(err, SUMI_UNSUPPORTED, "%s: its sound is %s%.31s, a WebM holds A_VORBIS and A_OPUS", r->where,
			 r->heard.packed ? "packed " : "", s->codec);
}

int webm_reader_next(struct webm_reader *r, uint8_t **rgb, int *width, int *height, int64_t *ms, struct error *err)
{
	*rgb = NULL;
	while (r->at < r->count) {
		const struct picture *p = &r->pictures[r->at++];
		int status = vp9_decoder_next(r->decoder, p->data, p->size, rgb, width, height, err);
		*ms = p->ms;
		if (status != SUMI_NOTFOUND)
			return status;
	}
	return SUMI_NOTFOUND;
}

void webm_reader_free(struct webm_reader *r)
{
	if (!r)
		return;
	vp9_decoder_free(r->decoder);
	free(r->heard.sound.packets);
	free(r->pictures);
	free(r);
}

int webm_first_picture(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		       int *height, struct error *err)
{
	struct webm_reader *r;
	int64_t ms;
	*rgb = NULL;
	int status = webm_reader_new(data, size, where, &r, err);
	if (!status && (status = webm_reader_next(r, rgb, width, height, &ms, err)) == SUMI_NOTFOUND)
		status = error_set(err, SUMI_CORRUPT, "%s: holds no picture", where);
	webm_reader_free(r);
	return status;
}
