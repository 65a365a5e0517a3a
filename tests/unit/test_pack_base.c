/* Packs that borrow parts from another: "base" in sumi.json names a folder beside the pack's own,
 * and nothing else; and what a motion pack says about its noise. */
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/backend.h"
#include "diffusion/pack_internal.h"
#include "diffusion/run.h"

#define VECTORS "tests/vectors/motion-tiny"

enum { CLIP_FRAMES = 4 };

struct place {
	char root[64], moving[128]; /* a folder of packs, the borrower in it */
};

static void write_text(const char *folder, const char *name, const char *text)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A link to a part of the committed pack. */
static void link_part(const char *part, const char *folder, const char *name)
{
	char target[PATH_MAX], path[512], relative[256];
	snprintf(relative, sizeof relative, VECTORS "%s", part);
	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_non_null(realpath(relative, target));
	assert_int_equal(symlink(target, path), 0);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof *p);
	if (!p)
		return -1;
	snprintf(p->root, sizeof p->root, "/tmp/sumi-base-XXXXXX");
	assert_non_null(mkdtemp(p->root));
	snprintf(p->moving, sizeof p->moving, "%s/moving", p->root);
	assert_int_equal(mkdir(p->moving, 0700), 0);
	link_part("", p->root, "still");
	link_part("/motion_adapter", p->moving, "motion_adapter");
	write_text(p->moving, "model_index.json", "{}");
	write_text(p->moving, "sumi.json", "{\"base\": \"still\", \"modality\": \"video\"}");
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"moving/motion_adapter",
					    "moving/model_index.json",
					    "moving/sumi.json",
					    "moving/scheduler",
					    "moving/quick/config.json",
					    "moving/quick",
					    "moving",
					    "still"};
	struct place *p = *state;
	char path[256];
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", p->root, names[i]);
		remove(path);
	}
	remove(p->root);
	free(p);
	return 0;
}

static void own_parts_come_first(void **state)
{
	const struct place *p = *state;
	struct pack_info info;
	struct error err = {0};
	char path[FILES_PATH_MAX], wanted[FILES_PATH_MAX];
	assert_int_equal(pack_info_read(p->moving, &info, &err), SUMI_OK);
	assert_true(info.has_motion);
	assert_int_equal(pack_part(&info, "motion_adapter", path, &err), SUMI_OK);
	snprintf(wanted, sizeof wanted, "%s/motion_adapter", p->moving);
	assert_string_equal(path, wanted);
	assert_int_equal(pack_part(&info, "unet", path, &err), SUMI_OK);
	snprintf(wanted, sizeof wanted, "%s/still/unet", p->root);
	assert_string_equal(path, wanted);
	pack_info_free(&info);
}

static void borrowed_parts_open_and_count(void **state)
{
	const struct place *p = *state;
	struct device *device;
	struct pack *pack;
	struct error err = {0};
	char slash[160];
	assert_int_equal(device_open("reference", &device, &err), SUMI_OK);
	if (pack_open(device, p->moving, &pack, &err))
		fail_msg("%s", err.text);
	pack_close(pack);
	device_close(device);
	snprintf(slash, sizeof slash, "%s/", p->moving);
	assert_true(pack_weight_bytes(VECTORS) > 0);
	assert_int_equal(pack_weight_bytes(p->moving), pack_weight_bytes(VECTORS));
	assert_int_equal(pack_weight_bytes(slash), pack_weight_bytes(VECTORS));
}

/* "fast" may name the pack's own UNet: other settings, the same model. */
static void fast_may_be_the_same_model(void **state)
{
	const struct place *p = *state;
	struct device *device;
	struct pack *pack;
	struct denoiser *usual = NULL, *fast = NULL;
	struct error err = {0};
	write_text(p->moving, "sumi.json",
		   "{\"base\": \"still\", \"modality\": \"video\", "
		   "\"fast\": {\"unet\": \"unet\", \"steps\": 3}}");
	assert_int_equal(device_open("reference", &device, &err), SUMI_OK);
	if (pack_open(device, p->moving, &pack, &err) ||
	    pack_denoiser_take(pack, false, 0, &usual, &err) ||
	    pack_denoiser_take(pack, true, 0, &fast, &err))
		fail_msg("%s", err.text);
	assert_ptr_equal(usual, fast);
	assert_int_equal(pack_info_of(pack)->fast.steps, 3);
	pack_close(pack);
	device_close(device);
}

/* A result belongs to the borrowed weights too: with another part it is another pack. */
static void blocks_are_objects(void **state)
{
	static const struct {
		const char *json, *message;
	} rows[] = {
	    {"{\"base\": \"still\", \"fast\": true}", "field 'fast' must be an object"},
	    {"{\"base\": \"still\", \"defaults\": [20]}", "field 'defaults' must be an object"},
	    {"{\"base\": \"still\", \"vae\": 5}", "field 'vae' must be a text"},
	    {"{\"base\": \"still\", \"text_encoder_2\": {\"x\": 1}}", "field 'text_encoder_2' must be a text"},
	};
	const struct place *p = *state;
	struct pack_info info;
	struct error err = {0};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		write_text(p->moving, "sumi.json", rows[i].json);
		assert_int_equal(pack_info_read(p->moving, &info, &err), SUMI_INVALID);
		assert_non_null(strstr(err.text, rows[i].message));
	}
	write_text(p->moving, "sumi.json",
		   "{\"base\": \"still\", \"fast\": null, \"defaults\": null}");
	assert_int_equal(pack_info_read(p->moving, &info, &err), SUMI_OK);
	assert_false(info.has_fast);
	pack_info_free(&info);
}

