/* WebP: still pictures and animations, written and read. Same input, same bytes. */
#ifndef SUMI_MEDIA_WEBP_H
#define SUMI_MEDIA_WEBP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "media/metadata.h"
#include "media/texts.h"
#include "media/picture.h"

#define WEBP_MAX_SIDE 16383        /* the format's own limit */
#define WEBP_MAX_PIXELS (1u << 25) /* of one frame: what the reader accepts */
#define WEBP_MAX_FRAMES 4096

struct webp_options {
	bool lossless; /* exact RGB; quality then means effort and is not used */
	float quality; /* 0…100, lossy only */
};

/* Animations: key frames at fixed distances, so that bytes depend on the frames alone. */
struct webp_animation_options {
	struct webp_options picture;
	double frame_ms; /* how long a frame stands, 1…65535; each begins at the nearest ms */
	bool timed;      /* … or webp_animation_add_until() says it of each */
	int loop_count;  /* 0: for ever */
	int kmin, kmax;  /* distance of key frames; both 0: 9 and 17 lossless, 3 and 5 lossy */
};

/* rgb is [height, width, 3]. meta may be NULL. The caller frees *data. */
int webp_encode(const uint8_t *rgb, int width, int height, const struct webp_options *options,
		const struct metadata *meta, uint8_t **data, size_t *size, struct error *err);

/* The same with transparency, [height, width, 4]; lossless keeps colours where nothing is seen of them too. */
int webp_encode_rgba(const uint8_t *rgba, int width, int height, const struct webp_options *options,
		     const struct metadata *meta, uint8_t **data, size_t *size, struct error *err);

/* An animation that grows frame by frame; only the encoder's window of frames is kept. */
struct webp_animation;
int webp_animation_new(int width, int height, const struct webp_animation_options *options,
		       struct webp_animation **out, struct error *err);
/* rgb is [height, width, 3], read during the call. */
int webp_animation_add(struct webp_animation *a, const uint8_t *rgb, struct error *err);
/* The same of one that stands until a time since the beginning, which is not before that of the one before. */
int webp_animation_add_until(struct webp_animation *a, const uint8_t *rgb, int end_ms, struct error *err);
/* After the last frame, once. The caller frees *data. */
int webp_animation_finish(struct webp_animation *a, const struct metadata *meta, uint8_t **data,
			  size_t *size, struct error *err);
void webp_animation_free(struct webp_animation *a); /* NULL is fine */

struct webp_info {
	int width, height;
	int frames;      /* 1 for a still picture */
	int loop_count;  /* 0: for ever */
	int duration_ms; /* of all frames; 0 for a still picture */
};

/* What a WebP's headers say of its first picture, within the limits above, when every chunk ends
 * within the file. SUMI_CORRUPT, SUMI_TOOBIG. Nothing is decoded. */
int webp_picture_info(const void *data, size_t size, const char *where, struct picture_info *info,
		      struct error *err);

/* Reads stills and animations, frame after frame. data must outlive the reader. Files come
 * from strangers: SUMI_TOOBIG past the limits above, SUMI_CORRUPT for what cannot be decoded. */
struct webp_reader;
int webp_reader_new(const void *data, size_t size, const char *where, struct webp_reader **out,
		    struct error *err);
const struct webp_info *webp_reader_info(const struct webp_reader *r);
/* The next frame, whole, into rgb [height, width, 3] (transparency over black); *end_ms, which
 * may be NULL, is when it gives way. SUMI_NOTFOUND after the last. */
int webp_reader_next(struct webp_reader *r, uint8_t *rgb, int *end_ms, struct error *err);
/* The same with transparency, [height, width, 4]. */
int webp_reader_next_rgba(struct webp_reader *r, uint8_t *rgba, int *end_ms, struct error *err);
void webp_reader_free(struct webp_reader *r); /* NULL is fine */

/* Adds what stands in XMP and EXIF chunks, and in the lowest bits of transparent stills. */
int webp_read_texts(const void *data, size_t size, const char *where,
		struct file_texts *texts, struct error *err);

#endif
