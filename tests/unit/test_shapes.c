/* What operations say to tensors, grids and weights that do not go together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/backend.h"

static struct tensor tensor_of(struct buffer *b, size_t rows, int c)
{
	return (struct tensor){.buffer = b, .rows = rows, .c = c, .ld = c};
}

/* What the wrong calls of refuses_wrong_shapes() are made from. */
struct shapes {
	struct device *d;
	struct buffer *x, *y, *v; /* 4096, 4096 and 64 bytes */
	struct weight *w, *conv, *geglu, *table;
	struct error err;
};

static void expect(struct shapes *s, int status, const char *part)
{
	if (status != SUMI_INVALID && status != SUMI_UNSUPPORTED)
		fail_msg("status %d where '%s' was to be said", status, part);
	if (!strstr(s->err.text, part))
		fail_msg("'%s' does not say '%s'", s->err.text, part);
}

static void wrong_matrix_calls(struct shapes *s)
{
	struct linear_args good = {.x = tensor_of(s->x, 4, 8),
				   .y = tensor_of(s->y, 4, 16),
				   .n = 2,
				   .weight = s->w,
				   .bias = s->v};
	struct linear_args a = good;
	assert_int_equal(device_linear(s->d, &a, &s->err), SUMI_OK);
#define LINEAR(change, text) (a = good, change, expect(s, device_linear(s->d, &a, &s->err), text))
	LINEAR(a.x.buffer = NULL, "x has no buffer");
	LINEAR(a.x.rows = 0, "x has the shape [0, 8]");
	LINEAR(a.x.ld = 7, "ld 7");
	LINEAR(a.x.dtype = DTYPE_F16, "another dtype");
	LINEAR((a.x.dtype = a.y.dtype = DTYPE_BF16), "F32 or F16");
	LINEAR(a.x.offset = 1000, "leaves its buffer of 4096 bytes");
	LINEAR(a.x.offset = SIZE_MAX / 2, "leaves its buffer");
	LINEAR(a.x.rows = SIZE_MAX / 2, "leaves its buffer");
	LINEAR(a.x.rows = 3, "x has 3 rows, y has 4");
	LINEAR(a.n = 0, "not of n = 0");
	LINEAR(a.n = 3, "y has 4 rows, which are not of n = 3");
	LINEAR(a.x.c = 7, "weight is [16, 8], the tensors need [16, 7]");
	LINEAR(a.weight = s->table, "is a table");
	LINEAR(a.weight = NULL, "no weight");
	LINEAR(a.weight = s->conv, "convolution");
	LINEAR((a.weight = s->geglu, a.y.c = 8, a.act = ACT_NONE), "weight is [16, 8]");
	LINEAR(a.act = ACT_GEGLU, "need [32, 8]");
	LINEAR(a.act = (enum activation)99, "activation 99");
	LINEAR((a.y.buffer = s->x), "y overlaps x");
	LINEAR((a.residual = good.y, a.residual.c = 15), "residual has 15 channels");
	LINEAR((a.residual = good.y, a.residual.rows = 3), "residual has 3 rows");
	LINEAR((a.residual = good.y, a.residual.offset = 1), "y overlaps residual");
#undef LINEAR
	struct conv2d_args fine = {.x = tensor_of(s->x, 16, 8),
				   .y = tensor_of(s->y, 16, 16),
				   .in = {1, 1, 4, 4},
				   .out = {1, 1, 4, 4},
				   .weight = s->conv,
				   .stride = 1};
	struct conv2d_args c = fine;
	assert_int_equal(device_conv2d(s->d, &c, &s->err), SUMI_OK);
#define CONV(change, text) (c = fine, change, expect(s, device_conv2d(s->d, &c, &s->err), text))
	CONV(c.stride = 0, "stride 0");
	CONV(c.stride = 2, "must be [1, 1, 2, 2]");
	CONV(c.upsample = true, "must be [1, 1, 8, 8]");
	CONV(c.pad_end = true, "pad_end stride 2");
	CONV(c.act = ACT_GEGLU, "activation 6");
	CONV((c.add = fine.y), "add is [16, 16], must be [1, 16]");
	CONV((c.residual = fine.x), "residual is [16, 8], must be [16, 16]");
	CONV((c.stride = 2, c.pad_end = true, c.x.rows = 4, c.in.h = 1, c.y.rows = 2,
	      c.out.h = 1, c.out.w = 2),
	     "must be [1, 1, 0, 2]");
	CONV(c.in.w = 5, "x has 16 rows, its grid is [1, 1, 4, 5]");
	CONV(c.out.n = 0, "y has 16 rows, its grid is [0, 1, 4, 4]");
	CONV((c.in.h = c.in.w = c.in.n = 1 << 30), "x has 16 rows, its grid is");
	CONV((c.in.d = 4, c.in.h = 1), "must be [1, 4, 1, 4]");
	CONV((c.in.d = c.out.d = 2, c.in.h = c.out.h = 2), "x has 2 planes, can have 1");
#undef CONV
	struct attention_args t = {.q = tensor_of(s->x, 4, 8),
				   .k = tensor_of(s->x, 5, 8),
				   .v = tensor_of(s->x, 6, 8),
				   .y = tensor_of(s->y, 4, 8),
				   .n = 1,
				   .heads = 2,
				   .scale = 1};
	expect(s, device_attention(s->d, &t, &s->err), "does not go with the rest");
	t.v.rows = 5;
	t.n = 2;
	expect(s, device_attention(s->d, &t, &s->err), "k has 5 rows, which are not of n = 2");
	t.n = 1;
	t.heads = 3;
	expect(s, device_attention(s->d, &t, &s->err), "8 channels in 3 heads");
}

