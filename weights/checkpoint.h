/* One file that holds a model, or a part of one, as if it were a folder in diffusers' layout: its
 * parts and their configs have paths below the file's, "any.safetensors/unet/config.json". Wherever
 * parts of packs are read, both kinds of path do.
 *
 * A file NAME.sumi.json beside NAME.safetensors is the pack's sumi.json. There "config" says what
 * tensors cannot tell: {"config": {"unet": {"attention_head_dim": 4}, "scheduler": {…}}} replaces
 * fields of the configs that were told from the tensors, or all of them with a "_class_name". */
#ifndef SUMI_WEIGHTS_CHECKPOINT_H
#define SUMI_WEIGHTS_CHECKPOINT_H

#include <jansson.h>

#include "weights/source.h"

/* A model for which latents are scaled as for Stable Diffusion XL reads "xl/vae" of a file that
 * holds an autoencoder alone: its tensors do not tell. A checkpoint of that kind has this entry. */
#define CHECKPOINT_XL "xl"

/* Of a file that is no model, a text that says what it is: "a LoRA of FLUX.1". */
#define CHECKPOINT_KIND "kind"

/* Of a model, a text for people that says what of its configs is a guess; most have none. */
#define CHECKPOINT_NOTE "note"
/* Fields of "config" that the part's own, as it was told, are near to: {"unet: attention_head_dmi": "attention_head_dim"}. */
#define CHECKPOINT_TYPOS "typos"

/* json_read_file() of a part's file, real or told. SUMI_NOTFOUND where it is neither. */
int part_json_read(const char *path, size_t limit, json_t **root, struct error *err);

/* access() of the same, and of a part's folder. */
bool part_exists(const char *path);

/* NAME.sumi.json beside a file; out is empty where there is none. */
void checkpoint_side_file(const char *file, char out[FILES_PATH_MAX]);

/* The components whose names the tensors of a source have: those of the part that it names ("unet",
 * "vae", "text_encoder", "text_encoder_2"), or of a folder's files that hold one. *count 0: none is
 * known, names stay as they are. SUMI_NOTFOUND where the file lacks the part that is named. The
 * caller releases each with component_free(). */
int checkpoint_components(const struct source *s, const char *path,
			  struct component out[LAYOUT_COMPONENTS_MAX], int *count,
			  struct error *err);

#endif
