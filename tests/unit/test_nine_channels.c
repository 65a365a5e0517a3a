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

#include <cmocka.h>

#include "diffusion/family.h"
#include "diffusion/pack.h"
#include "diffusion/session.h"
#include "diffusion/windows.h"
#include "tests/unit/wider_unet.h"

enum { IN = 9, OUT = 4, SIDE = 8, WIDE = 20, ROWS = 5, STEPS = 4 };

#define USUAL "tests/vectors/sd1-tiny"

static char root[] = "/tmp/sumi-nine-XXXXXX";
static struct device *device; /* the reference: what is added of nothing rounds nothing */
static struct sampler *sampler;
static struct denoiser *usual, *nine;

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
	assert_non_null(mkdtemp(root));
	wider_unet(root, IN);
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
	    (windows && windows_wrap(&s, &(struct windows_shape){WIDE, SIDE, 3, true, false}, &err)))
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
