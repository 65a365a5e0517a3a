/* The weight files of one component (unet/, vae/, text_encoder/): finding them in its
 * folder, looking tensors up by name, and noticing what nobody asked for. */
#ifndef SUMI_WEIGHTS_WEIGHTS_H
#define SUMI_WEIGHTS_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include "weights/safetensors.h"

#define WEIGHT_NAME_MAX 256

struct weights;

/* Opens the weights in a folder: the first of diffusion_pytorch_model.safetensors,
 * model.safetensors, their .fp16 variants, and the sharded forms (*.safetensors.index.json)
 * of these. SUMI_NOTFOUND lists what was looked for; a folder with pickles only is answered
 * with the command that converts them. */
int weights_open(const char *folder, struct weights **out, struct error *err);
void weights_close(struct weights *w); /* NULL is fine */

/* Whether a component's weights are incomplete: file becomes the name of the first that is not
 * there; usual where there is none at all, also none that can be converted. */
#define WEIGHTS_FILE_MAX 256
bool weights_missing(const char *folder, const char *usual, char file[WEIGHTS_FILE_MAX]);

/* The entry of a name, or NULL. Names of older diffusers (query, key, value, proj_attn) and
 * of transformers 5 (no "text_model." in front) are found as well. Marks it as used. */
const struct safetensors_entry *weights_find(struct weights *w, const char *name);

/* The file that an entry stands in. */
const struct safetensors *weights_file_of(const struct weights *w,
					  const struct safetensors_entry *entry);

const char *weights_folder(const struct weights *w);

/* SUMI_INVALID when the files hold a tensor whose name begins with prefix and that nobody
 * asked for: then the config describes another model. */
int weights_check_unused(const struct weights *w, const char *prefix, struct error *err);

/* Tensors in all files, and bytes of their data. */
size_t weights_tensors(const struct weights *w);
uint64_t weights_bytes(const struct weights *w);

/* Appends what identifies the files' content, see safetensors_identity(); *changed_ms becomes
 * the latest change of any of them. */
void weights_identity(const struct weights *w, struct bytes_writer *out, int64_t *changed_ms);

/* Reads an entry's bytes into out; see safetensors_read() and safetensors_check(). */
int weights_read(const struct weights *w, const struct safetensors_entry *entry, void *out,
		 struct error *err);
int weights_check(const struct weights *w, struct error *err);

/* Whether the files are still those that were opened. */
bool weights_unchanged(const struct weights *w);

#endif
