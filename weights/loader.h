/* Putting a model's weights onto a device.
 *
 * A loader takes tensors out of a component's files by name, with the shape that the config
 * demands; a weight_set owns what then lies on the device until the model is closed.
 *
 * A loader is sticky: after its first failure every call does nothing, so that the code
 * that describes a model reads as a list. Ask loader.status at the end. */
#ifndef SUMI_WEIGHTS_LOADER_H
#define SUMI_WEIGHTS_LOADER_H

#include <stdbool.h>
#include <stddef.h>

#include "backends/backend.h"
#include "weights/packed.h"
#include "weights/thin.h"
#include "weights/weights.h"

struct weight_set {
	struct device *device; /* borrowed */
	struct weight **weights;
	struct buffer **buffers;
	size_t weight_count, buffer_count;
	struct packed *packed; /* list: where weights may lie that the device did not copy */
	bool adapts;           /* set before a load: its matrices get places for what may lie on them */
	struct thin_set thin;
};

/* Frees everything in the set. An all-zero set is fine. */
void weight_set_clear(struct weight_set *set);

struct linear_layer {
	struct weight *weight; /* [cout, cin] */
	struct buffer *bias;   /* [cout] f32, or NULL */
	int cin, cout;
	const struct thin *thin; /* what lies on it; NULL: nothing ever does */
};

struct conv_layer {
	struct weight *weight; /* [cout, cin, kernel, kernel] */
	struct buffer *bias;   /* [cout] f32, or NULL */
	int cin, cout, kernel;
	const struct thin *thin;
};

struct norm_layer {
	struct buffer *gamma, *beta; /* [c] f32 */
	int c;
	int groups; /* 0: layer norm */
	float epsilon;
};

struct loader {
	struct weights *files;  /* borrowed; NULL: only the shapes are filled in (for plans) */
	struct weight_set *set; /* what is loaded is added here */
	const char *part;       /* of the files, where a load takes only one; NULL: all */
	struct packed *packed;  /* of the set; NULL until the first weight, or for good */
	bool begun;             /* the first weight has come */
	int status;             /* SUMI_OK until the first failure */
	struct error *err;
};

enum load_flags {
	LOAD_NO_BIAS = 1, /* the layer has none */
	LOAD_GEGLU = 2,   /* will be used with ACT_GEGLU */
	LOAD_TABLE = 4,   /* an embedding: rows are looked up; no bias */
};

/* Ends a load: keeps what was packed when all went well. Returns l->status. */
int loader_end(struct loader *l);

/* Fails the load with a message of the caller's. */
void loader_fail(struct loader *l, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Writes a tensor's name by format; one that is too long is cut (and then not found). */
void weight_name(char out[WEIGHT_NAME_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* NAME.weight [cout, cin] and NAME.bias [cout]; the name is given by format. */
void load_linear(struct loader *l, struct linear_layer *out, int cout, int cin, unsigned flags,
		 const char *format, ...) __attribute__((format(printf, 6, 7)));

/* NAME.weight [cout, cin, kernel, kernel], kernel 1 or 3, and NAME.bias [cout]. */
void load_conv(struct loader *l, struct conv_layer *out, int cout, int cin, int kernel,
	       unsigned flags, const char *format, ...) __attribute__((format(printf, 7, 8)));

/* One of numbers that the caller has made: weights [cout, cin, kernel, kernel], bias [cout]. */
void load_made_conv(struct loader *l, struct conv_layer *out, int cout, int cin, int kernel,
		    const float *weights, const float *bias);

/* The bias of a convolution behind which comes ACT_PRELU, whose weight is loaded: the tensor `bias`, then
 * the tensor `slopes`, both [cout]; slopes NULL: `slope` for all channels. */
void load_prelu(struct loader *l, struct conv_layer *conv, const char *bias, const char *slopes,
		float slope);

/* NAME.weight and NAME.bias, both [c]. groups 0: layer norm. */
void load_norm(struct loader *l, struct norm_layer *out, int c, int groups, double epsilon,
	       const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Linear layers that read the same input, stacked into one with the sum of their outputs. */
struct stack_part {
	char name[WEIGHT_NAME_MAX];
	int cout;
};

/* PART.weight [parts' cout, cin] and PART.bias of each of count parts. */
void load_linear_stack(struct loader *l, struct linear_layer *out, const struct stack_part *parts,
		       int count, int cin, unsigned flags);

/* NAME, [c], as float32, with delta added to every element. */
void load_vector(struct loader *l, struct buffer **out, int c, float delta, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The tensor of that name and shape as float32 into out, which the caller owns. */
void load_values(struct loader *l, float *out, const int *shape, int rank, const char *name);

#endif
