/* What upscaler.c and the networks share. */
#ifndef SUMI_NETWORKS_UPSCALER_INTERNAL_H
#define SUMI_NETWORKS_UPSCALER_INTERNAL_H

#include "networks/pass.h"
#include "networks/upscaler.h"

/* Names of a file's tensors begin with one of several words, or with none. */
struct upscaler_names {
	struct weights *files;
	const char *prefix;
};

/* The tensor PREFIX + a name given by format, or NULL. */
const struct weight_tensor *upscaler_find(const struct upscaler_names *n, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One architecture. What it loads is a state of its own, freed by its close(). */
struct upscaler_kind {
	const char *name;
	/* Whether the tensors under these names are of this network, and by their shapes what it does;
	 * scale 0: they contradict each other, and load() says how. */
	bool (*is)(const struct upscaler_names *names, struct upscaler_info *info);
	/* Loads those of which is() is true. */
	int (*load)(struct loader *l, const struct upscaler_names *names, void **state);
	void (*free)(void *state);
	/* x [1, h, w, 3·down²] → [1, h·up, w·up, 3·shuffle²]: replaced. Works in a plan. */
	void (*forward)(struct pass *p, const void *state, struct map *x);
	/* Pixels of the picture that are one of the network's input, and of its output that are one
	 * of the result. */
	void (*shapes)(const void *state, int *down, int *shuffle, bool *adds_picture);
};

extern const struct upscaler_kind upscaler_srvgg, upscaler_rrdb, upscaler_span;

/* *x is replaced by its convolution; up: of x with every pixel four times. */
void upscaler_conv(struct pass *p, const struct conv_layer *layer, struct map *x,
		   enum activation act, bool up);

/* The convolution PREFIX + name with PReLU behind it. slopes: a name under the same prefix, or NULL
 * with one slope for all. The shape is the tensor's own but for cin (0: any). */
void upscaler_load(struct loader *l, const struct upscaler_names *n, struct conv_layer *out, int cin,
		   const char *name, const char *slopes, float slope);
/* The same with nothing behind it. */
void upscaler_load_plain(struct loader *l, const struct upscaler_names *n, struct conv_layer *out,
			 int cin, const char *name);

#endif
