/* Low-rank differences beside the weights of a layer. */
#include "weights/thin.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

/* Ranks of a part are filled up to a multiple: its products then begin where devices read fast. To processors
 * all places are alike, and memory that is filled up is lost. */
static int step_of(const struct device *device)
{
	return device->info.is_cpu ? 1 : 8;
}

struct thin *thin_new(struct thin_set *set, int count)
{
	void *all = grow_by_count(set->at, set->count, sizeof(void *));
	if (!all)
		return NULL;
	set->at = all;
	struct thin *t = calloc(1, sizeof *t + (size_t)count * sizeof t->parts[0]);
	if (t) {
		t->count = count;
		set->at[set->count++] = t;
	}
	return t;
}

static void free_weights(struct device *device, struct thin *t)
{
	device_weight_free(device, t->down);
	for (int i = 0; i < t->count; i++) {
		device_weight_free(device, t->parts[i].up);
		t->parts[i].up = NULL;
		t->parts[i].pairs = 0;
	}
	t->down = NULL;
	free(t->pairs);
	t->pairs = NULL;
}

static void clear_layer(struct device *device, struct thin *t)
{
	free_weights(device, t);
	for (int i = 0; i < t->count; i++)
		t->parts[i].ranks = 0;
	t->ranks = 0;
}

static void clear_layers(const struct thin_set *set, struct device *device)
{
	for (size_t i = 0; i < set->count; i++)
		clear_layer(device, set->at[i]);
}

void thin_set_clear(struct thin_set *set, struct device *device)
{
	clear_layers(set, device);
	for (size_t i = 0; i < set->count; i++)
		free(set->at[i]);
	free(set->at);
	*set = (struct thin_set){0};
}

/* ---- making ---- */

/* What lies on a layer: the pairs of each of its parts, in the files. */
struct pairs {
	struct adapter_pair at[OVERLAYS_MAX];
	int count;
};

/* The one format of all of them, float32 where they have several. */
static void join_format(const struct weight_tensor *t, bool first, enum dtype *dtype)
{
	*dtype = first || *dtype == t->dtype ? t->dtype : DTYPE_F32;
}

static bool is_plain(enum dtype dtype)
{
	return dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16;
}

static int read_in(const struct weight_tensor *t, enum dtype dtype, void **out, struct error *err)
{
	size_t count = 1;
	for (int i = 0; i < t->rank; i++)
		count *= (size_t)t->shape[i];
	*out = malloc(count * dtype_size(dtype) + 1);
	if (!*out)
		return error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'", t->name);
	int status = t->dtype == dtype ? weights_read(t, *out, err)
				       : weights_read_floats(t, *out, count, err);
	if (!status)
		status = weights_check_finite(t, dtype, *out, count, err);
	if (status) {
		free(*out);
		*out = NULL;
	}
	return status;
}

/* Copies the first `ranks` of a pair's columns [cout, rank] behind each other into [cout, all]. */
static void put_columns(char *to, size_t all, const char *from, size_t rank, size_t ranks, size_t cout,
			size_t size)
{
	for (size_t r = 0; r < cout; r++)
		memcpy(to + r * all * size, from + r * rank * size, ranks * size);
}

static int make_up(struct device *device, struct thin_part *part, const struct pairs *pairs,
		   enum dtype dtype, struct error *err)
{
	size_t size = dtype_size(dtype), all = (size_t)part->ranks, at = 0;
	char *data = calloc((size_t)part->cout * all, size);
	int status = data ? SUMI_OK
			  : error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'", part->name);
	for (int i = 0; i < pairs->count && !status; i++) {
		const struct adapter_pair *p = &pairs->at[i];
		void *from;
		status = read_in(p->up, dtype, &from, err);
		if (!status)
			put_columns(data + at * size, all, from, (size_t)p->rank, (size_t)p->ranks,
				    (size_t)part->cout, size);
		at += (size_t)p->ranks;
		free(from);
	}
	struct weight_desc desc = {.data = data,
				   .dtype = dtype,
				   .cout = part->cout,
				   .cin = part->ranks,
				   .kernel = 1};
	if (!status)
		status = device_weight_new(device, &desc, &part->up, err);
	free(data);
	return status;
}

/* How much each row of all parts' pairs counts; the caller frees it. NULL: no memory. */
static float *scales_of(const struct thin *t, const struct pairs *pairs)
{
	float *scales = calloc((size_t)t->ranks, sizeof *scales);
	for (int i = 0; i < t->count && scales; i++) {
		float *at = scales + t->parts[i].first_rank;
		for (int k = 0; k < pairs[i].count; k++)
			for (int r = 0; r < pairs[i].at[k].ranks; r++)
				*at++ = (float)pairs[i].at[k].scale;
	}
	return scales;
}

/* The rows of all parts' pairs, and how much each counts. */
static int make_down(struct device *device, struct thin *t, const struct pairs *pairs,
		     enum dtype dtype, struct error *err)
{
	size_t row = (size_t)t->cin * (size_t)(t->kernel * t->kernel) * dtype_size(dtype);
	char *data = calloc((size_t)t->ranks, row);
	float *scales = scales_of(t, pairs);
	int status = data && scales ? SUMI_OK
				    : error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'",
						t->parts[0].name);
	for (int i = 0; i < t->count; i++) {
		size_t at = (size_t)t->parts[i].first_rank;
		for (int k = 0; k < pairs[i].count && !status; k++) {
			const struct adapter_pair *p = &pairs[i].at[k];
			void *from;
			status = read_in(p->down, dtype, &from, err);
			if (!status)
				memcpy(data + at * row, from, (size_t)p->ranks * row);
			at += (size_t)p->ranks;
			free(from);
		}
	}
	struct weight_desc desc = {.data = data,
				   .dtype = dtype,
				   .cout = t->ranks,
				   .cin = t->cin,
				   .kernel = t->kernel,
				   .few = true,
				   .scales = scales};
	if (!status)
		status = device_weight_new(device, &desc, &t->down, err);
	free(scales);
	free(data);
	return status;
}

