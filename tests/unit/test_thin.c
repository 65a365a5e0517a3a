/* Pairs that stay beside the weights: on every layer they give what folding gives, they come and go
 * without the weights, and take what they weigh. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "diffusion/adapters.h"
#include "diffusion/run.h"
#include "networks/pass.h"
#include "networks/text_encoder.h"
#include "networks/unet.h"
#include "networks/unet_internal.h"
#include "weights/overlay.h"

#define PACK "tests/vectors/sd1-tiny"

enum { SIDE = 8, TOKENS = 5, LATENTS = SIDE * SIDE * 4, WIDTH = 32 };

static struct error err;
static char folder[] = "/tmp/sumi-thin-XXXXXX", small[64], large[64], core[64];

/* ---- files ---- */

static float noise(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return (float)(*state >> 8) / (float)(1 << 24) - 0.5f;
}

struct file {
	char head[1 << 19];
	size_t used;
	float *data;
	size_t count;
};

static void put(struct file *f, const char *name, const char *what, const int64_t *shape, int rank,
		float scale, uint32_t *seed)
{
	size_t n = 1, begin = f->count * sizeof(float);
	char text[120] = "";
	for (int i = 0; i < rank; i++) {
		n *= (size_t)shape[i];
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s%lld", i ? "," : "",
			 (long long)shape[i]);
	}
	f->data = realloc(f->data, (f->count + n) * sizeof *f->data);
	assert_non_null(f->data);
	for (size_t i = 0; i < n; i++)
		f->data[f->count++] = scale * noise(seed);
	f->used += (size_t)snprintf(f->head + f->used, sizeof f->head - f->used,
				    "%s\"%s.%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":"
				    "[%zu,%zu]}",
				    f->used > 1 ? "," : "", name, what, text, begin,
				    f->count * sizeof(float));
	assert_true(f->used < sizeof f->head);
}

/* A pair of that rank on every matrix of a part but its tables; cored: with a core where it is 3×3. */
static void put_part(struct file *f, const char *part, const char *front, int rank, bool cored,
		     uint32_t *seed)
{
	struct weights *w;
	char name[300], path[FILES_PATH_MAX];
	snprintf(path, sizeof path, PACK "/%s", part);
	assert_int_equal(weights_open(path, &w, &err), SUMI_OK);
	for (size_t i = 0; i < weights_tensors(w); i++) {
		const struct weight_tensor *t = weights_at(w, i);
		if (t->rank < 2 || strstr(t->name, "_embedding.weight") || strstr(t->name, "position_ids"))
			continue;
		int used = snprintf(name, sizeof name, "%s%s", front, t->name);
		name[used - (int)strlen(".weight")] = '\0';
		for (char *p = name; (p = strchr(p, '.'));)
			*p = '_';
		int64_t down[4] = {rank, t->shape[1], 1, 1}, up[4] = {t->shape[0], rank, 1, 1};
		bool square = t->rank == 4 && t->shape[2] == 3;
		if (square && !cored)
			down[2] = down[3] = 3;
		float fan = 2 / sqrtf((float)(down[1] * down[2] * down[3]));
		put(f, name, "lora_down.weight", down, t->rank, fan, seed);
		put(f, name, "lora_up.weight", up, t->rank, 0.3f, seed);
		if (square && cored)
			put(f, name, "lora_mid.weight", (int64_t[]){rank, rank, 3, 3}, 4, 0.3f, seed);
	}
	weights_close(w);
}

static void write_adapter(char *path, const char *name, int rank, bool cored, uint32_t seed)
{
	struct file *f = calloc(1, sizeof *f);
	snprintf(path, sizeof small, "%s/%s.safetensors", folder, name);
	f->used = (size_t)snprintf(f->head, sizeof f->head, "{");
	put_part(f, "unet", "lora_unet_", rank, cored, &seed);
	put_part(f, "text_encoder", "lora_te_", rank, cored, &seed);
	uint64_t size = f->used + 1;
	f->head[f->used] = '}';
	FILE *out = fopen(path, "wb");
	assert_non_null(out);
	assert_int_equal(fwrite(&size, 8, 1, out), 1);
	assert_int_equal(fwrite(f->head, size, 1, out), 1);
	assert_int_equal(fwrite(f->data, sizeof *f->data, f->count, out), f->count);
	fclose(out);
	free(f->data);
	free(f);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	write_adapter(small, "small", 1, false, 1);
	write_adapter(large, "large", 3, false, 2);
	write_adapter(core, "core", 1, true, 3);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(small);
	unlink(large);
	unlink(core);
	return rmdir(folder);
}

