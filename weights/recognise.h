/* What a file of tensors is: a model, a part of one, something that goes on top of one, told from
 * names and shapes alone. */
#ifndef SUMI_WEIGHTS_RECOGNISE_H
#define SUMI_WEIGHTS_RECOGNISE_H

#include "weights/layout.h"

struct recognition {
	const char *kind;   /* "checkpoint", "UNet", "LoRA", "ControlNet", …; NULL: unknown */
	const char *family; /* "Stable Diffusion XL", "FLUX.1", …; NULL: not told */
	char detail[64];    /* "inpainting, 9 channels"; or empty */
	bool adapter;       /* it changes a model's weights, in a way that is read or not */
};

void recognise(const struct tensor_list *list, struct recognition *out);

/* "a LoRA for FLUX.1", for messages; "of no kind that is known". Returns out. */
const char *recognition_text(const struct recognition *r, char *out, size_t size);

#endif
