/* What a worker keeps between jobs: packs within a budget, the least recently used one leaving
 * first, and the embeddings of its last texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "daemon/models.h"
#include "diffusion/run.h"
#include "diffusion/text_memory.h"
#include "check.h"

static const char *const folders[] = {"tests/vectors/sd1-tiny", "tests/vectors/sd2-tiny",
				      "tests/vectors/snr-tiny"};
enum { PACKS = 3, STAMP = 7 };

static struct device *device;
static size_t sizes[PACKS]; /* on the device */

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(device_open("reference", &device, NULL), 0);
	for (int i = 0; i < PACKS; i++) {
		struct pack *pack;
		assert_int_equal(pack_open(device, folders[i], &pack, NULL), 0);
		sizes[i] = device->bytes_in_use;
		pack_close(pack);
	}
	assert_int_equal(device->bytes_in_use, 0);
	device->bytes_peak = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	device_close(device);
	return 0;
}

static struct pack *get(struct models *m, int i)
{
	struct pack *pack;
	struct error err = {0};
	if (models_get(m, folders[i], NULL, STAMP, &pack, &err))
		fail_msg("%s", err.text);
	assert_string_equal(pack_info_of(pack)->path, folders[i]);
	return pack;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* The one that leaves does so before the other one comes. */
static void test_two_that_do_not_fit_together(void **state)
{
	struct models *m;
	(void)state;
	/* The files tell roughly how large the one that comes will be. */
	size_t budget = larger(sizes[0], sizes[1]) + 1;
	assert_int_equal(models_new(device, NULL, budget, &m, NULL), 0);
	for (int turn = 0; turn < 3; turn++)
		for (int i = 0; i < 2; i++) {
			get(m, i);
			assert_int_equal(device->bytes_in_use, sizes[i]);
		}
	assert_within(device->bytes_peak, budget - 1, budget);
	models_free(m);
	assert_int_equal(device->bytes_in_use, 0);
}

static void test_longest_unused_leaves(void **state)
{
	struct models *m;
	(void)state;
	size_t all = sizes[0] + sizes[1] + sizes[2];
	assert_int_equal(models_new(device, NULL, all - 1, &m, NULL), 0);
	struct pack *first = get(m, 0);
	get(m, 1);
	assert_ptr_equal(get(m, 0), first);
	assert_int_equal(device->bytes_in_use, sizes[0] + sizes[1]);
	get(m, 2);
	assert_int_equal(device->bytes_in_use, sizes[0] + sizes[2]);
	assert_ptr_equal(get(m, 0), first);
	models_free(m);
}

static void test_larger_than_the_budget(void **state)
{
	struct models *m;
	(void)state;
	assert_int_equal(models_new(device, NULL, 1, &m, NULL), 0);
	struct pack *pack = get(m, 0);
	assert_ptr_equal(get(m, 0), pack);
	get(m, 1);
	assert_int_equal(device->bytes_in_use, sizes[1]);
	models_free(m);
}

static void test_no_budget(void **state)
{
	struct models *m;
	(void)state;
	assert_int_equal(models_new(device, NULL, 0, &m, NULL), 0);
	for (int i = 0; i < PACKS; i++)
		get(m, i);
	assert_int_equal(device->bytes_in_use, sizes[0] + sizes[1] + sizes[2]);
	models_free(m);
}

static void test_idle(void **state)
{
	enum { IDLE_MS = 60000 };
	struct models *m;
	(void)state;
	assert_int_equal(models_new(device, NULL, 0, &m, NULL), 0);
	int64_t before = clock_mono_us() / 1000;
	get(m, 0);
	int64_t after = clock_mono_us() / 1000;
	models_unload_idle(m, before + IDLE_MS - 1, IDLE_MS);
	assert_int_equal(device->bytes_in_use, sizes[0]);
	models_unload_idle(m, after + IDLE_MS, IDLE_MS);
	assert_int_equal(device->bytes_in_use, 0);
	get(m, 0);
	assert_int_equal(device->bytes_in_use, sizes[0]);
	models_free(m);
}

static void test_default_budget(void **state)
{
	(void)state;
	struct device_info gpu = {.memory = 8000}, cpu = {.memory = 8000, .is_cpu = true};
	assert_int_equal(models_budget(&gpu), 6000);
	assert_int_equal(models_budget(&cpu), 4000);
}

static void test_size_before_loading(void **state)
{
	(void)state;
	for (int i = 0; i < PACKS; i++)
		assert_within(pack_weight_bytes(folders[i]), sizes[i] / 2, sizes[i] * 2);
	assert_int_equal(pack_weight_bytes("tests/vectors/there-is-none"), 0);
}

/* Who only wants to know which packs there are does not look into their weights. */
static void test_listing_without_digests(void **state)
{
	struct catalogue listed, read;
	struct pack_info info;
	(void)state;
	assert_int_equal(catalogue_list("tests/vectors", NULL, &listed, NULL), 0);
	assert_int_equal(catalogue_read("tests/vectors", NULL, &read, NULL), 0);
	assert_true(listed.count >= PACKS);
	assert_int_equal(listed.count, read.count);
	for (int i = 0; i < listed.count; i++) {
		assert_string_equal(listed.packs[i].path, read.packs[i].path);
		assert_string_equal(listed.packs[i].digest, "");
		assert_int_equal(pack_info_digest(&listed.packs[i], NULL), 0);
		assert_string_equal(listed.packs[i].digest, read.packs[i].digest);
		assert_int_equal(strlen(read.packs[i].digest), SHA256_HEX_SIZE - 1);
	}
	catalogue_free(&listed);
	catalogue_free(&read);
	assert_int_equal(pack_info_read(folders[0], &info, NULL), 0);
	assert_int_equal(strlen(info.digest), SHA256_HEX_SIZE - 1);
	pack_info_free(&info);
}

/* ---- texts ------------------------------------------------------------------------- */

static void test_texts(void **state)
{
	enum { IDS = 4, FLOATS = 256 };
	(void)state;
	struct text_memory *m;
	int32_t ids[3][IDS] = {{1, 2, 3, 4}, {1, 2, 3, 5}, {9, 9, 9, 9}};
	float x[FLOATS] = {1}, y[FLOATS] = {2}, z[FLOATS] = {3};
	struct text_key a = {.ids = ids[0], .count = IDS, .floats = FLOATS}, b = a, c = a, other;
	b.ids = ids[1];
	c.ids = ids[2];
	/* Room for two and not for three. */
	assert_int_equal(text_memory_new(FLOATS * sizeof(float) * 5 / 2, &m, NULL), 0);
	assert_null(text_memory_find(m, &a));
	text_memory_keep(m, &a, x);
	text_memory_keep(m, &b, y);
	assert_memory_equal(text_memory_find(m, &b), y, sizeof y);
	assert_memory_equal(text_memory_find(m, &a), x, sizeof x);
	other = a, other.clip_skip = 1;
	assert_null(text_memory_find(m, &other));
	other = a, other.count--;
	assert_null(text_memory_find(m, &other));
	other = a, other.floats--;
	assert_null(text_memory_find(m, &other));
	other = a, other.encoder = 1;
	assert_null(text_memory_find(m, &other));
	text_memory_keep(m, &c, z);
	assert_null(text_memory_find(m, &b));
	assert_memory_equal(text_memory_find(m, &a), x, sizeof x);
	assert_memory_equal(text_memory_find(m, &c), z, sizeof z);
	text_memory_keep(m, &other, y);
	assert_memory_equal(text_memory_find(m, &other), y, sizeof y);
	text_memory_free(m);
	assert_int_equal(text_memory_new(FLOATS * sizeof(float) / 2, &m, NULL), 0);
	text_memory_keep(m, &a, x);
	assert_null(text_memory_find(m, &a));
	text_memory_free(m);
}

/* Counts the work of a device by its embedding lookups: one for each text that is encoded. */
static int lookups;
static const struct device_ops *real_ops;

static int count_embedding(struct device *d, const struct embedding_args *a, struct error *err)
{
	lookups++;
	return real_ops->embedding(d, a, err);
}

static void begin(struct pack *pack, const char *prompt, const char *negative, float first[16])
{
	struct run_params p = {
	    .prompt = prompt,
	    .negative_prompt = negative,
	    .seed = 5,
	    .steps = 1,
	    .cfg_scale = 5,
	    .sampler = "euler",
	    .width = 64,
	    .height = 64,
	    .frames = 1,
	};
	struct run *run;
	struct error err = {0};
	size_t count;
	if (run_begin(pack, &p, &run, &err) || run_step(run, &err))
		fail_msg("%s", err.text);
	memcpy(first, run_latents(run, false, &count), 16 * sizeof *first);
	run_free(run);
}

static void test_text_is_encoded_once(void **state)
{
	(void)state;
	struct pack *pack;
	float first[16], second[16], third[16];
	struct device_ops counting = *device->ops;
	real_ops = device->ops;
	counting.embedding = count_embedding;
	device->ops = &counting;
	assert_int_equal(pack_open(device, folders[0], &pack, NULL), 0);
	lookups = 0;
	begin(pack, "a lone tree", NULL, first);
	assert_int_equal(lookups, 2);
	begin(pack, "a lone tree", "", second);
	assert_int_equal(lookups, 2);
	assert_memory_equal(first, second, sizeof first);
	begin(pack, "two trees", "", third);
	assert_int_equal(lookups, 3);
	assert_memory_not_equal(first, third, sizeof first);
	pack_close(pack);
	device->ops = real_ops;
}

/* A pack is loaded anew when its files are others than they were before it was loaded: what the
 * old one remembers of texts is gone then. */
static void test_replaced_pack(void **state)
{
	static const int stamps[] = {STAMP, STAMP, STAMP + 1, STAMP + 1};
	static const int texts[] = {2, 0, 2, 0};
	(void)state;
	struct models *m;
	struct device_ops counting = *device->ops;
	float first[16];
	real_ops = device->ops;
	counting.embedding = count_embedding;
	device->ops = &counting;
	assert_int_equal(models_new(device, NULL, 0, &m, NULL), 0);
	for (int i = 0; i < 4; i++) {
		struct pack *pack;
		lookups = 0;
		assert_int_equal(models_get(m, folders[0], NULL, (uint64_t)stamps[i], &pack, NULL), 0);
		begin(pack, "a lake", "", first);
		assert_int_equal(lookups, texts[i]);
	}
	models_free(m);
	device->ops = real_ops;
}

static void test_stamp(void **state)
{
	struct catalogue listed, none = {0};
	(void)state;
	assert_int_equal(catalogue_list("tests/vectors", NULL, &listed, NULL), 0);
	for (int i = 0; i < PACKS; i++) {
		const struct pack_info *info = catalogue_at(&listed, folders[i]);
		assert_non_null(info);
		assert_true(catalogue_stamp(&listed, folders[i]) == pack_stamp(info));
		assert_true(catalogue_stamp(&none, folders[i]) == pack_stamp(info));
	}
	assert_int_equal(catalogue_stamp(&none, "tests/vectors/there-is-none"), 0);
	assert_true(catalogue_stamp(&listed, folders[0]) != catalogue_stamp(&listed, folders[1]));
	catalogue_free(&listed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_two_that_do_not_fit_together, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_longest_unused_leaves, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_larger_than_the_budget, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_no_budget, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_idle, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_text_is_encoded_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_replaced_pack, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_size_before_loading, set_up, tear_down),
	    cmocka_unit_test(test_stamp),
	    cmocka_unit_test(test_default_budget),
	    cmocka_unit_test(test_listing_without_digests),
	    cmocka_unit_test(test_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
