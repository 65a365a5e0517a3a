/* WebM: films of VP9 pictures and Vorbis sound. Same input, same bytes. */
#ifndef SUMI_MEDIA_WEBM_H
#define SUMI_MEDIA_WEBM_H

#include <stdint.h>

#include "base/status.h"
#include "media/metadata.h"
#include "media/sound.h"
#include "media/texts.h"
#include "media/vp9.h"

#define WEBM_MAX_FRAMES 100000

/* A film that grows picture by picture; coded ones are kept. */
struct webm;
int webm_new(int width, int height, const struct vp9_options *options, struct webm **out, struct error *err);
/* rgb is [height, width, 3], read during the call; key: one may jump to it, as to every other second. */
int webm_add(struct webm *w, const uint8_t *rgb, bool key, struct error *err);
/* After the last picture, once. sound may be NULL: a silent film; its quality as for vorbis_encode().
 * meta may be NULL. The caller frees *data. */
int webm_finish(struct webm *w, const struct sound *sound, double sound_quality, const struct metadata *meta,
		uint8_t **data, size_t *size, struct error *err);
void webm_free(struct webm *w); /* NULL is fine */

/* ---- a film that is read ---- */

/* Sound as it stands in a film, coded; all borrowed from its reader. */
struct webm_packet {
	int64_t ms;
	const uint8_t *data;
	size_t size;
	int64_t discard_ns;
	uint8_t lacing; /* how several are packed in one, as flags of a block */
};
struct webm_sound {
	char codec[32];
	const uint8_t *private, *audio; /* of the codec; what the track says of rate and channels */
	size_t private_size, audio_size;
	uint64_t delay_ns, preroll_ns;
	struct webm_packet *packets;
	size_t count;
};

/* Reads the pictures of a WebM or Matroska file (VP8, VP9) one after the other; data must outlive it. */
struct webm_reader;
struct webm_film {
	size_t frames; /* blocks of pictures; few of them may show none */
	double fps;    /* on the whole */
	int64_t end_ms;
	int sounds;	    /* tracks; sound is of the first */
};
int webm_reader_new(const void *data, size_t size, const char *where, struct webm_reader **out, struct error *err);
const struct webm_film *webm_reader_film(const struct webm_reader *r);
/* *sound, borrowed; NULL: the film is silent. SUMI_UNSUPPORTED where it cannot be taken over as it is. */
int webm_reader_sound(const struct webm_reader *r, const struct webm_sound **sound, struct error *err);
/* The next picture, [height, width, 3], all of one size; the caller frees *rgb. *ms: when it is shown.
 * SUMI_NOTFOUND after the last. */
int webm_reader_next(struct webm_reader *r, uint8_t **rgb, int *width, int *height, int64_t *ms, struct error *err);
void webm_reader_free(struct webm_reader *r); /* NULL is fine */

/* webm_finish() of a film that has times and sound of another; ms: of each picture, growing. */
struct webm_taken {
	const int64_t *ms;
	int64_t end_ms;
	const struct webm_sound *sound; /* NULL: silent */
};
int webm_finish_taken(struct webm *w, const struct webm_taken *taken, const struct metadata *meta, uint8_t **data,
		      size_t *size, struct error *err);

/* Adds the tags of a WebM or Matroska file. */
int webm_read_texts(const void *data, size_t size, const char *where, struct file_texts *texts,
		    struct error *err);

/* The first picture's pixels, [height, width, 3]; the caller frees *rgb.
 * SUMI_CORRUPT, SUMI_TOOBIG; SUMI_UNSUPPORTED for other codecs. */
int webm_first_picture(const void *data, size_t size, const char *where, uint8_t **rgb, int *width,
		       int *height, struct error *err);

#endif