static void wrong_plain_calls(struct shapes *s)
{
	struct tensor x = tensor_of(s->x, 4, 16), y = tensor_of(s->y, 4, 16);
	struct group_norm_args g = {.x = x, .y = y, .gamma = s->v, .beta = s->v, .groups = 5};
	g.grid = (struct grid){1, 1, 2, 3};
	expect(s, device_group_norm(s->d, &g, &s->err), "x has 4 rows, its grid is [1, 1, 2, 3]");
	g.grid.w = 2;
	expect(s, device_group_norm(s->d, &g, &s->err), "16 channels in 5 groups");
	g.groups = 0;
	expect(s, device_group_norm(s->d, &g, &s->err), "16 channels in 0 groups");
	g.groups = 4;
	g.epsilon = -1;
	expect(s, device_group_norm(s->d, &g, &s->err), "epsilon -1");
	g.gamma = NULL;
	expect(s, device_group_norm(s->d, &g, &s->err), "no gamma");
	g.half = NORM_APPLY; /* needs neither gamma nor beta */
	expect(s, device_group_norm(s->d, &g, &s->err), "no factors");
	g.factors = s->v;
	expect(s, device_group_norm(s->d, &g, &s->err),
	       "factors holds 64 bytes, 32 channels need 128");
	struct layer_norm_args l = {.x = tensor_of(s->x, 2, 17),
				    .y = tensor_of(s->y, 2, 17),
				    .gamma = s->v,
				    .beta = s->v};
	expect(s, device_layer_norm(s->d, &l, &s->err),
	       "gamma holds 64 bytes, 17 channels need 68");
	struct axpby_args b = {.a = x, .b = x, .y = y};
	b.b.c = 15;
	expect(s, device_axpby(s->d, &b, &s->err), "b is [4, 15], must be [4, 16]");

	const int32_t ids[] = {0, 9, 10, -1};
	struct embedding_args e = {.table = s->table, .ids = ids, .y = tensor_of(s->y, 3, 8)};
	e.n = 1;
	expect(s, device_embedding(s->d, &e, &s->err), "id 10 of token 2");
	e.ids = ids + 3;
	expect(s, device_embedding(s->d, &e, &s->err), "id -1 of token 0");
	e.table = s->w;
	expect(s, device_embedding(s->d, &e, &s->err), "not made as a table");
	e.ids = NULL;
	expect(s, device_embedding(s->d, &e, &s->err), "no id");
	const float steps[] = {1, 0.0f / 0.0f};
	struct timestep_args t = {.timesteps = steps, .y = tensor_of(s->y, 2, 8)};
	expect(s, device_timestep(s->d, &t, &s->err), "timestep 1 is not finite");
	t.y.c = t.y.ld = 7;
	expect(s, device_timestep(s->d, &t, &s->err), "even c");
	struct permute_args p = {.x = x, .y = y, .grid = {1, 3, 1, 1}};
	expect(s, device_permute(s->d, &p, &s->err), "its grid is [1, 3, 1, 1]");
	p.grid.d = 0;
	expect(s, device_permute(s->d, &p, &s->err), "its grid is [1, 0, 1, 1]");

	struct weight *w;
	const float data[16] = {0};
	const struct {
		struct weight_desc desc;
		const char *text;
	} weights[] = {
	    {{.cout = 1, .cin = 1, .kernel = 1}, "no data"},
	    {{.data = data, .cout = 0, .cin = 1, .kernel = 1}, "[0, 1]"},
	    {{.data = data, .cout = 1, .cin = 1, .kernel = 5}, "kernel size 5"},
	    {{.data = data, .cout = 3, .cin = 1, .kernel = 1, .geglu = true}, "not 3"},
	    {{.data = data, .cout = 1, .cin = 1, .kernel = 3, .table = true}, "table cannot"},
	    {{.data = data, .cout = 1, .cin = 1, .kernel = 1, .dtype = (enum dtype)99}, "dtype 99"},
	};
	for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
		expect(s, device_weight_new(s->d, &weights[i].desc, &w, &s->err), weights[i].text);
}

