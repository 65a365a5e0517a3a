/* What a file's tensors are: the components of models that stand in it, and how their names become
 * those that the networks look for. Told from names and shapes alone.
 *
 * A component is told by an anchor, one name that no other component has, and everything in front
 * of the anchor is its prefix: "model.diffusion_model." of original checkpoints, "" of a file that
 * holds nothing else. */
#ifndef SUMI_WEIGHTS_LAYOUT_H
#define SUMI_WEIGHTS_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "weights/tensors.h"

enum {
	LAYOUT_NAME_MAX = 256, /* of a network's name, with its end */
	LAYOUT_PREFIX_MAX = 96,
	LAYOUT_COMPONENTS_MAX = 16,
	LAYOUT_PARTS_MAX = 3, /* tensors that one of a file becomes */
};

/* Entries in the order of their names, borrowed. */
struct tensor_list {
	const struct tensor_entry *const *entries;
	size_t count;
};

/* The entry of a name, or NULL. */
const struct tensor_entry *tensor_list_find(const struct tensor_list *list, const char *name);

enum component_kind {
	COMPONENT_UNET,
	COMPONENT_VAE,
	COMPONENT_TINY_VAE,
	COMPONENT_TEXT,
	COMPONENT_CONTROL_NET,
	COMPONENT_T2I_ADAPTER,
	COMPONENT_IP_ADAPTER,
	COMPONENT_IMAGE, /* what an IP-Adapter reads: CLIP's vision model */
};

struct layout; /* one way to name a component's tensors */

/* A component of a file. */
struct component {
	enum component_kind kind;
	const struct layout *layout;
	char prefix[LAYOUT_PREFIX_MAX];
	bool original;                /* named as before diffusers: the rules below count */
	int levels;                   /* of an original VAE */
	int skipped_layer;            /* of a text encoder: this layer is left out; -1: none */
	struct layout_blocks *blocks; /* of an original UNet */
};

/* Finds up to `max` components and returns how many there are, or SUMI_NOMEM. Each is released
 * with component_free(). */
int components_find(const struct tensor_list *list, struct component *out, int max);
void component_free(struct component *c);

/* What becomes of a tensor. */
struct renamed {
	int parts; /* 0: it is not of this component; 3: rows of q, k and v one behind the other */
	char names[LAYOUT_PARTS_MAX][LAYOUT_NAME_MAX];
	bool transposed; /* [in, out] in the file */
	bool ignored;    /* the component's, but nothing is computed with it */
};
void component_rename(const struct component *c, const char *name, struct renamed *out);

#endif
