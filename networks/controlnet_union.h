/* What a ControlNet of several kinds of maps ("union") has besides: it is told the kind beside the time, and weighs
 * the picture by what it and the latents are on the whole. */
#ifndef SUMI_NETWORKS_CONTROLNET_UNION_H
#define SUMI_NETWORKS_CONTROLNET_UNION_H

#include "networks/pass.h"

struct union_shape {
	int kinds;          /* of maps */
	int width;          /* channels after the first convolution */
	int layers, heads;  /* that weigh the picture */
	int time, sinusoid; /* channels beside the time; of a kind's sinusoid */
	bool flip_sin_to_cos;
	double freq_shift;
};

struct union_head;

/* Its tensors, by a loader that the caller ends; *out is the caller's also after a failure. */
void union_head_load(struct loader *l, const struct union_shape *shape, struct union_head **out);
void union_head_free(struct union_head *head); /* NULL is fine */

/* Host, [time]: to be added to what stands beside the time for a picture of that kind. */
void union_head_added(struct pass *p, const struct union_head *head, int kind, float *out);

/* Host, [width]: the picture's token, of its embedding [1, h, w, width]. */
void union_head_token(struct pass *p, const struct union_head *head, int kind, struct map hint, float *out);

/* A temporary [n, 1, 1, width]: what is added to each pixel of x [n, h, w, width], the latents after the
 * first convolution, besides the picture's embedding. */
struct map union_head_shift(struct pass *p, const struct union_head *head, const float *token, struct map x);

#endif
