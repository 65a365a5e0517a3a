/* From a run's latents to files, one frame at a time: what pictures and videos share. */
#ifndef SUMI_MODALITIES_FRAMES_H
#define SUMI_MODALITIES_FRAMES_H

#include "modalities/single_run.h"

struct frames {
	struct single_run *run; /* borrowed */
	float *pixels;          /* [height, width, 3] in 0…1 */
	uint8_t *rgb;           /* [height, width, 3], the frame that was decoded last */
	int width, height;      /* of rgb: the run's, or after frames_paste() the whole picture's */
};

/* The caller releases what *f holds by frames_clear(), also after a failure. */
int frames_init(struct frames *f, struct single_run *run, struct error *err);
void frames_clear(struct frames *f);

/* Fills f->rgb. */
int frames_decode(struct frames *f, int frame, struct error *err);

/* Lays f->rgb into the picture of which it is a part, where the run has one. The last thing before
 * frames_emit(). */
int frames_paste(struct frames *f, struct error *err);

/* Hands f->rgb to the sink in the request's format, PNG or WebP. The caller fills in role and
 * number of *o. */
int frames_emit(const struct frames *f, struct output *o, const struct sink *sink,
		struct error *err);

#endif
