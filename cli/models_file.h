/* Files of tensors, for `sumi models show FILE` and `sumi models quantize NAME`. */
#ifndef SUMI_CLI_MODELS_FILE_H
#define SUMI_CLI_MODELS_FILE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/files.h"
#include "base/status.h"
#include "diffusion/places.h"

/* Kind, family, formats and what the file says of itself, a new object. Nothing but its header is read.
 * SUMI_UNSUPPORTED with what it is where it holds no tensors. */
int models_file_describe(const char *path, json_t **out, struct error *err);

/* Writes NAME-TYPE.gguf into the folder that a model (a pack, or a file that is one) lies in, with its UNet in
 * blocks, and what stands beside that: a model called NAME-TYPE, whose other parts are the first one's. Says
 * on stderr what it did; out: the path. */
int models_quantize(const char *model, const char *type, char out[FILES_PATH_MAX], struct error *err);

/* What goes on top of models, or stands beside them, in the order in which it is listed. */
struct models_kind {
	const char *kind, *folder; /* of a models folder */
	int (*visit)(const char *paths, const char *state_dir, place_file_visit *visit, void *context, struct error *err);
	int (*check)(const char *path, struct error *err); /* whether its headers are whole */
};
enum { MODELS_KINDS = 5 };
extern const struct models_kind models_kinds[MODELS_KINDS];

/* The folder of models for what is of its kind (LoRAs and their kin, embeddings, upscalers, ControlNets, image
 * encoders: files, or folders in their programs' layouts); NULL: a model. */
const char *models_kind_folder(const char *path);

/* SUMI_OK unless a path is a folder that its layout says is a LoRA, and that is none that is read. */
int models_check_folder(const char *path, struct error *err);

/* Of a file or folder of such a kind what it is, a new object. */
int models_describe(const char *path, json_t **out, struct error *err);

/* The options that a LoRA for few steps proposes by its name; false: it is none. */
bool models_proposal(const char *name, char *out, size_t size);

#endif