static void refuses_wrong_shapes(void **state)
{
	(void)state;
	struct shapes s = {0};
	static const float zeros[16 * 8 * 9];
	const struct {
		struct weight **out;
		struct weight_desc desc;
	} weights[] = {
	    {&s.w, {.cout = 16, .cin = 8, .kernel = 1}},
	    {&s.conv, {.cout = 16, .cin = 8, .kernel = 3}},
	    {&s.geglu, {.cout = 16, .cin = 8, .kernel = 1, .geglu = true}},
	    {&s.table, {.cout = 10, .cin = 8, .kernel = 1, .table = true}},
	};
	assert_int_equal(device_open("reference", &s.d, &s.err), SUMI_OK);
	for (int i = 0; i < 4; i++) {
		struct weight_desc desc = weights[i].desc;
		desc.data = zeros;
		assert_int_equal(device_weight_new(s.d, &desc, weights[i].out, &s.err), SUMI_OK);
	}
	static const char blank[4096];
	assert_int_equal(device_buffer_new(s.d, 4096, &s.x, &s.err), SUMI_OK);
	assert_int_equal(device_buffer_new(s.d, 4096, &s.y, &s.err), SUMI_OK);
	assert_int_equal(device_buffer_new(s.d, 64, &s.v, &s.err), SUMI_OK);
	device_write(s.d, s.x, 0, blank, 4096, &s.err);
	device_write(s.d, s.v, 0, blank, 64, &s.err);
	wrong_matrix_calls(&s);
	wrong_plain_calls(&s);
	for (int i = 0; i < 4; i++)
		device_weight_free(s.d, *weights[i].out);
	device_buffer_free(s.d, s.x);
	device_buffer_free(s.d, s.y);
	device_buffer_free(s.d, s.v);
	assert_int_equal(s.d->bytes_in_use, 0);
	assert_true(s.d->bytes_peak > 0);
	device_close(s.d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(refuses_wrong_shapes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
