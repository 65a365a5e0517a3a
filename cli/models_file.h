/* Files of tensors, for `sumi models show FILE` and `sumi models quantize NAME`. */
#ifndef SUMI_CLI_MODELS_FILE_H
#define SUMI_CLI_MODELS_FILE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/files.h"
#include "base/status.h"

/* Kind, family, formats and what the file says of itself, a new object. Nothing but its header is read.
 * SUMI_UNSUPPORTED with what it is where it holds no tensors. */
int models_file_describe(const char *path, json_t **out, struct error *err);

/* Writes NAME-TYPE.gguf into the folder that a model (a pack, or a file that is one) lies in, with its UNet in
 * blocks, and what stands beside that: a model called NAME-TYPE, whose other parts are the first one's. Says
 * on stderr what it did; out: the path. */
int models_quantize(const char *model, const char *type, char out[FILES_PATH_MAX], struct error *err);

/* Whether a file, or a folder in diffusers' layout, is a network that sees pictures; of a folder what it is. */
bool models_is_control(const char *path);
int models_control_describe(const char *path, json_t **out, struct error *err);

/* The same of image encoders, which IP-Adapters read. */
bool models_is_encoder(const char *path);
int models_encoder_describe(const char *path, json_t **out, struct error *err);

/* The folder of models for what is of its kind (LoRAs and their kin, embeddings, upscalers, ControlNets, image
 * encoders); NULL: a model. */
const char *models_kind_folder(const char *path);

/* The options that a LoRA for few steps proposes by its name; false: it is none. */
bool models_proposal(const char *name, char *out, size_t size);

#endif