/* ---- every layer ---- */

static void unet_gives(struct unet *u, float *out)
{
	static const float times[] = {17, 501};
	float latents[2 * LATENTS], context[2 * TOKENS * WIDTH];
	uint32_t seed = 7;
	struct unet_text *text;
	for (int i = 0; i < 2 * LATENTS; i++)
		latents[i] = 4 * noise(&seed);
	for (int i = 0; i < 2 * TOKENS * WIDTH; i++)
		context[i] = 4 * noise(&seed);
	assert_int_equal(unet_text_new(u, context, 2, TOKENS, &text, &err), SUMI_OK);
	struct unet_input in = {
	    .latents = latents, .n = 2, .h = SIDE, .w = SIDE, .timesteps = times, .text = text};
	if (unet_forward(u, &in, out, &err))
		fail_msg("%s", err.text);
	unet_text_free(text);
}

static void text_gives(struct text_encoder *te, float *out)
{
	static const int32_t ids[TOKENS] = {1, 5, 9, 13, 2};
	struct text_input in = {.ids = ids, .n = 1, .tokens = TOKENS};
	if (text_encoder_forward(te, &in, out, &err))
		fail_msg("%s", err.text);
}

static void assert_close(const float *a, const float *b, size_t count, double within, const char *what)
{
	double worst = 0, most = 0;
	for (size_t i = 0; i < count; i++) {
		worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
		most = fmax(most, fabs((double)b[i]));
	}
	if (!(worst <= within * most))
		fail_msg("%s: off by %.2e of %.2e", what, worst, most);
}

static double difference(const float *a, const float *b, size_t count)
{
	double most = 0;
	for (size_t i = 0; i < count; i++)
		most = fmax(most, fabs((double)a[i] - (double)b[i]));
	return most;
}

/* Three files at once, of one fewer ranks, against the same folded. */
static void check_device(const char *selector)
{
	struct device *d;
	struct adapter *files[2];
	struct unet *u[3];
	struct text_encoder *te[2];
	float got[3][2 * LATENTS], said[2][TOKENS * WIDTH];
	struct overlays on[2] = {{.count = 3, .parts = ADAPTER_DENOISER}};
	if (device_open(selector, &d, &err)) {
		print_message("there is no device %s\n", selector);
		return;
	}
	assert_int_equal(adapter_open(small, &files[0], &err), SUMI_OK);
	assert_int_equal(adapter_open(large, &files[1], &err), SUMI_OK);
	for (int i = 0; i < 3; i++)
		on[0].rows[i].adapter = files[i > 0];
	on[0].rows[0].weight = (struct adapter_weight){0.8, -0.5, 0};
	on[0].rows[1].weight = (struct adapter_weight){-0.4, 0.7, 0};
	on[0].rows[2].weight = (struct adapter_weight){0.9, 0.3, 2};
	on[1] = on[0];
	on[1].thin = true;
	for (int i = 0; i < 3; i++)
		if (unet_open_with(d, PACK "/unet", i < 2 ? &on[i] : NULL, &u[i], &err))
			fail_msg("%s", err.text);
	for (int i = 0; i < 3; i++)
		unet_gives(u[i], got[i]);
	double within = d->activation_dtype == DTYPE_F16 ? 2e-2 : 1e-4;
	assert_close(got[1], got[0], 2 * LATENTS, within, selector);
	assert_true(difference(got[0], got[2], 2 * LATENTS) > 0.05); /* they do something */
	assert_int_equal(unet_adapt(u[1], PACK "/unet", &(struct overlays){0}, &err), SUMI_OK);
	unet_gives(u[1], got[1]);
	assert_memory_equal(got[1], got[2], sizeof got[1]);
	on[0].parts = on[1].parts = ADAPTER_TEXT;
	for (int i = 0; i < 2; i++) {
		if (text_encoder_open_with(d, PACK "/text_encoder", false, &on[i], &te[i], &err))
			fail_msg("%s", err.text);
		text_gives(te[i], said[i]);
	}
	assert_close(said[1], said[0], TOKENS * WIDTH, within, "texts");
	for (int i = 0; i < 3; i++)
		unet_close(u[i]);
	for (int i = 0; i < 2; i++) {
		text_encoder_close(te[i]);
		adapter_close(files[i]);
	}
	device_close(d);
}

