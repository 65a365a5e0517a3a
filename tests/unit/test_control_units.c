/* Controls in infotexts, as the ControlNet extension writes them: ours by its reader's rules, its own of two times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "modalities/control_units.h"

static void reads(const char *text, const char *want)
{
	json_t *got = control_unit_read(text), *o = want ? json_loads(want, 0, NULL) : NULL;
	if (want ? !json_equal(got, o) : got != NULL)
		fail_msg("'%s' is read as %s", text, got ? json_dumps(got, JSON_SORT_KEYS) : "nothing");
	json_decref(got);
	json_decref(o);
}

static void test_read(void **state)
{
	(void)state;
	reads("Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 0.8, Resize Mode: Crop and Resize, Processor "
	      "Res: 512, Threshold A: 100, Threshold B: 200, Guidance Start: 0.0, Guidance End: 0.5, Pixel Perfect: True, Control "
	      "Mode: Balanced",
	      "{\"preprocess\": \"canny\", \"model\": \"control_v11p_sd15_canny\", \"strength\": 0.8, \"start\": 0.0, \"end\": 0.5}");
	reads("Module: openpose_full, Model: pose [cab727d4], Weight: 1, Resize Mode: ResizeMode.INNER_FIT, Control Mode: "
	      "ControlMode.CONTROL",
	      "{\"module\": \"openpose_full\", \"model\": \"pose\", \"strength\": 1.0, \"guess\": true}");
	reads("preprocessor: lineart_standard (from white bg & black line), model: control_lineart [9c70c4e6], weight: 1, "
	      "starting/ending: (0.1, 0.9), resize mode: Crop and Resize, pixel perfect: False, control mode: ControlNet is more "
	      "important, preprocessor params: (512, -1, -1)",
	      "{\"preprocess\": \"lineart\", \"model\": \"control_lineart\", \"strength\": 1.0, \"start\": 0.1, \"end\": 0.9, \"guess\": "
	      "true}");
	reads("Model: x, Weight: heavy, Guidance Start: 1e999", "{\"model\": \"x\"}");
	reads("Module: canny", NULL);
	reads("", NULL);
	reads("((((: , : ", NULL);
}

/* What is written is read as the same. */
static void test_write(void **state)
{
	(void)state;
	static const char *const controls[] = {
	    "{\"preprocess\": \"canny\", \"model\": \"a\", \"strength\": 0.8, \"start\": 0.0, \"end\": 0.5}",
	    "{\"preprocess\": \"scribble\", \"model\": \"a b\", \"strength\": -2.0, \"start\": 0.25, \"end\": 1.0, \"guess\": true}",
	    "{\"preprocess\": \"none\", \"model\": \"x\", \"strength\": 1.0, \"start\": 0.0, \"end\": 1.0}"};
	char text[512], small[64];
	for (size_t i = 0; i < sizeof controls / sizeof controls[0]; i++) {
		json_t *o = json_loads(controls[i], 0, NULL);
		assert_true(control_unit_write(o, "f00005887ecc", 64, 96, text, sizeof text));
		reads(text, controls[i]);
		assert_false(control_unit_write(o, "f00005887ecc", 64, 96, small, sizeof small));
		json_decref(o);
	}
	json_t *o = json_loads(controls[0], 0, NULL);
	assert_true(control_unit_write(o, "f00005887ecc", 64, 96, text, sizeof text));
	assert_string_equal(text, "Module: canny, Model: a [f0000588], Weight: 0.8, Resize Mode: Crop and Resize, Processor Res: 64, "
				  "Threshold A: 100.0, Threshold B: 200.0, Guidance Start: 0.0, Guidance End: 0.5, Pixel Perfect: "
				  "True, Control Mode: Balanced");
	json_object_set_new(o, "model", json_string("a, b"));
	assert_false(control_unit_write(o, "", 64, 96, text, sizeof text));
	json_decref(o);
	/* Of a map that is given nothing is made; without an end it is all of the run. */
	o = json_loads("{\"preprocess\": \"depth\", \"model\": \"d\"}", 0, NULL);
	assert_true(control_unit_write(o, NULL, 64, 96, text, sizeof text));
	assert_string_equal(text, "Module: none, Model: d, Weight: 1.0, Resize Mode: Crop and Resize, Guidance Start: 0.0, Guidance End: "
				  "1.0, Pixel Perfect: True, Control Mode: Balanced");
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_read), cmocka_unit_test(test_write)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
