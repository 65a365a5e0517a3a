/* What a model will need, told from its weights as they come: before its first step is asked for, and
 * without knowing what it is. Operations are called with shapes that models have and nothing else; they
 * get as far as the program that they want. A model that needs others builds them itself. */
#include "backends/format.h"
#include "backends/opencl/ahead.h"

#define WIDTH 320 /* channels: many enough that no operation takes a way for few */
#define SIDE 32   /* of a picture of latents */

enum kind { TABLE, LINEAR, CONV, KINDS };

static struct tensor rows(const struct cl_device *d, size_t count)
{
	return (struct tensor){
	    .rows = count, .c = WIDTH, .ld = WIDTH, .dtype = d->base.activation_dtype};
}

static const struct grid picture = {1, 1, SIDE, SIDE};

static struct tensor pixels(const struct cl_device *d)
{
	return rows(d, SIDE * SIDE);
}

static void embedding(struct cl_device *d, const struct weight *w)
{
	struct embedding_args a = {.table = w, .position = w, .y = rows(d, 1), .n = 1};
	cl_embedding(&d->base, &a, NULL);
}

static void layer_norm(struct cl_device *d, const struct weight *w)
{
	struct layer_norm_args a = {.x = pixels(d), .y = pixels(d)};
	(void)w;
	cl_layer_norm(&d->base, &a, NULL);
}

static void linear(struct cl_device *d, const struct weight *w)
{
	struct linear_args a = {.x = pixels(d), .y = pixels(d), .n = 1, .weight = w};
	cl_linear(&d->base, &a, NULL);
}

static void attention(struct cl_device *d, const struct weight *w)
{
	struct tensor t = pixels(d);
	struct attention_args a = {.q = t, .k = t, .v = t, .y = t, .n = 1, .heads = 8};
	(void)w;
	cl_attention(&d->base, &a, NULL);
}

static void timestep(struct cl_device *d, const struct weight *w)
{
	struct timestep_args a = {.y = rows(d, 1)};
	(void)w;
	cl_timestep(&d->base, &a, NULL);
}

static void activation(struct cl_device *d, enum activation act)
{
	struct axpby_args a = {.a = rows(d, 1), .y = rows(d, 1), .alpha = 1, .act = act};
	cl_axpby(&d->base, &a, NULL);
}

static void silu(struct cl_device *d, const struct weight *w)
{
	(void)w;
	activation(d, ACT_SILU);
}

static void group_norm(struct cl_device *d, enum group_norm_half half, enum activation act)
{
	struct group_norm_args a = {.x = pixels(d),
				    .y = pixels(d),
				    .grid = picture,
				    .groups = WIDTH / 10,
				    .act = act,
				    .half = half};
	cl_group_norm(&d->base, &a, NULL);
}

static void measure(struct cl_device *d, const struct weight *w)
{
	(void)w;
	group_norm(d, NORM_MEASURE, ACT_SILU);
}

static void norm_silu(struct cl_device *d, const struct weight *w)
{
	(void)w;
	group_norm(d, NORM_APPLY, ACT_SILU);
}

static void norm(struct cl_device *d, const struct weight *w)
{
	(void)w;
	group_norm(d, NORM_APPLY, ACT_NONE);
}

static void convolution(struct cl_device *d, const struct weight *w)
{
	struct conv2d_args a = {.x = pixels(d),
				.y = pixels(d),
				.in = picture,
				.out = picture,
				.weight = w,
				.stride = 1};
	cl_conv2d(&d->base, &a, NULL);
}

/* The ends of decoders: of small ones, and of all. */
static void last(struct cl_device *d, const struct weight *w)
{
	(void)w;
	activation(d, ACT_NONE);
	activation(d, ACT_RELU);
	activation(d, ACT_TANH3);
}

enum { ONCE = 1, LATER = 2, HALF = 4, INSTEAD = 8 };

/* In the order in which a first step needs them. */
static const struct {
	enum kind kind; /* of the weight that tells */
	int how;        /* ONCE: whatever the weight's dtype. LATER: not for the first step. HALF: in half
			   precision too, where that is used. INSTEAD: then exactly for small decoders alone */
	void (*call)(struct cl_device *d, const struct weight *w);
} foreseen[] = {
    {TABLE, 0, embedding},     {TABLE, ONCE, layer_norm}, {LINEAR, HALF, linear},
    {LINEAR, ONCE, attention}, {CONV, ONCE, timestep},    {CONV, ONCE, silu},
    {CONV, ONCE, measure},     {CONV, ONCE, norm_silu},   {CONV, HALF | INSTEAD, convolution},
    {CONV, ONCE, norm},        {CONV, HALF, attention},   {CONV, ONCE | LATER, last},
};

static void foresee(struct cl_device *d, int i, enum dtype dtype, enum precision precision)
{
	/* As wide as most are. */
	struct weight like = {.head = {.dtype = dtype,
				       .cout = WIDTH,
				       .cin = WIDTH,
				       .kernel = foreseen[i].kind == CONV ? 3 : 1,
				       .table = foreseen[i].kind == TABLE},
			      .panels = WIDTH / matrix_panel(d)};
	enum precision own = d->base.precision;
	bool half = precision == PRECISION_HALF;
	bool later = foreseen[i].how & LATER || (foreseen[i].how & INSTEAD && d->foreseen_half && !half);
	d->base.precision = precision;
	d->foreseeing = 1 + 2 * i + half + (later ? AHEAD_LATER : 0);
	foreseen[i].call(d, &like);
	d->foreseeing = 0;
	d->base.precision = own;
}

void cl_foresee(struct cl_device *d, const struct weight *w)
{
	enum kind kind = w->head.table ? TABLE : w->head.kernel == 3 ? CONV : LINEAR;
	unsigned *seen = &d->foreseen[kind], bit = 1u << w->head.dtype;
	if (!cl_ahead_helps() || !d->quirks.cpu_kernels || d->quirks.oclgrind || *seen & bit)
		return;
	for (int i = 0; i < CL_COUNT(foreseen); i++) {
		if (foreseen[i].kind != kind || (foreseen[i].how & ONCE && *seen))
			continue;
		foresee(d, i, w->head.dtype, PRECISION_EXACT);
		if (foreseen[i].how & HALF && d->foreseen_half)
			foresee(d, i, w->head.dtype, PRECISION_HALF);
	}
	*seen |= bit;
}

void cl_foresee_half(struct device *base)
{
	struct cl_device *d = cl_device_of(base);
	if (d->foreseen_half)
		return;
	d->foreseen_half = true;
	for (int i = 0; cl_ahead_helps() && i < CL_COUNT(foreseen); i++)
		for (int dtype = 0; dtype < DTYPES && foreseen[i].how & HALF; dtype++)
			if (d->foreseen[foreseen[i].kind] >> dtype & 1)
				foresee(d, i, (enum dtype)dtype, PRECISION_HALF);
}
