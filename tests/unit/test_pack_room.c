/* Parts that come and go where the device does not hold all of them: encoders before a denoiser, a
 * denoiser that nobody uses before encoders; and always the same bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "diffusion/pack_internal.h"
#include "diffusion/run_internal.h"
#include "weights/gguf_write.h"

#define PACK "tests/vectors/sdxl-tiny"

enum { SIDE = 32, LATENTS = SIDE / 8 * SIDE / 8 * 4, STEPS = 2 };

static struct device *device;
static uint64_t own_memory, own_max_alloc; /* what the device says of itself */
static size_t texts, denoiser, codec; /* bytes on the device */

static struct run_params params(const char *prompt)
{
	return (struct run_params){
	    .prompt = prompt,
	    .negative_prompt = "fog",
	    .seed = 3,
	    .steps = STEPS,
	    .cfg_scale = 5,
	    .width = SIDE,
	    .height = SIDE,
	    .frames = 1,
	};
}

static struct pack *open_pack(void)
{
	struct pack *pack;
	struct error err = {0};
	if (pack_open(device, PACK, &pack, &err))
		fail_msg("%s", err.text);
	return pack;
}

static struct run *begin(struct pack *pack, const char *prompt)
{
	struct run_params p = params(prompt);
	struct run *run;
	struct error err = {0};
	if (run_begin(pack, &p, &run, &err))
		fail_msg("%s", err.text);
	return run;
}

static void finish(struct run *run, float out[LATENTS])
{
	struct error err = {0};
	size_t count;
	for (int i = 0; i < STEPS; i++)
		if (run_step(run, &err))
			fail_msg("%s", err.text);
	memcpy(out, run_latents(run, false, &count), LATENTS * sizeof *out);
	assert_int_equal(count, LATENTS);
	run_free(run);
}

/* A device that holds each part and not all of them. */
static void have_little(const struct pack *pack)
{
	uint64_t all = 0;
	for (int i = 0; i < PART_USES; i++)
		all += pack->bytes[i];
	device->info.memory = all - 1;
}

static int set_up(void **state)
{
	(void)state;
	if (device_open("reference", &device, NULL))
		return -1;
	own_memory = device->info.memory;
	own_max_alloc = device->info.max_alloc;
	struct pack *pack = open_pack();
	size_t all = device->bytes_in_use;
	conditioner_unload(pack->conditioner);
	texts = all - device->bytes_in_use;
	denoiser_close(pack->denoisers[0].open);
	pack->denoisers[0].open = NULL;
	codec = device->bytes_in_use;
	denoiser = all - texts - codec;
	pack_close(pack);
	assert_true(texts && denoiser && codec);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	assert_int_equal(device->bytes_in_use, 0);
	device_close(device);
	return 0;
}

