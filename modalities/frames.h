/* From a run's latents to files, one frame at a time: what pictures and videos share. */
#ifndef SUMI_MODALITIES_FRAMES_H
#define SUMI_MODALITIES_FRAMES_H

#include "modalities/single_run.h"

struct frames {
	struct single_run *run; /* borrowed */
	float *pixels;          /* [height, width, 3] in 0…1 */
	uint8_t *rgb;           /* [height, width, 3], the frame that was decoded last */
	int width, height;      /* of rgb: the run's, the whole picture's that it is pasted into, or what the
				 * upscaler made of it */
	struct upscaler *upscaler; /* of the request; opened for the first that is enlarged */
};

/* The caller releases what *f holds by frames_clear(), also after a failure. */
int frames_init(struct frames *f, struct single_run *run, struct error *err);
void frames_clear(struct frames *f);

/* Fills f->rgb: decoded, laid into the picture of which it is a part, where the run has one, and enlarged,
 * where the request says so. */
int frames_decode(struct frames *f, int frame, struct error *err);

/* How large that will be where the run's own pictures are not a part of another. */
int frames_width(const struct frames *f);
int frames_height(const struct frames *f);

/* Hands f->rgb to the sink in the request's format, PNG or WebP. The caller fills in role and
 * number of *o. */
int frames_emit(const struct frames *f, struct output *o, const struct sink *sink,
		struct error *err);

#endif
