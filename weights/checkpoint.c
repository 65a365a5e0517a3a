/* Parts of one file. */
#include "weights/checkpoint.h"

#include <string.h>

/* The name of a component's part. An open_clip encoder in front of the others is the second one of
 * a pair whose first is missing (SDXL's refiner). */
static const char *part_of(const struct component *all, int count, int index)
{
	static const char *const names[] = {
	    [COMPONENT_UNET] = "unet",
	    [COMPONENT_VAE] = "vae",
	    [COMPONENT_TINY_VAE] = "vae",
	    [COMPONENT_TEXT] = "text_encoder",
	};
	const struct component *c = &all[index];
	if (c->kind != COMPONENT_TEXT)
		return names[c->kind];
	if (strcmp(c->prefix, "conditioner.embedders.0.model.") == 0)
		return "text_encoder_2";
	for (int i = 0; i < count; i++)
		if (all[i].kind == COMPONENT_TEXT && strcmp(all[i].prefix, c->prefix) < 0)
			return "text_encoder_2";
	return names[c->kind];
}

int checkpoint_component(const struct source *s, const char *path, struct component *out,
			 bool *found, struct error *err)
{
	struct component all[LAYOUT_COMPONENTS_MAX];
	*found = false;
	int count = components_find(&s->list, all, LAYOUT_COMPONENTS_MAX), chosen = -1;
	if (count < 0)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	for (int i = 0; i < count; i++)
		if (*s->part ? strcmp(part_of(all, count, i), s->part) == 0 : count == 1)
			chosen = i;
	for (int i = 0; i < count; i++)
		if (i == chosen)
			*out = all[i];
		else
			component_free(&all[i]);
	*found = chosen >= 0;
	if (!*found && *s->part)
		return error_set(err, SUMI_NOTFOUND, "%s: the file holds no such part", path);
	return SUMI_OK;
}
