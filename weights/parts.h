/* What the components of a file are called as parts of a pack in diffusers' layout. */
#ifndef SUMI_WEIGHTS_PARTS_H
#define SUMI_WEIGHTS_PARTS_H

#include "weights/layout.h"

struct file_part {
	const char *name;
	enum component_kind kind;
	int place; /* of those of this kind that a model has, from 0 */
	const char *class, *tokenizer; /* in model_index.json, of texts' encoders; else NULL */
};

/* In the order in which their configs are told; ends with a NULL name. */
extern const struct file_part file_parts[];

/* The row of a kind at a place (of more than there are places the last); of a name the first, or NULL. */
const struct file_part *file_part_at(enum component_kind kind, int place);
const struct file_part *file_part_named(const char *name);

#endif
