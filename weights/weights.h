/* Where the tensors of one part of a model (its UNet, its VAE, a text encoder) come from: a folder
 * of weight files, or a part of one file that holds a whole model under other names. Tensors are
 * looked up by the names that the networks have for them, and what nobody asked for is noticed. */
#ifndef SUMI_WEIGHTS_WEIGHTS_H
#define SUMI_WEIGHTS_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include "weights/tensors.h"

#define WEIGHT_NAME_MAX 256

struct weights;

/* One tensor as the network sees it. */
struct weight_tensor {
	const char *name;
	const char *format;             /* in the file: "F16", "Q4_K" */
	bool usable;                    /* weights can be made of it */
	bool unscaled;                  /* … if it had the scales that it means nothing without */
	enum dtype dtype;               /* of what weights_read() gives */
	int rank;                       /* 0: a single number */
	int64_t shape[TENSOR_RANK_MAX]; /* outermost first */
	size_t bytes;                   /* of what weights_read() gives */
	/* As the numbers stand in the file, where a device may take rows of them; else dtype and
	 * bytes. */
	enum dtype stored;
	size_t stored_bytes;
	bool scaled; /* what is stored has factors of its rows: weights_scales() */
	bool changed; /* what is read are the file's numbers after weights_change() */
};

/* Opens the weights of a part. path is a folder with the first of
 * diffusion_pytorch_model.safetensors, model.safetensors, their .fp16 variants, the sharded forms
 * (*.safetensors.index.json) of these, and torch archives of those names (.bin); or a file and a
 * part of it, "FILE/unet" (weights/checkpoint.h). SUMI_NOTFOUND lists what was looked for. */
int weights_open(const char *path, struct weights **out, struct error *err);
void weights_close(struct weights *w); /* NULL is fine */

/* Where what devices make of them is kept (weights/packed.h); borrowed, NULL: nowhere, as at first. */
struct packed_store;
void weights_keep(struct weights *w, struct packed_store *store);
const struct packed_store *weights_store(const struct weights *w);

/* The tensor of a name, or NULL. Marks it as used. */
const struct weight_tensor *weights_find(struct weights *w, const char *name);

/* The tensors in the order of their names; none becomes used by it. */
const struct weight_tensor *weights_at(const struct weights *w, size_t index);

/* The path of the file that a tensor stands in. */
const char *weights_path_of(const struct weight_tensor *tensor);

const char *weights_folder(const struct weights *w);

/* Who says what the tensors must be, for messages: "config.json", or of a part of a file what can
 * say otherwise. NULL is fine. */
const char *weights_config(const struct weights *w);

/* SUMI_INVALID when the files hold a tensor whose name begins with prefix and that nobody
 * asked for: then the config describes another model. */
int weights_check_unused(const struct weights *w, const char *prefix, struct error *err);

/* Tensors of the part, and bytes of them all as they are stored. */
size_t weights_tensors(const struct weights *w);
uint64_t weights_bytes(const struct weights *w);

/* Appends what identifies the files' content, see tensors_identity(), and the part; *changed_ms
 * becomes the latest change of any of them. */
void weights_identity(const struct weights *w, struct bytes_writer *out, int64_t *changed_ms);

/* Reads a tensor's numbers as tensor->dtype [tensor->bytes] into out; see tensors_read() and
 * tensors_check(). */
int weights_read(const struct weight_tensor *tensor, void *out, struct error *err);
int weights_check(const struct weights *w, struct error *err);

/* The same as tensor->stored [tensor->stored_bytes]. */
int weights_read_stored(const struct weight_tensor *tensor, void *out, struct error *err);
/* The factors of its rows [shape[0]]; weights_read() and weights_read_floats() have multiplied by
 * them. */
void weights_scales(const struct weight_tensor *tensor, float *out);

/* The same as float32, count of them, without rounding where the file's format is finer. */
int weights_read_floats(const struct weight_tensor *tensor, float *out, size_t count,
			struct error *err);

/* SUMI_INVALID with the file and the tensor where one of its numbers, count of them as they were read as dtype, is NaN
 * or infinite. Of other formats than float32, float16 and bfloat16 nothing is said. */
int weights_check_finite(const struct weight_tensor *tensor, enum dtype dtype, const void *values, size_t count,
			 struct error *err);

/* A tensor's only number, where it is a whole one too. */
int weights_read_number(const struct weight_tensor *tensor, double *out, struct error *err);

/* What the (first) file says of itself, see tensors_metadata(). */
const json_t *weights_metadata(const struct weights *w);

/* What changes a tensor's numbers when they are read: count of them, float32, in the file's order. */
struct weight_change {
	int (*apply)(const struct weight_change *c, const struct weight_tensor *tensor, float *values,
		     size_t count, struct error *err);
	const void *source; /* of apply(), as are those below; borrowed until the weights are closed */
	size_t item;
	double strength;
	int ranks;
};

/* From now on the tensor at that index is read with one change more, after those of earlier calls. */
int weights_change(struct weights *w, size_t index, const struct weight_change *change,
		   struct error *err);
bool weights_changed(const struct weights *w);

/* What was put on a tensor, in its order; borrowed. */
const struct weight_change *weights_changes(const struct weight_tensor *tensor, size_t *count);

/* Whether the files are still those that were opened. */
bool weights_unchanged(const struct weights *w);

#endif