/* Whatever the folder of the fast UNet is called. */
static void the_fast_unet_is_in_the_digest(void **state)
{
	const struct place *p = *state;
	struct pack_info a, b;
	struct error err = {0};
	char quick[160];
	snprintf(quick, sizeof quick, "%s/quick", p->moving);
	assert_int_equal(mkdir(quick, 0700), 0);
	write_text(quick, "config.json", "{}");
	write_text(p->moving, "sumi.json",
		   "{\"base\": \"still\", \"fast\": {\"unet\": \"quick\"}}");
	assert_int_equal(pack_info_read(p->moving, &a, &err), SUMI_OK);
	write_text(quick, "config.json", "{ }");
	assert_int_equal(pack_info_read(p->moving, &b, &err), SUMI_OK);
	assert_string_not_equal(a.digest, b.digest);
	pack_info_free(&a);
	pack_info_free(&b);
}

/* A pipe among the weights would be waited for without end. */
static void a_pipe_among_the_weights_is_refused(void **state)
{
	const struct place *p = *state;
	struct pack_info info;
	struct error err = {0};
	char path[256];
	snprintf(path, sizeof path, "%s/unet", p->moving);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/unet/pipe.safetensors", p->moving);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pack_info_read(p->moving, &info, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "pipe.safetensors: is not a regular file"));
}

static void borrowed_parts_are_in_the_digest(void **state)
{
	const struct place *p = *state;
	struct pack_info a, b;
	struct error err = {0};
	assert_int_equal(pack_info_read(p->moving, &a, &err), SUMI_OK);
	char path[256], other[PATH_MAX];
	assert_non_null(realpath("tests/vectors/sd1-tiny/scheduler", other));
	snprintf(path, sizeof path, "%s/scheduler", p->moving);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(pack_info_read(p->moving, &b, &err), SUMI_OK);
	assert_string_not_equal(a.digest, b.digest);
	pack_info_free(&a);
	pack_info_free(&b);
}

static void only_a_neighbours_name_is_a_base(void **state)
{
	static const char *const bad[] = {"\"../still\"", "\"/tmp\"", "\"..\"",     "\".\"",
					  "\"\"",         "\"a/b\"",  "\"still/\"", "\"moving\"",
					  "\"nobody\"",   "7",        "[\"still\"]"};
	const struct place *p = *state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct pack_info info;
		struct error err = {0};
		char text[64];
		snprintf(text, sizeof text, "{\"base\": %s}", bad[i]);
		write_text(p->moving, "sumi.json", text);
		assert_int_equal(pack_info_read(p->moving, &info, &err), SUMI_INVALID);
		assert_non_null(strstr(err.text, "base"));
		assert_int_equal(pack_weight_bytes(p->moving), 0);
	}
}

/* The first latents of a clip by a pack with this share; the caller frees them. */
static float *first_latents(const struct place *p, double share, size_t *count)
{
	struct run_params params = {.prompt = "waves",
				    .seed = 3,
				    .steps = 2,
				    .cfg_scale = 1,
				    .sampler = "ddim",
				    .width = 32,
				    .height = 32,
				    .frames = CLIP_FRAMES};
	struct device *device;
	struct pack *pack = NULL;
	struct run *run = NULL;
	struct error err = {0};
	char text[128];
	snprintf(text, sizeof text,
		 "{\"base\": \"still\", \"modality\": \"video\", \"noise_shared\": %g}", share);
	write_text(p->moving, "sumi.json", text);
	if (device_open("reference", &device, &err) || pack_open(device, p->moving, &pack, &err) ||
	    run_begin(pack, &params, &run, &err))
		fail_msg("%s", err.text);
	const float *x = run_latents(run, false, count);
	float *copy = malloc(*count * sizeof *copy);
	assert_non_null(copy);
	memcpy(copy, x, *count * sizeof *copy);
	run_free(run);
	pack_close(pack);
	device_close(device);
	return copy;
}

static void frames_share_as_much_noise_as_the_pack_says(void **state)
{
	size_t count;
	float *own = first_latents(*state, 0, &count), *same = first_latents(*state, 1, &count);
	float *mixed = first_latents(*state, 0.75, &count);
	size_t frame = count / CLIP_FRAMES;
	assert_memory_not_equal(own, own + frame, frame * sizeof *own);
	for (int f = 1; f < CLIP_FRAMES; f++)
		assert_memory_equal(same, same + (size_t)f * frame, frame * sizeof *same);
	assert_memory_not_equal(own, same, frame * sizeof *own);
	for (size_t i = 0; i < count; i++)
		assert_float_equal(mixed[i], sqrtf(0.75f) * same[i] + 0.5f * own[i], 1e-5);
	free(own);
	free(same);
	free(mixed);
}

static void a_share_is_from_0_to_1(void **state)
{
	const struct place *p = *state;
	struct pack_info info;
	struct error err = {0};
	write_text(p->moving, "sumi.json", "{\"base\": \"still\", \"noise_shared\": 1.5}");
	assert_int_equal(pack_info_read(p->moving, &info, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "noise_shared"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(own_parts_come_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(borrowed_parts_open_and_count, setup, teardown),
	    cmocka_unit_test_setup_teardown(fast_may_be_the_same_model, setup, teardown),
	    cmocka_unit_test_setup_teardown(blocks_are_objects, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_fast_unet_is_in_the_digest, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_pipe_among_the_weights_is_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(borrowed_parts_are_in_the_digest, setup, teardown),
	    cmocka_unit_test_setup_teardown(only_a_neighbours_name_is_a_base, setup, teardown),
	    cmocka_unit_test_setup_teardown(frames_share_as_much_noise_as_the_pack_says, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(a_share_is_from_0_to_1, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
