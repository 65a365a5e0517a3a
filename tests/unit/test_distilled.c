/* LoRAs for few steps by what their files are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "weights/distilled.h"

static void test_names(void **state)
{
	static const struct {
		const char *name, *sampler; /* NULL: none of these */
		int steps;
	} rows[] = {
	    {"lcm-lora-sdv1-5", "lcm", 4},
	    {"LCM_LoRA_SDXL.safetensors", "lcm", 4},
	    {"Hyper-SD15-8steps-CFG-lora", "ddim", 8},
	    {"Hyper-SDXL-2step", "ddim", 2},
	    {"sdxl_lightning_8step_lora", "euler", 8},
	    {"sdxl_lightning_2_step", "euler", 2},
	    {"tcd-sdxl", "tcd", 4},
	    {"dmd2_sdxl_4step_lora_fp16", "lcm", 4},
	    {"hyperrealism_v2", NULL, 0},
	    {"calcm", NULL, 0},
	    {"four steps", NULL, 0},
	    {"pytorch_lora_weights", NULL, 0},
	    {"", NULL, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct distilled d;
		bool is = distilled_named(rows[i].name, &d);
		assert_int_equal(is, rows[i].sampler != NULL);
		if (!is)
			continue;
		assert_string_equal(d.sampler, rows[i].sampler);
		assert_int_equal(d.steps, rows[i].steps);
		assert_true(d.cfg_scale == 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