static void test_every_layer(void **state)
{
	(void)state;
	check_device("reference");
	check_device("opencl:0");
}

/* ---- in the place of others ---- */

static void list_of(struct adapter_list *list, const char *path, double strength)
{
	*list = (struct adapter_list){.count = 1};
	strcpy(list->rows[0].name, "x");
	strcpy(list->rows[0].path, path);
	list->rows[0].weight = (struct adapter_weight){strength, strength, 0};
}

static void run_gives(struct pack *pack, float *out)
{
	struct run_params p = {.prompt = "a boat", .seed = 7, .steps = 2, .cfg_scale = 4, .sampler = "euler",
			       .schedule = "default", .rng = "torch", .width = 64, .height = 64, .frames = 1,
			       .guidance_end = 1};
	struct run *run;
	size_t count;
	if (run_begin(pack, &p, &run, &err))
		fail_msg("%s", err.text);
	while (run_steps_done(run) < run_steps(run))
		assert_int_equal(run_step(run, &err), SUMI_OK);
	memcpy(out, run_latents(run, false, &count), LATENTS * sizeof *out);
	run_free(run);
}

static void change(struct pack *pack, const struct adapter_list *list, bool can)
{
	bool done;
	if (pack_adapt(pack, list, &done, &err))
		fail_msg("%s", err.text);
	assert_int_equal(done, can);
}

static void test_they_come_and_go(void **state)
{
	(void)state;
	static struct adapter_list a, b, cored;
	static float want[3][LATENTS], got[LATENTS];
	struct device *d;
	struct pack *pack, *fresh;
	bool done;
	list_of(&a, small, 0.7);
	list_of(&b, small, 0.9);
	list_of(&cored, core, 1);
	assert_int_equal(device_open("reference", &d, &err), SUMI_OK);
	const struct adapter_list *lists[] = {NULL, &a, &b};
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pack_open_with(d, PACK, lists[i], NULL, &fresh, &err), SUMI_OK);
		run_gives(fresh, want[i]);
		pack_close(fresh);
	}
	assert_true(difference(want[1], want[2], LATENTS) > 1e-4);
	assert_int_equal(pack_open(d, PACK, &pack, &err), SUMI_OK);
	size_t before = d->bytes_in_use;
	static const int order[] = {1, 2, 1, 0, 2, 0};
	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
		change(pack, lists[order[i]], true);
		run_gives(pack, got);
		assert_memory_equal(got, want[order[i]], sizeof got); /* nothing of before is left */
		if (!order[i])
			assert_int_equal(d->bytes_in_use, before);
	}
	change(pack, &cored, false); /* it must be folded: nothing has changed */
	list_of(&b, "/nowhere.safetensors", 1);
	change(pack, &a, true);
	assert_int_equal(pack_adapt(pack, &b, &done, &err), SUMI_NOTFOUND);
	run_gives(pack, got);
	assert_memory_equal(got, want[0], sizeof got);
	assert_int_equal(d->bytes_in_use, before);
	pack_close(pack);
	device_close(d);
}

