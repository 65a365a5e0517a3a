#include "networks/residuals.h"

#include <stdlib.h>

struct slot {
	struct map map; /* buffer NULL: never made */
	bool used;      /* in this step */
};

struct residuals {
	struct device *device; /* borrowed; NULL: they only count */
	uint64_t bytes;
	int skips, levels;
	struct slot slots[]; /* skips, levels, middle */
};

int residuals_new(struct device *device, int skips, int levels, struct residuals **out,
		  struct error *err)
{
	size_t count = (size_t)skips + (size_t)levels + 1;
	*out = calloc(1, sizeof **out + count * sizeof *(*out)->slots);
	if (!*out)
		return error_set(err, SUMI_NOMEM, "out of memory");
	(*out)->device = device;
	(*out)->skips = skips;
	(*out)->levels = levels;
	return SUMI_OK;
}

uint64_t residuals_bytes(const struct residuals *r)
{
	return r->bytes;
}

static int count_of(const struct residuals *r)
{
	return r->skips + r->levels + 1;
}

void residuals_free(struct residuals *r)
{
	for (int i = 0; r && r->device && i < count_of(r); i++)
		device_buffer_free(r->device, r->slots[i].map.t.buffer);
	free(r);
}

void residuals_clear(struct residuals *r)
{
	for (int i = 0; i < count_of(r); i++)
		r->slots[i].used = false;
}

/* NULL where a UNet has no such place. */
static const struct slot *slot_of(const struct residuals *r, enum residual_place place, int index)
{
	int most = place == RESIDUAL_SKIP ? r->skips : place == RESIDUAL_LEVEL ? r->levels : 1;
	int first = place == RESIDUAL_SKIP    ? 0
		    : place == RESIDUAL_LEVEL ? r->skips
					      : r->skips + r->levels;
	return index >= 0 && index < most ? &r->slots[first + index] : NULL;
}

static bool is_like(const struct map *a, int n, const struct map *b)
{
	return a->t.buffer && a->n == n && a->h == b->h && a->w == b->w && a->t.c == b->t.c &&
	       a->t.dtype == b->t.dtype;
}

/* Pictures that nobody has said anything of get nothing. */
static void begin(struct pass *p, struct slot *s, struct map y, float strength, int first, int n)
{
	if (!is_like(&s->map, n, &y)) {
		if (s->map.t.buffer)
			device_buffer_free(p->device, s->map.t.buffer);
		s->map = pass_new(p, n, y.h, y.w, y.t.c);
	}
	s->used = true;
	for (int i = 0; i < n; i++) {
		bool there = i >= first && i < first + y.n;
		pass_scale(p, map_pictures(y, there ? i - first : 0, 1), there ? strength : 0,
			   map_pictures(s->map, i, 1));
	}
}

void residuals_put(struct pass *p, struct residuals *r, enum residual_place place, int index, struct map y,
		   float strength, int first, int n)
{
	if (p->status)
		return;
	struct slot *s = (struct slot *)slot_of(r, place, index);
	if (s && !r->device) {
		struct map whole = pass_new(p, n, y.h, y.w, y.t.c);
		r->bytes += s->used ? 0 : whole.t.rows * (size_t)whole.t.c * dtype_size(whole.t.dtype);
		s->used = true;
		pass_free(p, &whole);
		return;
	}
	if (!s) {
		pass_fail(p, SUMI_INVALID, "a picture's network has more levels than the model");
		return;
	}
	if (!s->used) {
		begin(p, s, y, strength, first, n);
		return;
	}
	if (!is_like(&s->map, n, &y)) {
		pass_fail(p, SUMI_INVALID, "networks for pictures are not for one model: one says "
					   "%d channels where another says %d", y.t.c, s->map.t.c);
		return;
	}
	struct map to = map_pictures(s->map, first, y.n);
	pass_axpby(p, &(struct axpby_args){
			  .a = to.t, .b = y.t, .y = to.t, .alpha = 1, .beta = strength});
}

void residuals_apply(struct pass *p, const struct residuals *r, enum residual_place place, int index,
		     struct map x)
{
	const struct slot *s = r && r->device ? slot_of(r, place, index) : NULL;
	if (!s || !s->used || p->status)
		return;
	if (!is_like(&s->map, x.n, &x)) {
		pass_fail(p, SUMI_INVALID,
			  "a picture's network says [%d, %d, %d, %d] where the model has [%d, %d, %d, %d]: "
			  "it is for another model",
			  s->map.n, s->map.h, s->map.w, s->map.t.c, x.n, x.h, x.w, x.t.c);
		return;
	}
	pass_axpby(p, &(struct axpby_args){
			  .a = x.t, .b = s->map.t, .y = x.t, .alpha = 1, .beta = 1});
}