/* Coding a picture takes no more than a denoiser in blocks, but for a gibibyte that it may always have. */
static void test_coding_beside_blocks(void **state)
{
	(void)state;
	struct pack *pack = open_pack();
	struct run_params large = params("a"), small = large;
	static const float picture[1];
	small.init = large.init = picture; /* none of it is read */
	large.width = large.height = 4096;
	device->info.memory = UINT64_C(1) << 40;
	device->info.max_alloc = 0;
	assert_false(pack->in_blocks);
	assert_int_equal(run_plan_encode(pack, &large).pieces.rows, 0);
	pack->in_blocks = true;
	assert_true(run_plan_encode(pack, &large).pieces.rows > 0);
	assert_int_equal(run_plan_encode(pack, &small).pieces.rows, 0);
	pack->bytes[PART_DENOISER] = UINT64_C(1) << 39;
	assert_int_equal(run_plan_encode(pack, &large).pieces.rows, 0);
	device->info.memory = own_memory;
	device->info.max_alloc = own_max_alloc;
	pack_close(pack);
}

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_what_is_in_blocks(void **state)
{
	(void)state;
	char root[] = "/tmp/sumi-room-XXXXXX", cwd[512], path[640], gguf[64], command[64];
	struct error err = {0};
	struct weights *weights;
	const struct quantiser *q;
	struct gguf_report report;
	struct pack_info info;
	assert_non_null(mkdtemp(root));
	assert_non_null(getcwd(cwd, sizeof cwd));
	snprintf(gguf, sizeof gguf, "%s/small.gguf", root);
	assert_int_equal(weights_open("models/ink/unet", &weights, &err), 0);
	assert_int_equal(quantiser_named("q8_0", &q, &err), 0);
	assert_int_equal(gguf_write(weights, q, gguf, &report, &err), 0);
	weights_close(weights);
	snprintf(command, sizeof command, "%s/ink", root);
	snprintf(path, sizeof path, "%s/models/ink", cwd);
	assert_int_equal(symlink(path, command), 0);
	snprintf(path, sizeof path, "%s/small.sumi.json", root);
	write_text(path, "{\"base\": \"ink\"}");
	for (int i = 0; i < 2; i++) {
		if (pack_info_read_plain(i ? gguf : "models/ink", &info, &err))
			fail_msg("%s", err.text);
		assert_int_equal(pack_parts_in_blocks(&info), i);
		pack_info_free(&info);
	}
	snprintf(command, sizeof command, "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

static void test_the_rule(void **state)
{
	(void)state;
	struct pack *pack = open_pack();
	uint64_t all = pack->bytes[PART_TEXTS] + pack->bytes[PART_DENOISER] + pack->bytes[PART_CODEC];
	assert_true(pack->bytes[PART_TEXTS] > pack->bytes[PART_CODEC]);
	device->info.memory = all + 5;
	assert_true(pack_holds_all(pack, 5));
	assert_false(pack_holds_all(pack, 6));
	device->info.memory = 0; /* not known */
	assert_true(pack_holds_all(pack, all));
	/* No more than the machine has, whatever a device of its processor says. */
	device->info.memory = UINT64_MAX;
	device->info.is_cpu = true;
	assert_false(pack_holds_all(pack, UINT64_MAX - all));
	device->info.is_cpu = false;
	assert_true(pack_holds_all(pack, UINT64_MAX - all));
	pack_close(pack);
}

static void test_all_stay_where_there_is_room(void **state)
{
	float first[LATENTS], again[LATENTS];
	(void)state;
	struct pack *pack = open_pack();
	assert_int_equal(device->bytes_in_use, texts + denoiser + codec);
	finish(begin(pack, "a tree"), first);
	assert_int_equal(device->bytes_in_use, texts + denoiser + codec);
	finish(begin(pack, "a tree"), again);
	assert_memory_equal(first, again, sizeof first);
	pack_close(pack);
}

static void test_parts_come_and_go(void **state)
{
	float tree[LATENTS], lake[LATENTS], out[LATENTS];
	(void)state;
	struct pack *pack = open_pack();
	finish(begin(pack, "a tree"), tree);
	finish(begin(pack, "a lake"), lake);
	have_little(pack);
	pack_close(pack);

	/* Neither comes before it is needed. */
	pack = open_pack();
	assert_int_equal(device->bytes_in_use, codec);
	device->bytes_peak = 0;
	finish(begin(pack, "a tree"), out);
	assert_memory_equal(out, tree, sizeof out);
	assert_int_equal(device->bytes_in_use, denoiser + codec);
	assert_true(device->bytes_peak < texts + denoiser + codec);

	/* A text that is known needs no encoder. */
	struct denoiser *stays = pack->denoisers[0].open;
	finish(begin(pack, "a tree"), out);
	assert_memory_equal(out, tree, sizeof out);
	assert_ptr_equal(pack->denoisers[0].open, stays);

	/* Another one does: the denoiser makes room, and comes back. */
	device->bytes_peak = 0;
	finish(begin(pack, "a lake"), out);
	assert_memory_equal(out, lake, sizeof out);
	assert_int_equal(device->bytes_in_use, denoiser + codec);
	assert_true(device->bytes_peak < texts + denoiser + codec);
	pack_close(pack);
	device->info.memory = own_memory;
}

static void test_a_denoiser_in_use_stays(void **state)
{
	float tree[LATENTS], lake[LATENTS], out[LATENTS];
	(void)state;
	struct pack *pack = open_pack();
	finish(begin(pack, "a tree"), tree);
	finish(begin(pack, "a lake"), lake);
	have_little(pack);
	pack_close(pack);
	pack = open_pack();
	struct run *first = begin(pack, "a tree");
	struct denoiser *stays = pack->denoisers[0].open;
	struct run *second = begin(pack, "a lake");
	assert_ptr_equal(pack->denoisers[0].open, stays);
	assert_int_equal(pack->denoisers[0].users, 2);
	finish(first, out);
	assert_memory_equal(out, tree, sizeof out);
	finish(second, out);
	assert_memory_equal(out, lake, sizeof out);
	assert_int_equal(pack->denoisers[0].users, 0);
	assert_int_equal(device->bytes_in_use, denoiser + codec);
	pack_close(pack);
	device->info.memory = own_memory;
}

/* Parts that would come later are looked at before. */
static void test_what_does_not_go_together_is_told_at_once(void **state)
{
	(void)state;
	struct pack *pack = open_pack();
	have_little(pack);
	struct denoiser *out;
	struct denoiser_spec spec;
	struct error err = {0};
	assert_int_equal(pack_denoiser_take(pack, true, 0, &out, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "no fast variant"));
	assert_int_equal(pack_denoiser_spec(pack, true, &spec, &err), SUMI_INVALID);
	assert_int_equal(pack->denoisers[0].users, 0);
	pack->texts.pooled++;
	assert_int_equal(pack_check_denoiser(pack, pack->denoisers[0].open, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "projection_class_embeddings_input_dim"));
	pack_close(pack);
	device->info.memory = own_memory;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_coding_beside_blocks, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_what_is_in_blocks, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_the_rule, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_all_stay_where_there_is_room, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_parts_come_and_go, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_a_denoiser_in_use_stays, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_what_does_not_go_together_is_told_at_once, set_up,
					    tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