/* The same at other weights: what is on the device stays, but for the factors of its rows. */
static void test_other_weights(void **state)
{
	static struct adapter_list a[3];
	static float want[2 * LATENTS], got[2 * LATENTS];
	static const double strengths[] = {0.7, -1.3, 0};
	struct device *d;
	struct pack *pack, *fresh;
	struct unet *u;
	struct adapter *file;
	struct overlays on = {.count = 1, .parts = ADAPTER_DENOISER, .thin = true};
	(void)state;
	if (device_open("opencl:0", &d, &err))
		skip();
	for (int i = 0; i < 3; i++)
		list_of(&a[i], small, strengths[i]);
	assert_int_equal(pack_open_with(d, PACK, &a[0], NULL, &pack, &err), SUMI_OK);
	static const int order[] = {1, 0, 2, 1};
	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
		change(pack, &a[order[i]], true);
		run_gives(pack, got);
		assert_int_equal(pack_open_with(d, PACK, &a[order[i]], NULL, &fresh, &err), SUMI_OK);
		run_gives(fresh, want);
		assert_memory_equal(got, want, LATENTS * sizeof *got);
		pack_close(fresh);
	}
	pack_close(pack);
	assert_int_equal(adapter_open(small, &file, &err), SUMI_OK);
	on.rows[0].adapter = file;
	on.rows[0].weight = (struct adapter_weight){0.8, 0.8, 0};
	assert_int_equal(unet_open_with(d, PACK "/unet", &on, &u, &err), SUMI_OK);
	for (int same = 1; same >= 0; same--) {
		struct weight *before = u->set.thin.at[0]->down;
		assert_non_null(before);
		on.rows[0].weight.denoiser -= 0.3;
		on.same = same;
		unet_gives(u, got);
		assert_int_equal(unet_adapt(u, PACK "/unet", &on, &err), SUMI_OK);
		unet_gives(u, want);
		assert_true(difference(got, want, LATENTS) > 1e-4);
		if (same)
			assert_ptr_equal(u->set.thin.at[0]->down, before);
	}
	unet_close(u);
	adapter_close(file);
	device_close(d);
}

/* What is folded stays so, and others do not come onto it. */
static void test_folded_ones_stay(void **state)
{
	(void)state;
	static struct adapter_list a, cored;
	struct device *d;
	struct pack *pack;
	list_of(&a, small, 1);
	list_of(&cored, core, 1);
	assert_int_equal(device_open("reference", &d, &err), SUMI_OK);
	assert_int_equal(pack_open_with(d, PACK, &cored, NULL, &pack, &err), SUMI_OK);
	assert_true(adapters_folded(pack_info_of(pack)->adapters));
	assert_int_equal(adapters_thin(pack_info_of(pack)->adapters), 0);
	change(pack, &a, false);
	change(pack, NULL, false);
	pack_close(pack);
	assert_int_equal(pack_open_with(d, PACK, &a, NULL, &pack, &err), SUMI_OK);
	assert_false(adapters_folded(pack_info_of(pack)->adapters));
	assert_int_equal(adapters_thin(pack_info_of(pack)->adapters), 1);
	pack_close(pack);
	device_close(d);
}

static struct weight *weight_of(struct device *d, int cout, int cin, bool geglu, bool few, uint32_t seed)
{
	struct weight *w;
	float *values = malloc((size_t)cout * (size_t)cin * sizeof *values);
	for (int i = 0; i < cout * cin; i++)
		values[i] = noise(&seed);
	struct weight_desc desc = {
	    .data = values, .dtype = DTYPE_F32, .cout = cout, .cin = cin, .kernel = 1, .geglu = geglu, .few = few};
	assert_int_equal(device_weight_new(d, &desc, &w, &err), SUMI_OK);
	free(values);
	return w;
}

/* The layer's result with what lies beside it, on a device; the caller frees it. */
static float *beside(struct device *d, int rows, int cin, int cout, const int ranks[3], bool geglu)
{
	struct linear_layer layer = {.weight = weight_of(d, cout, cin, geglu, false, 7), .cin = cin, .cout = cout};
	struct thin *t = calloc(1, sizeof *t + 3 * sizeof t->parts[0]);
	int wide = geglu ? cout / 2 : cout;
	float *x = malloc((size_t)(rows * cin) * sizeof *x), *y = malloc((size_t)(rows * wide) * sizeof *y);
	uint32_t seed = 5;
	t->count = ranks[1] < 0 ? 1 : 3;
	for (int i = 0; i < t->count; i++) {
		struct thin_part *part = &t->parts[i];
		part->cout = cout / t->count;
		part->first = i * part->cout;
		part->first_rank = t->ranks;
		part->ranks = ranks[i];
		t->ranks += ranks[i];
		part->up = ranks[i] ? weight_of(d, part->cout, ranks[i], false, false, 9 + (uint32_t)i) : NULL;
	}
	t->down = weight_of(d, t->ranks, cin, false, true, 8);
	layer.thin = t;
	for (int i = 0; i < rows * cin; i++)
		x[i] = noise(&seed);
	struct pass p = pass_begin(d, NULL, &err);
	p.dtype = DTYPE_F32;
	struct map in = pass_upload(&p, x, 1, 1, rows, cin), out = pass_new(&p, 1, 1, rows, wide);
	pass_linear(&p, &layer, in, out, (struct linear_args){.act = geglu ? ACT_GEGLU : ACT_NONE});
	pass_download(&p, &out, y);
	pass_free(&p, &out);
	pass_free(&p, &in);
	assert_int_equal(p.status, SUMI_OK);
	for (int i = 0; i < t->count; i++)
		device_weight_free(d, t->parts[i].up);
	device_weight_free(d, t->down);
	device_weight_free(d, layer.weight);
	free(x);
	free(t);
	return y;
}

