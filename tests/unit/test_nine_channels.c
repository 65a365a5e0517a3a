/* A UNet that is shown more than its latents, as those for inpainting are: 9 channels in, 4 out. It
 * is sd1-tiny's with a wider first convolution, so that it must say what that says where nothing
 * stands beside the latents, bit for bit, with one text and with both, whole and in windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <jansson.h>

#include "diffusion/family.h"
#include "diffusion/pack.h"
#include "diffusion/session.h"
#include "diffusion/windows.h"

enum { IN = 9, OUT = 4, SIDE = 8, WIDE = 20, ROWS = 5, STEPS = 4 };

#define USUAL "tests/vectors/sd1-tiny"
#define WEIGHTS "diffusion_pytorch_model.safetensors"

static char root[] = "/tmp/sumi-nine-XXXXXX";
static struct device *device; /* the reference: what is added of nothing rounds nothing */
static struct sampler *sampler;
static struct denoiser *usual, *nine;

/* ---- the wider UNet ---- */

static size_t range(const json_t *tensor, int end)
{
	return (size_t)json_integer_value(
	    json_array_get(json_object_get(tensor, "data_offsets"), (size_t)end));
}

/* rows of so many bytes, each followed by more of itself. */
static char *widen(const char *data, size_t rows, size_t row, size_t wider)
{
	char *out = malloc(rows * wider);
	assert_non_null(out);
	for (size_t r = 0; r < rows; r++)
		for (size_t i = 0; i < wider; i++)
			out[r * wider + i] = data[r * row + i % row];
	return out;
}

static void write_weights(char *file)
{
	uint64_t size;
	memcpy(&size, file, sizeof size);
	json_t *header = json_loadb(file + 8, size, 0, NULL), *tensor;
	const char *data = file + 8 + size, *name;
	char path[128];
	size_t at = 0;
	assert_non_null(header);
	snprintf(path, sizeof path, "%s/unet/data", root);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	json_object_del(header, "__metadata__");
	json_object_foreach(header, name, tensor) {
		size_t first = range(tensor, 0), bytes = range(tensor, 1) - first, more = bytes;
		json_t *shape = json_object_get(tensor, "shape");
		char *wider = NULL;
		if (strcmp(name, "conv_in.weight") == 0) {
			size_t rows = (size_t)json_integer_value(json_array_get(shape, 0));
			more = bytes / OUT * IN;
			wider = widen(data + first, rows, bytes / rows, more / rows);
			json_array_set_new(shape, 1, json_integer(IN));
		}
		fwrite(wider ? wider : data + first, 1, more, f);
		free(wider);
		json_object_set_new(tensor, "data_offsets",
				    json_pack("[I, I]", (json_int_t)at, (json_int_t)(at + more)));
		at += more;
	}
	assert_int_equal(fclose(f), 0);
	char *text = json_dumps(header, JSON_COMPACT);
	size = strlen(text);
	snprintf(path, sizeof path, "%s/unet/head", root);
	f = fopen(path, "wb");
	fwrite(&size, sizeof size, 1, f);
	fwrite(text, 1, size, f);
	assert_int_equal(fclose(f), 0);
	free(text);
	json_decref(header);
}

static void make_nine(void)
{
	char command[256], path[128];
	FILE *f = fopen(USUAL "/unet/" WEIGHTS, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	size_t size = (size_t)ftell(f);
	char *file = malloc(size);
	rewind(f);
	assert_int_equal(fread(file, 1, size, f), size);
	fclose(f);
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof path, "%s/unet", root);
	assert_int_equal(mkdir(path, 0700), 0);
	write_weights(file);
	free(file);
	snprintf(command, sizeof command, "cd %s/unet && cat head data > " WEIGHTS, root);
	assert_int_equal(system(command), 0);
	json_t *config = json_load_file(USUAL "/unet/config.json", 0, NULL);
	json_object_set_new(config, "in_channels", json_integer(IN));
	snprintf(path, sizeof path, "%s/unet/config.json", root);
	assert_int_equal(json_dump_file(config, path, 0), 0);
	json_decref(config);
}

static struct denoiser *open_unet(const char *folder)
{
	struct pack_info info = {0};
	struct denoiser *d;
	struct error err = {0};
	snprintf(info.path, sizeof info.path, "%s", folder);
	if (denoiser_open(&denoiser_unet, device, &info, "unet", &d, &err))
		fail_msg("%s", err.text);
	return d;
}

static int setup(void **state)
{
	struct error err = {0};
	struct sampler_config config;
	(void)state;
	sampler_config_init(&config);
	if (device_open("reference", &device, &err) ||
	    sampler_new("euler", &config, STEPS, &sampler, &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	make_nine();
	usual = open_unet(USUAL);
	nine = open_unet(root);
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	(void)state;
	denoiser_close(usual);
	denoiser_close(nine);
	sampler_free(sampler);
	device_close(device);
	snprintf(command, sizeof command, "rm -r %s", root);
	return system(command);
}

/* ---- what both say ---- */

static struct session *begin(struct denoiser *d, int texts, bool windows)
{
	struct denoiser_plan plan = {.frames = 1, .h = SIDE, .w = SIDE, .texts = texts};
	struct guidance g = {.on = texts > 1, .to = STEPS - 1, .scale = 4};
	struct conditions said = {.n = texts};
	struct condition *tokens;
	struct session *s;
	struct error err = {0};
	assert_int_equal(conditions_add(&said, CONDITION_TOKENS, ROWS, 32, &tokens, &err), 0);
	for (int i = 0; i < texts * ROWS * 32; i++)
		tokens->values[i] = (float)(i % 23 - 11) / 11;
	if (session_new(d, &plan, &said, &g, sampler, &s, &err) ||
	    (windows && windows_wrap(&s, WIDE, 3, true, &err)))
		fail_msg("%s", err.text);
	conditions_free(&said);
	return s;
}

static void predict(struct session *s, int number, const float *beside, float *out)
{
	float latents[WIDE * SIDE * OUT];
	struct error err = {0};
	for (size_t i = 0; i < sizeof latents / sizeof *latents; i++)
		latents[i] = (float)(i % 31) / 15 - 1;
	struct session_call call = {
	    .number = number, .latents = latents, .beside = beside, .prediction = out};
	if (session_predict(s, &call, &err))
		fail_msg("%s", err.text);
}

static void check(int texts, bool windows)
{
	enum { PIXELS = WIDE * SIDE };
	float want[PIXELS * OUT] = {0}, got[PIXELS * OUT] = {0}, other[PIXELS * OUT] = {0};
	float nothing[PIXELS * (IN - OUT)] = {0}, beside[PIXELS * (IN - OUT)] = {0};
	struct session *a = begin(usual, texts, windows), *b = begin(nine, texts, windows);
	assert_false(session_joins(a, b));
	beside[(SIDE * SIDE - 1) * (IN - OUT) + 4] = 1; /* the last channel of one pixel */
	for (int i = 0; i < STEPS; i++) {	      /* the last one is not guided */
		predict(a, i, NULL, want);
		predict(b, i, nothing, got);
		assert_memory_equal(want, got, sizeof want);
		predict(b, i, beside, other);
		assert_memory_not_equal(want, other, sizeof want);
	}
	session_free(a);
	session_free(b);
}

static void test_what_stands_beside(void **state)
{
	(void)state;
	const struct denoiser_spec spec = denoiser_spec(nine);
	assert_int_equal(spec.in, IN);
	assert_int_equal(spec.out, OUT);
	check(1, false);
	check(2, false);
	check(2, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_stands_beside),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
