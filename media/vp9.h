/* VP9 pictures by libvpx: coded for a film, and decoded, with VP8's as well. */
#ifndef SUMI_MEDIA_VP9_H
#define SUMI_MEDIA_VP9_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define VP9_MAX_SIDE 16383 /* what WebP holds: a film may be either */

struct vp9_options {
	bool lossless; /* exact RGB, which profile 1 holds; quality is not used then */
	double quality; /* 0…100 */
	double fps;
};

struct vp9_packet {
	const void *data; /* borrowed for the call */
	size_t size;
	int64_t frame; /* which picture it shows, from 0 */
	bool key;
};

/* What takes packets, in the order of the pictures. */
struct vp9_sink {
	void *context;
	void (*packet)(void *context, const struct vp9_packet *packet);
};

/* One thread and no rate to keep: bytes depend on the pictures alone. */
struct vp9_encoder;
int vp9_encoder_new(int width, int height, const struct vp9_options *options, struct vp9_encoder **out,
		    struct error *err);
/* rgb is [height, width, 3], read during the call; key: nothing before it is needed to show it. */
int vp9_encoder_add(struct vp9_encoder *e, const uint8_t *rgb, bool key, const struct vp9_sink *sink,
		    struct error *err);
/* After the last picture, once: what is left. */
int vp9_encoder_end(struct vp9_encoder *e, const struct vp9_sink *sink, struct error *err);
/* The level of what was coded, 10 for 1.0 … 62; 0: beyond all. */
int vp9_encoder_level(struct vp9_encoder *e);
void vp9_encoder_free(struct vp9_encoder *e); /* NULL is fine */

/* A film's pictures, one after the other. */
struct vp9_decoder;
int vp9_decoder_new(bool vp8, const char *where, struct vp9_decoder **out, struct error *err);
/* The pixels of the picture that a packet shows, [height, width, 3], all of one size; the caller frees *rgb. The first
 * packet is a key picture's. SUMI_NOTFOUND for one that shows none, SUMI_CORRUPT, SUMI_TOOBIG, SUMI_UNSUPPORTED for
 * more than 8 bits. */
int vp9_decoder_next(struct vp9_decoder *d, const void *data, size_t size, uint8_t **rgb, int *width, int *height,
		     struct error *err);
void vp9_decoder_free(struct vp9_decoder *d); /* NULL is fine */

#endif
