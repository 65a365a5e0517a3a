/* A moving picture that becomes a file: an animated WebP, or a WebM. */
#ifndef SUMI_MEDIA_REEL_H
#define SUMI_MEDIA_REEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "media/metadata.h"
#include "media/sound.h"

struct reel_options {
	const char *format; /* "webp" or "webm" */
	int width, height;
	double fps;
	bool lossless;
	double quality; /* 0…100, where not lossless */
	int loop_count; /* of WebP; 0: for ever */
};

/* It grows picture by picture; the same pictures give the same bytes. */
struct reel;
int reel_new(const struct reel_options *options, struct reel **out, struct error *err);
/* rgb is [height, width, 3], read during the call; key: one may jump to it. */
int reel_add(struct reel *r, const uint8_t *rgb, bool key, struct error *err);
/* After the last picture, once. sound: of WebM alone, NULL: silent; its quality is that of Vorbis. The
 * caller frees *data. */
int reel_finish(struct reel *r, const struct sound *sound, double sound_quality, const struct metadata *meta,
		uint8_t **data, size_t *size, struct error *err);
void reel_free(struct reel *r); /* NULL is fine */

#endif
