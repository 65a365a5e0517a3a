/* One file that holds a model, or a part of one. A part is named by a path, as if the file were a
 * folder in diffusers' layout: "anything.safetensors/unet". */
#ifndef SUMI_WEIGHTS_CHECKPOINT_H
#define SUMI_WEIGHTS_CHECKPOINT_H

#include "weights/source.h"

/* The component whose names the tensors of a source have: the one that its part names ("unet",
 * "vae", "text_encoder", "text_encoder_2"), or the only one of a folder's files. *found false: none
 * is known, names stay as they are. SUMI_NOTFOUND where the file lacks the part that is named. The
 * caller releases *out with component_free() where it was found. */
int checkpoint_component(const struct source *s, const char *path, struct component *out,
			 bool *found, struct error *err);

#endif
