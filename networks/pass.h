/* One forward pass of a model: temporary tensors and the operations between them.
 *
 * A pass is sticky: after its first failure every call does nothing, so that a model's
 * forward function reads as its data flow. What pass_new() gave is given back by
 * pass_free(), also in a pass that has failed.
 *
 * A pass without a device only counts the memory that the temporaries would take, and what is multiplied,
 * and may ask one whether it supports each of the operations. */
#ifndef SUMI_NETWORKS_PASS_H
#define SUMI_NETWORKS_PASS_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "weights/loader.h"

/* What networks hand on: a tensor and how its rows lie, n pictures of h lines of w pixels each.
 * Tokens: n texts, h = 1, w = tokens. */
struct map {
	struct tensor t;
	int n, h, w;
};

/* Called with the result of each stage, for tests and tools. The map is borrowed. */
struct tap {
	void (*call)(void *user, const char *name, const struct map *x); /* NULL: none */
	void *user;
};

/* Edges of pictures that are one: what lies beyond the one is what lies before the other, as in tiles of
 * a texture. */
enum { WRAP_X = 1, WRAP_Y = 2 };

struct pass {
	struct device *device; /* NULL: plan only */
	enum dtype dtype;      /* of activations */
	struct tap tap;
	unsigned wrap; /* where its convolutions go around: WRAP_X | WRAP_Y; else zeros lie beyond an edge */
	int status; /* SUMI_OK until the first failure */
	struct error *err;
	uint64_t bytes, bytes_peak; /* of temporaries */
	uint64_t bytes_largest;     /* of one of them */
	uint64_t products;          /* plan only: multiplications of its matrix operations */
	const struct packed *lean; /* weights that leave the process behind each block; NULL: they stay */
	bool lean_partly;          /* packed_rest_partly() */
	int thin; /* plan only: ranks of what may lie on any layer (weights/thin.h) */
	const struct device *asked; /* plan only: what it does not support fails the pass; or NULL */
};

/* A pass on a device, which stores activations as that likes them best; tap NULL: none. */
struct pass pass_begin(struct device *device, const struct tap *tap, struct error *err);
/* A pass that only counts. */
struct pass pass_plan(enum dtype dtype);

/* Fails the pass with a message of the caller's. */
void pass_fail(struct pass *p, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A block is enqueued: where the pass is lean, what it read may go once it is done. */
void pass_behind(struct pass *p);

/* A temporary [n, h, w, c] with arbitrary content. */
struct map pass_new(struct pass *p, int n, int h, int w, int c);
void pass_free(struct pass *p, struct map *x);

/* Host values, float32 and dense, to a new temporary and back. */
struct map pass_upload(struct pass *p, const float *values, int n, int h, int w, int c);
void pass_download(struct pass *p, const struct map *x, float *values);

/* Channels first … first + c - 1 of x. */
struct map map_slice(struct map x, int first, int c);

/* Pictures first … first + n - 1 of x. */
struct map map_pictures(struct map x, int first, int n);

/* Tokens first … first + n - 1 of x, which is one text. */
struct map map_tokens(struct map x, int first, int n);

/* Lines first … first + h - 1 of x, which is one picture. */
struct map map_lines(struct map x, int first, int h);

struct grid map_grid(const struct map *x);

/* x → y. The fields that these and the layer decide (tensors, grids and n, weight, bias, stride 1
 * for 0) are filled in; the rest of args is the caller's. */
void pass_conv(struct pass *p, const struct conv_layer *layer, struct map x, struct map y,
	       struct conv2d_args args);
void pass_linear(struct pass *p, const struct linear_layer *layer, struct map x, struct map y,
		 struct linear_args args);
void pass_norm(struct pass *p, const struct norm_layer *layer, struct map x, struct map y,
	       enum activation act);
/* Group norm of x and y over a grid of their rows: pictures that are normalised together. */
void pass_norm_over(struct pass *p, const struct norm_layer *layer, struct grid grid,
		    struct map x, struct map y, enum activation act);
/* y = alpha · x. */
void pass_scale(struct pass *p, struct map x, float alpha, struct map y);
void pass_attention(struct pass *p, const struct attention_args *args);
void pass_axpby(struct pass *p, const struct axpby_args *args);
void pass_embedding(struct pass *p, const struct embedding_args *args);
void pass_permute(struct pass *p, const struct permute_args *args);
void pass_timestep(struct pass *p, const struct timestep_args *args);

/* 3×3 convolution of x seen at y's size, nearest neighbour: y is twice as large as x, or
 * one row or column less. */
void pass_conv_up(struct pass *p, const struct conv_layer *layer, struct map x, struct map y);

/* Fails a load where channels do not form so many heads, or the device has no attention for heads as
 * wide as these: NAME is what the message calls the layer. */
void load_heads(struct loader *l, int channels, int heads, const char *name);

/* Attention's usual scale: 1 / √(channels of a head). */
float head_scale(int channels, int heads);

/* Hands a stage's result to the tap, under a name given by format. */
void pass_tap(struct pass *p, const struct map *x, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