/* In one product with the layer, where a device can, and apart on the reference: the same. */
static void test_they_join_the_product(void **state)
{
	static const struct {
		int rows, cin, cout, ranks[3];
		bool geglu;
	} cases[] = {{37, 48, 96, {8, -1, -1}, false},	{37, 48, 80, {16, -1, -1}, false},
		     {300, 64, 192, {8, 0, 24}, false}, {300, 64, 192, {8, 8, 8}, false},
		     {37, 48, 48, {8, 8, 8}, false},	{150, 64, 128, {8, -1, -1}, true},
		     {20, 200, 64, {176, -1, -1}, false}, {16, 256, 768, {8, 4, 1}, false},
		     {12, 128, 256, {33, -1, -1}, false}, {10, 128, 256, {8, -1, -1}, true},
		     {300, 70, 96, {150, 0, 1}, false},	 {300, 64, 64, {300, -1, -1}, false}};
	struct device *d, *plain;
	(void)state;
	if (device_open("opencl:0", &d, &err))
		skip();
	assert_int_equal(device_open("reference", &plain, &err), SUMI_OK);
	for (int half = 0; half < 2; half++)
		for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
			int wide = cases[i].geglu ? cases[i].cout / 2 : cases[i].cout;
			if (half && device_set_precision(d, PRECISION_HALF, &err))
				continue;
			float *got = beside(d, cases[i].rows, cases[i].cin, cases[i].cout, cases[i].ranks,
					    cases[i].geglu);
			float *want = beside(plain, cases[i].rows, cases[i].cin, cases[i].cout, cases[i].ranks,
					     cases[i].geglu);
			double most = 0, largest = 0;
			for (int k = 0; k < cases[i].rows * wide; k++) {
				most = fmax(most, fabs((double)got[k] - (double)want[k]));
				largest = fmax(largest, fabs((double)want[k]));
			}
			if (!(most < (half ? 2e-2 : 1e-5) * largest))
				fail_msg("case %zu, half %d: %g off of %g", i, half, most, largest);
			free(got);
			free(want);
		}
	device_close(plain);
	device_close(d);
}

/* What few channels take is theirs alone: no panel is filled up. */
static void test_they_take_what_they_weigh(void **state)
{
	static const int ranks[] = {1, 4, 8, 24, 40};
	struct device *d;
	(void)state;
	if (device_open("opencl:0", &d, &err))
		skip();
	for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
		size_t before = d->bytes_in_use;
		struct weight *down = weight_of(d, ranks[i], 1000, false, true, 1);
		size_t took = d->bytes_in_use - before, own = (size_t)ranks[i] * 1000 * sizeof(float);
		if (d->info.is_cpu && took > own + 1024)
			fail_msg("%d ranks of 1000 channels take %zu bytes, their numbers %zu", ranks[i], took, own);
		device_weight_free(d, down);
	}
	device_close(d);
}

/* A plan without a device counts what they take in a pass. */
static void test_they_are_planned(void **state)
{
	(void)state;
	struct unet_config config;
	assert_int_equal(unet_config_read(PACK "/unet", &config, &err), SUMI_OK);
	struct unet_plan plan = {.config = &config, .texts = 2, .tokens = 77, .n = 2, .h = 32, .w = 32};
	uint64_t bare = unet_memory(&plan, NULL);
	plan.thin = 4;
	uint64_t four = unet_memory(&plan, NULL);
	plan.thin = 32;
	assert_true(bare > 0 && four > bare && unet_memory(&plan, NULL) > four);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_layer),
	    cmocka_unit_test(test_they_come_and_go),
	    cmocka_unit_test(test_other_weights),
	    cmocka_unit_test(test_folded_ones_stay),
	    cmocka_unit_test(test_they_are_planned),
	    cmocka_unit_test(test_they_take_what_they_weigh),
	    cmocka_unit_test(test_they_join_the_product),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