/* The pairs of each part, and what they make of the layer. *placed counts tensors. */
static int find_pairs(struct thin *t, int step, struct weights *files, struct pairs *pairs, enum dtype *dtype,
		      size_t *placed, struct error *err)
{
	bool first = true;
	t->ranks = 0;
	for (int i = 0; i < t->count; i++) {
		struct thin_part *part = &t->parts[i];
		const struct weight_tensor *tensor = weights_find(files, part->name);
		int own = 0, n = tensor ? weights_pairs(tensor, pairs[i].at) : 0;
		if (n < 0)
			return error_set(err, SUMI_UNSUPPORTED, "'%.100s': what lies on it is no pair",
					 part->name);
		*placed += tensor && tensor->changed;
		for (pairs[i].count = 0; pairs[i].count < n; pairs[i].count++) {
			const struct adapter_pair *p = &pairs[i].at[pairs[i].count];
			join_format(p->down, first, dtype);
			join_format(p->up, false, dtype);
			first = false;
			own += p->ranks;
		}
		part->first_rank = t->ranks;
		part->ranks = (own + step - 1) / step * step;
		t->ranks += part->ranks;
	}
	if (!is_plain(*dtype))
		*dtype = DTYPE_F32;
	return SUMI_OK;
}

static bool same_pair(const struct adapter_pair *a, const struct adapter_pair *b)
{
	return a->down == b->down && a->up == b->up && a->ranks == b->ranks;
}

/* Whether those lie there already, at whatever weights. */
static bool are_there(const struct thin *t, const struct pairs *pairs)
{
	const struct adapter_pair *at = t->pairs;
	for (int i = 0; i < t->count; i++) {
		if (t->parts[i].pairs != pairs[i].count)
			return false;
		for (int k = 0; k < pairs[i].count; k++)
			if (!same_pair(at++, &pairs[i].at[k]))
				return false;
	}
	return t->down != NULL;
}

/* Keeps what lies there, for the next time. */
static int remember(struct thin *t, const struct pairs *pairs, struct error *err)
{
	size_t all = 0;
	for (int i = 0; i < t->count; i++)
		all += (size_t)pairs[i].count;
	struct adapter_pair *at = t->pairs = malloc((all + 1) * sizeof *at);
	if (!at)
		return error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'", t->parts[0].name);
	for (int i = 0; i < t->count; i++) {
		t->parts[i].pairs = pairs[i].count;
		memcpy(at, pairs[i].at, (size_t)pairs[i].count * sizeof *at);
		at += pairs[i].count;
	}
	return SUMI_OK;
}

static int make_layer(struct device *device, struct thin *t, const struct pairs *pairs, enum dtype dtype,
		      struct error *err)
{
	int status = make_down(device, t, pairs, dtype, err);
	for (int i = 0; i < t->count && !status; i++)
		if (t->parts[i].ranks)
			status = make_up(device, &t->parts[i], &pairs[i], dtype, err);
	return status ? status : remember(t, pairs, err);
}

static int reweigh_layer(struct device *device, struct thin *t, const struct pairs *pairs, struct error *err)
{
	float *scales = scales_of(t, pairs);
	int status = scales ? device_weight_rescale(device, t->down, scales, err)
			    : error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'", t->parts[0].name);
	free(scales);
	return status;
}

static int put_layer(struct device *device, struct thin *t, struct weights *files, bool same, size_t *placed,
		     struct error *err)
{
	enum dtype dtype = DTYPE_F32;
	struct pairs *pairs = calloc((size_t)t->count, sizeof *pairs);
	int status = pairs ? find_pairs(t, step_of(device), files, pairs, &dtype, placed, err)
			   : error_set(err, SUMI_NOMEM, "out of memory while loading '%.100s'",
				       t->parts[0].name);
	if (!status && same && device_rescales(device) && are_there(t, pairs)) {
		status = reweigh_layer(device, t, pairs, err);
	} else if (!status) {
		free_weights(device, t);
		status = t->ranks ? make_layer(device, t, pairs, dtype, err) : SUMI_OK;
	}
	free(pairs);
	return status;
}

static size_t count_changed(const struct weights *w)
{
	size_t changed = 0;
	for (size_t i = 0; i < weights_tensors(w); i++)
		changed += weights_at(w, i)->changed;
	return changed;
}

int thin_put(struct thin_set *set, struct device *device, const char *path,
	     const struct overlays *on, struct error *err)
{
	struct weights *files = NULL;
	size_t placed = 0;
	struct overlays apart = *on;
	apart.thin = false;
	if (!on->same || !on->count)
		clear_layers(set, device);
	if (!on->count)
		return SUMI_OK;
	int status = weights_open_with(path, &apart, &files, err);
	for (size_t i = 0; i < set->count && !status; i++)
		status = put_layer(device, set->at[i], files, on->same, &placed, err);
	if (!status && placed < count_changed(files))
		status = error_set(err, SUMI_INTERNAL, "%s: %zu tensors have no layer", path,
				   count_changed(files) - placed);
	weights_close(files);
	if (status)
		clear_layers(set, device);
	return status;
}
