/* Which tensor of a part a module changes. */
#include "weights/overlay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tensor's name without its dots. */
struct flat {
	char *name; /* owned */
	size_t index;
};

static int by_flat(const void *a, const void *b)
{
	return strcmp(((const struct flat *)a)->name, ((const struct flat *)b)->name);
}

static void free_flats(struct flat *flats, size_t count)
{
	for (size_t i = 0; flats && i < count; i++)
		free(flats[i].name);
	free(flats);
}

static struct flat *flat_names(const struct weights *w, struct error *err)
{
	size_t count = weights_tensors(w);
	struct flat *flats = calloc(count + 1, sizeof *flats);
	for (size_t i = 0; flats && i < count; i++) {
		flats[i] = (struct flat){strdup(weights_at(w, i)->name), i};
		if (!flats[i].name) {
			free_flats(flats, count);
			flats = NULL;
			break;
		}
		for (char *p = flats[i].name; (p = strchr(p, '.'));)
			*p = '_';
	}
	if (!flats)
		error_set(err, SUMI_NOMEM, "%s: out of memory", weights_folder(w));
	else if (count)
		qsort(flats, count, sizeof *flats, by_flat);
	return flats;
}

/* Resnets of a UNet's first level. */
static int count_layers(const struct weights *w)
{
	int layers = 0, n;
	for (size_t i = 0; i < weights_tensors(w); i++)
		if (sscanf(weights_at(w, i)->name, "down_blocks.0.resnets.%d.", &n) == 1 && n >= layers &&
		    n < 100)
			layers = n + 1;
	return layers;
}

/* Text encoders' names come with their model's in front, or without. */
static const struct flat *find_flat(const struct flat *flats, size_t count, const char *name)
{
	static const char *const fronts[] = {"", "text_model_"};
	char full[ADAPTER_NAME_MAX + 16];
	struct flat key = {.name = full};
	for (size_t i = 0; i < sizeof fronts / sizeof fronts[0]; i++) {
		snprintf(full, sizeof full, "%s%s", fronts[i], name);
		const struct flat *found = bsearch(&key, flats, count, sizeof *flats, by_flat);
		if (found)
			return found;
	}
	return NULL;
}

static int apply(const struct weight_change *c, const struct weight_tensor *t, float *values,
		 size_t count, struct error *err)
{
	const struct adapter_weight weight = {c->strength, c->strength, c->ranks};
	return adapter_apply(c->source, c->item, &weight, t->shape, t->rank, values, count, err);
}

int weights_adapt(struct weights *w, const struct adapter *a, unsigned parts,
		  const struct adapter_weight *weight, struct adapter_fit *fit, struct error *err)
{
	char name[ADAPTER_NAME_MAX];
	struct flat *flats = flat_names(w, err);
	int status = flats ? SUMI_OK : SUMI_NOMEM, layers = count_layers(w);
	for (size_t i = 0; i < adapter_modules(a) && !status; i++) {
		if (!adapter_target(a, i, parts, layers, name))
			continue;
		fit->modules++;
		const struct flat *found = find_flat(flats, weights_tensors(w), name);
		if (!found) {
			if (!fit->first[0])
				snprintf(fit->first, sizeof fit->first, "%s", adapter_module_name(a, i));
			continue;
		}
		const struct weight_tensor *t = weights_at(w, found->index);
		struct weight_change change = {apply, a, i, adapter_strength(a, i, weight),
					       weight->ranks};
		status = adapter_fits(a, i, t->shape, t->rank, err);
		if (!status)
			status = weights_change(w, found->index, &change, err);
		fit->fit++;
	}
	free_flats(flats, weights_tensors(w));
	return status;
}

static bool is_table(const char *name)
{
	static const char end[] = "_embedding.weight";
	size_t n = strlen(name);
	return n >= sizeof end && strcmp(name + n - (sizeof end - 1), end) == 0;
}

int weights_pairs(const struct weight_tensor *tensor, struct adapter_pair out[OVERLAYS_MAX])
{
	size_t count;
	int used = 0;
	const struct weight_change *c = weights_changes(tensor, &count);
	if (count && is_table(tensor->name))
		return -1;
	for (size_t i = 0; i < count; i++) {
		if (used == OVERLAYS_MAX || c[i].apply != apply ||
		    !adapter_pair(c[i].source, c[i].item, c[i].strength, c[i].ranks, &out[used]))
			return -1;
		used += out[used].scale != 0;
	}
	return used;
}

static uint64_t elements(const struct weight_tensor *t)
{
	uint64_t n = 1;
	for (int i = 0; i < t->rank; i++)
		n *= (uint64_t)t->shape[i];
	return n;
}

bool weights_are_pairs(const struct weights *w, uint64_t *own, uint64_t *base)
{
	struct adapter_pair pairs[OVERLAYS_MAX];
	for (size_t i = 0; i < weights_tensors(w); i++) {
		const struct weight_tensor *t = weights_at(w, i);
		int count = t->changed ? weights_pairs(t, pairs) : 0;
		if (count < 0)
			return false;
		for (int k = 0; k < count; k++)
			*own += elements(pairs[k].down) + elements(pairs[k].up);
		*base += t->changed ? elements(t) : 0;
	}
	return true;
}

int weights_open_with(const char *path, const struct overlays *on, struct weights **out,
		      struct error *err)
{
	struct adapter_fit fit = {0};
	int status = weights_open(path, out, err);
	if (!status && on)
		weights_keep(*out, on->store);
	for (int i = 0; on && !on->thin && i < on->count && !status; i++)
		status = weights_adapt(*out, on->rows[i].adapter, on->parts, &on->rows[i].weight, &fit,
				       err);
	if (status) {
		weights_close(*out);
		*out = NULL;
	}
	return status;
}
