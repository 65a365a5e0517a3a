/* The table of parameters: every row is whole, and what follows from it does. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "request/job.h"

static struct error err;

static struct job parse(const char *json)
{
	struct job job;
	if (job_parse_json(json, strlen(json), &job, &err))
		fail_msg("%s: %s", json, err.text);
	return job;
}

static void test_rows_are_whole(void **state)
{
	(void)state;
	int count = 0;
	for (const struct param *p = param_table; p->name; p++, count++) {
		assert_true(p->help && *p->help && p->modalities & PARAM_ALL);
		assert_ptr_equal(param_find(p->name), p);
		assert_non_null(param_group_title(p->group));
		assert_true((p->type == PARAM_WORD || p->type == PARAM_RANK) == (p->words != NULL));
		if (p->concern == PARAM_PICTURE)
			assert_true(p->offset - offsetof(struct job, request) <
				    sizeof(struct request));
	}
	assert_int_equal(count, PARAM_COUNT);
}

/* What a request says in metadata, read as a job, is the same request. */
static void test_metadata_read_back(void **state)
{
	(void)state;
	struct job job = parse("{\"modality\":\"video\",\"prompt\":\"a\",\"negative_prompt\":\"b\","
			       "\"seed\":5,\"steps\":3,\"cfg_scale\":0,\"guidance_end\":0.5,"
			       "\"deep_cache\":2,\"deep_cache_level\":3,\"sampler\":\"euler\","
			       "\"scheduler\":\"karras\",\"rng\":\"torch\",\"width\":64,\"height\":32,"
			       "\"clip_skip\":1,\"eta\":0.25,\"fast\":true,\"format\":\"webp\","
			       "\"quality\":0,\"init\":\"x\",\"strength\":0.5,\"frames\":4,\"fps\":2,"
			       "\"loop\":true,\"loop_count\":7}");
	json_t *said = request_json(&job.request);
	char *one = json_dumps(said, JSON_COMPACT), *two;
	struct job again = parse(one);
	json_t *repeated = request_json(&again.request);
	two = json_dumps(repeated, JSON_COMPACT);
	assert_string_equal(one, two);
	assert_int_equal(json_object_size(said), json_object_size(job.fields));
	free(one);
	free(two);
	json_decref(said);
	json_decref(repeated);
	job_clear(&job);
	job_clear(&again);
}

static void said(const char *json, const char *name, bool present)
{
	struct job job = parse(json);
	json_t *o = request_json(&job.request);
	if ((json_object_get(o, name) != NULL) != present)
		fail_msg("%s: '%s' %s", json, name, present ? "is missing" : "is there");
	json_decref(o);
	job_clear(&job);
}

#define SOME "\"modality\":\"image\",\"prompt\":\"a\",\"seed\":1"

static void test_what_has_no_say_is_not_written(void **state)
{
	(void)state;
	said("{" SOME ",\"strength\":0.5}", "strength", false);
	said("{" SOME ",\"strength\":0.5,\"init\":\"x\"}", "strength", true);
	said("{" SOME ",\"quality\":50}", "quality", true);
	said("{" SOME ",\"quality\":50,\"lossless\":true}", "quality", false);
	said("{" SOME ",\"deep_cache\":1,\"deep_cache_level\":4}", "deep_cache_level", false);
	said("{" SOME ",\"guidance_end\":1}", "guidance_end", false);
	said("{" SOME ",\"negative_prompt\":\"\"}", "negative_prompt", false);
	said("{" SOME ",\"cfg_scale\":0}", "cfg_scale", true);
	said("{" SOME ",\"model\":\"ink\",\"n\":3}", "model", false);
	said("{" SOME ",\"model\":\"ink\",\"n\":3}", "n", false);
}

static void shaped(const char *json, const char *shape)
{
	struct job job = parse(json);
	char text[REQUEST_SHAPE_SIZE];
	request_shape(&job.request, text, sizeof text);
	assert_string_equal(text, shape);
	request_shape(&job.request, text, 5); /* never beyond its room */
	assert_true(strlen(text) < 5);
	job_clear(&job);
}

static void test_shape(void **state)
{
	(void)state;
	shaped("{" SOME "}", "");
	shaped("{" SOME ",\"width\":64,\"height\":32,\"steps\":4,\"cfg_scale\":2,\"fast\":false}",
	       "steps=4 width=64 height=32");
	shaped("{" SOME ",\"fast\":true}", "fast=true");
}

static void checked(const char *json, unsigned modality, const char *message)
{
	struct job job = parse(json);
	memset(&err, 0, sizeof err);
	int status = request_check(&job.request, modality, &err);
	assert_string_equal(err.text, message);
	assert_int_equal(status, *message ? SUMI_INVALID : SUMI_OK);
	job_clear(&job);
}

static void test_fields_of_other_modalities(void **state)
{
	(void)state;
	checked("{" SOME ",\"fps\":8}", PARAM_IMAGE, "field 'fps' is for video, not for image");
	checked("{" SOME ",\"loop\":true}", PARAM_IMAGE,
		"field 'loop' is for video and audio, not for image");
	checked("{" SOME ",\"loop\":false,\"loop_count\":0}", PARAM_IMAGE, "");
	checked("{" SOME ",\"duration\":3}", PARAM_VIDEO,
		"field 'duration' is for audio, not for video: its length is given by frames and "
		"fps");
	checked("{" SOME ",\"format\":\"png\"}", PARAM_AUDIO,
		"format is 'png', allowed are: ogg, wav");
	checked("{" SOME ",\"width\":64}", PARAM_AUDIO, "");
}

static void test_limits_of_values_that_no_sender_gave(void **state)
{
	(void)state;
	struct job job = parse("{" SOME "}");
	job.request.steps = 1001;
	assert_int_equal(request_check(&job.request, PARAM_IMAGE, &err), SUMI_INVALID);
	assert_string_equal(err.text, "steps is 1001, allowed are 1 to 1000");
	job.request.steps = 1;
	job.request.cfg_scale = INFINITY;
	assert_int_equal(request_check(&job.request, PARAM_IMAGE, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "cfg_scale"));
	job_clear(&job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows_are_whole),
	    cmocka_unit_test(test_metadata_read_back),
	    cmocka_unit_test(test_what_has_no_say_is_not_written),
	    cmocka_unit_test(test_shape),
	    cmocka_unit_test(test_fields_of_other_modalities),
	    cmocka_unit_test(test_limits_of_values_that_no_sender_gave),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
