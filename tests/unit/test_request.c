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
		for (const struct param *m = p->type == PARAM_OBJECT_LIST ? p->members : NULL; m && m->name; m++)
			assert_true(m->type != PARAM_OBJECT_LIST); /* objects.c reads members as single values */
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
			       "\"scheduler\":\"karras\",\"rng\":\"torch\",\"precision\":\"half\",\"width\":64,\"height\":32,"
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
	said("{" SOME ",\"precision\":\"exact\"}", "precision", false);
	said("{" SOME ",\"precision\":\"half\"}", "precision", true);
	said("{" SOME ",\"guidance_end\":1}", "guidance_end", false);
	said("{" SOME "}", "negative_prompt", false);
	/* Some models tell an empty one from none. */
	said("{" SOME ",\"negative_prompt\":\"\"}", "negative_prompt", true);
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
	checked("{" SOME ",\"fps\":8}", PARAM_IMAGE, "field 'fps' is for video and film, not for image");
	checked("{" SOME ",\"loop\":true}", PARAM_IMAGE,
		"field 'loop' is for video, audio and world, not for image");
	checked("{" SOME ",\"loop\":false,\"loop_count\":0}", PARAM_IMAGE, "");
	checked("{" SOME ",\"duration\":3}", PARAM_VIDEO,
		"field 'duration' is for audio, not for video: its length is given by frames and "
		"fps");
	checked("{" SOME ",\"format\":\"png\"}", PARAM_AUDIO,
		"format is 'png', allowed are: ogg, wav, mp3");
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

static void admitted(const char *json, const char *message)
{
	struct job job = parse(json);
	memset(&err, 0, sizeof err);
	int status = job_check(&job, &err);
	assert_string_equal(err.text, message);
	assert_int_equal(status, *message ? SUMI_INVALID : SUMI_OK);
	job_clear(&job);
}

static void test_what_is_refused_where_a_job_enters(void **state)
{
	(void)state;
	admitted("{" SOME "}", "");
	admitted("{" SOME ",\"id\":\".dot\"}",
		 "job: field 'id': an id does not begin with a dot");
	admitted("{" SOME ",\"id\":\"-\"}", "job: field 'id': '-' is standard input, and no id");
	admitted("{" SOME ",\"after\":[\"a\",\".b\"]}",
		 "job: field 'after': an id does not begin with a dot");
	admitted("{" SOME ",\"tags\":[\"a\",\"b\\tc\"]}",
		 "job: field 'tags' has a control character at byte 2");
	admitted("{" SOME ",\"notify\":\"http://a b/\"}",
		 "job: field 'notify' has a space at byte 9");
	admitted("{" SOME ",\"fps\":8}", "job: field 'fps' is for video and film, not for image");
	admitted("{" SOME ",\"format\":\"ogg\"}", "job: format is 'ogg', allowed are: webp, png, jpeg");
	admitted("{" SOME ",\"init\":\"x\",\"strength\":0}",
		 "job: strength is 0, allowed are 0 (exclusive) to 1");
	admitted("{" SOME ",\"guidance_start\":0.5,\"guidance_end\":0.25}",
		 "job: guidance_start is 0.5 and guidance_end 0.25: both are parts of the run, 0 to 1, "
		 "the start before the end");
	admitted("{" SOME ",\"guidance_start\":0.5,\"guidance_end\":0}", "");
}

static void seeded(const char *seed, uint64_t want, const char *canonical)
{
	char json[128], *text;
	snprintf(json, sizeof json, "{\"modality\":\"image\",\"prompt\":\"a\",\"seed\":%s}", seed);
	struct job job = parse(json);
	assert_true(job.seed_given && job.seed == want);
	json_t *value = json_object_get(job.fields, "seed");
	text = json_dumps(value, JSON_ENCODE_ANY);
	assert_string_equal(text, canonical);
	free(text);
	assert_true(job_request(&job, 2).seed == want + 2); /* 0 follows the last */
	job_clear(&job);
}

static void test_seeds_have_64_bits(void **state)
{
	(void)state;
	seeded("0", 0, "0");
	seeded("\"7\"", 7, "7");
	seeded("9223372036854775807", INT64_MAX, "9223372036854775807");
	seeded("9223372036854775808", (uint64_t)INT64_MAX + 1, "\"9223372036854775808\"");
	seeded("18446744073709551615", UINT64_MAX, "\"18446744073709551615\"");
	seeded("\"18446744073709551615\"", UINT64_MAX, "\"18446744073709551615\"");
	static const char *const bad[] = {"18446744073709551616", "\"18446744073709551616\"", "-2",
					  "1.5", "\"1e3\"", "\" 1\"", "\"+1\"", "\"0x10\"", "\"\"",
					  "\"-0\"", "true"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char json[128];
		struct job job;
		snprintf(json, sizeof json, "{\"modality\":\"image\",\"prompt\":\"a\",\"seed\":%s}",
			 bad[i]);
		assert_int_equal(job_parse_json(json, strlen(json), &job, &err), SUMI_INVALID);
		assert_string_equal(err.text, "job: field 'seed' must be a whole number from 0 to "
					      "18446744073709551615, or -1");
	}
	static const char *const open[] = {"-1", "\"-1\"", "null"};
	for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
		char json[128];
		snprintf(json, sizeof json, "{\"modality\":\"image\",\"prompt\":\"a\",\"seed\":%s}",
			 open[i]);
		struct job job = parse(json);
		assert_false(job.seed_given);
		assert_int_equal(job_complete(&job, &err), SUMI_OK);
		assert_true(job.seed_given);
		job_clear(&job);
	}
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
	    cmocka_unit_test(test_what_is_refused_where_a_job_enters),
	    cmocka_unit_test(test_seeds_have_64_bits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
