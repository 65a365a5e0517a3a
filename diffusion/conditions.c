/* Tensors by name. */
#include "diffusion/conditions.h"

#include <stdlib.h>
#include <string.h>

int conditions_add(struct conditions *c, const char *name, int rows, int width,
		   struct condition **out, struct error *err)
{
	if (c->count == CONDITIONS_MAX)
		return error_set(err, SUMI_INTERNAL, "no place for the condition '%s'", name);
	float *values = calloc((size_t)c->n * (size_t)rows * (size_t)width, sizeof *values);
	if (!values)
		return error_set(err, SUMI_NOMEM, "no memory for the text's embeddings");
	*out = &c->tensors[c->count++];
	**out = (struct condition){name, values, rows, width};
	return SUMI_OK;
}

const struct condition *conditions_get(const struct conditions *c, const char *name)
{
	for (int i = 0; i < c->count; i++)
		if (strcmp(c->tensors[i].name, name) == 0)
			return &c->tensors[i];
	return NULL;
}

void conditions_free(struct conditions *c)
{
	for (int i = 0; i < c->count; i++)
		free(c->tensors[i].values);
	*c = (struct conditions){0};
}
