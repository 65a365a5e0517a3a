/* The job's schema: limits, errors that name the field, both intake forms, the JSON Schema. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/files.h"
#include "queue/job.h"
#include "check.h"

#define MINIMAL "\"modality\":\"image\",\"prompt\":\"fog\""

static struct error err;

static void parse(const char *json, struct job *job)
{
	memset(&err, 0, sizeof err);
	if (job_parse_json(json, strlen(json), job, &err))
		fail_msg("%s: %s", json, err.text);
}

/* The job is refused with this message. */
static void refused(const char *json, const char *message)
{
	struct job job;
	if (job_parse_json(json, strlen(json), &job, &err) == SUMI_OK) {
		job_clear(&job);
		fail_msg("accepted: %s", json);
	}
	assert_string_equal(err.text, message);
}

static void test_defaults(void **state)
{
	(void)state;
	struct job job;
	parse("{" MINIMAL ",\"steps\":null}", &job);
	assert_null(job.id);
	assert_null(job.model);
	assert_false(job.seed_given);
	assert_int_equal(job.n, 1);
	assert_int_equal(job.steps, 0);
	assert_int_equal(job.max_attempts, 3);
	assert_int_equal(job.priority, JOB_NORMAL);
	assert_string_equal(job.submitter, "anonymous");
	assert_true(isnan(job.cfg_scale) && isnan(job.quality));
	assert_false(job.loop);
	job_clear(&job);
}

static void test_every_field_of_the_table(void **state)
{
	(void)state;
	static const char full[] =
	    "{\"id\":\"my.job:1_a-b\",\"modality\":\"video\",\"prompt\":\"туман\","
	    "\"negative_prompt\":\"rain\",\"prompt_template\":\"a\",\"negative_template\":\"b\",\"style\":\"c\",\"literal\":true,\"texts\":[{\"prompt\":\"d\"}],\"prompt_syntax\":\"comfy\",\"model\":\"org/"
	    "ink\",\"loras\":[{\"name\":\"a b\",\"weight\":0.8,\"te_weight\":0.0,\"dyn\":4}],"
	    "\"seed\":9223372036854775807,\"n\":64,"
	    "\"steps\":20,\"cfg_scale\":7.3,\"guidance_rescale\":0.5,\"guidance_start\":0.2,"
	    "\"guidance_end\":0.8,\"deep_cache\":3,"
	    "\"deep_cache_level\":2,"
	    "\"sampler\":\"dpm++2m\","
	    "\"scheduler\":\"karras\",\"rng\":\"philox\",\"precision\":\"half\",\"width\":512,\"height\":768,"
	    "\"clip_skip\":1,\"eta\":0.5,\"fast\":true,\"format\":\"webp\",\"quality\":90,\"lossless\":true,"
	    "\"init\":\"abc\",\"controls\":[{\"preprocess\":\"canny\",\"image\":\"abc\",\"strength\":0.8,"
	    "\"start\":0.1,\"end\":0.9,\"model\":\"m\",\"mask\":\"def\",\"joined\":true,\"guess\":true}],"
	    "\"strength\":0.6,\"mask\":\"def\",\"mask_from\":\"alpha\","
	    "\"mask_invert\":true,\"mask_grow\":-2,\"mask_blur\":0.0,\"mask_blend\":\"soft\","
	    "\"mask_fill\":\"noise\",\"only_masked\":true,\"mask_padding\":0.0,\"outpaint_left\":1,"
	    "\"outpaint_right\":2,\"outpaint_top\":3,\"outpaint_bottom\":4,\"hires\":1.5,\"hires_steps\":7,"
	    "\"hires_strength\":0.5,\"hires_upscaler\":\"lanczos\",\"tile\":\"x\",\"upscale\":2.5,\"upscaler\":\"4x a\","
	    "\"refiner\":\"fine\",\"refiner_at\":0.7,\"original_width\":1,\"original_height\":2,"
	    "\"crop_left\":3,\"crop_top\":4,\"target_width\":5,\"target_height\":6,\"image_cfg_scale\":1.5,"
	    "\"duration\":2.5,\"mood\":\"calm\",\"travel\":[{\"frame\":4,\"prompt\":\"x\",\"seed\":7}],\"frames\":16,"
	    "\"fps\":8,"
	    "\"loop\":true,\"reverse\":true,\"boomerang\":true,\"loop_count\":2,"
	    "\"scenes\":[{\"video\":\"abc\",\"frames\":8,\"fade\":2}],"
	    "\"music\":[{\"sound\":\"abc\",\"seconds\":2.5,\"tempo\":90.0,\"pause\":0.5}],\"priority\":"
	    "\"high\","
	    "\"not_before\":\"2030-01-01T00:00:00.000Z\",\"deadline\":\"2030-01-02T00:00:00.000Z\","
	    "\"window\":\"22:00-06:00\",\"tz\":\"Europe/Moscow\",\"after\":[\"a\",\"b\"],"
	    "\"max_attempts\":5,\"tags\":[\"one\",\"two\"],\"notify\":\"https://example.org/hook\","
	    "\"submitter\":\"ann\"}";
	struct job job;
	char *text;
	parse(full, &job);
	for (const struct param *p = param_table; p->name; p++)
		if (strcmp(p->name, "every") != 0) /* excludes 'after' */
			assert_non_null(json_object_get(job.fields, p->name));
	assert_int_equal(job.seed, INT64_MAX);
	assert_int_equal(job.not_before, 1893456000000);
	assert_int_equal(job.after.count, 2);
	assert_string_equal(job.tags.at[1], "two");
	assert_true(job.cfg_scale == 7.3);
	assert_int_equal(job_to_json(&job, &text, &err), SUMI_OK);
	assert_string_equal(text, full);
	free(text);
	job_clear(&job);
}

/* As pages write them, in any case; what is none of them may be an upscaler's name. */
static void test_names_of_hires_upscalers(void **state)
{
	(void)state;
	static const char *const rows[][2] = {{"Latent", "latent"},
					      {"Latent (antialiased)", "latent_antialiased"},
					      {"Latent (bicubic)", "latent_bicubic"},
					      {"Latent (bicubic antialiased)", "latent_bicubic_antialiased"},
					      {"Latent (nearest)", "latent_nearest"},
					      {"latent (NEAREST-exact)", "latent_nearest_exact"},
					      {"Lanczos", "lanczos"},
					      {"Latent (other)", "Latent (other)"}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[160];
		struct job job;
		snprintf(text, sizeof text, "{" MINIMAL ",\"hires\":2,\"hires_upscaler\":\"%s\"}", rows[i][0]);
		parse(text, &job);
		assert_string_equal(job.hires_upscaler, rows[i][1]);
		job_clear(&job);
	}
}

static void test_unknown_fields_are_named(void **state)
{
	(void)state;
	refused("{" MINIMAL ",\"stepz\":3}", "job: unknown field 'stepz' (did you mean 'steps'?)");
	refused("{" MINIMAL ",\"negative\":\"x\"}", "job: unknown field 'negative'");
	refused("{" MINIMAL ",\"cfgscale\":3}",
		"job: unknown field 'cfgscale' (did you mean 'cfg_scale'?)");
	refused("{" MINIMAL ",\"a\\nb\\u0416\":3}", "job: unknown field 'a?b?\?'");
	refused("{\"promt\":\"x\"}", "job: unknown field 'promt' (did you mean 'prompt'?)");
}

static void test_missing_and_wrong(void **state)
{
	(void)state;
	refused("[]", "job: must be a JSON object");
	refused("{\"prompt\":\"x\"}", "job: field 'modality' is missing: one of image, video, audio, world, film");
	refused("{\"modality\":\"image\"}", "job: field 'prompt' is missing");
	struct job mood;
	struct error err;
	const char *text = "{\"modality\":\"audio\",\"mood\":\"calm\",\"duration\":10}";
	assert_int_equal(job_parse_json(text, strlen(text), &mood, &err), SUMI_OK);
	assert_null(mood.prompt);
	job_clear(&mood);
	refused("{\"modality\":\"song\",\"prompt\":\"x\"}",
		"job: field 'modality' must be one of image, video, audio, world, film");
	refused("{" MINIMAL ",\"format\":\"jpg\"}", "job: field 'format' must be one of webp, png, jpeg");
	refused("{\"modality\":\"AUDIO\",\"prompt\":\"x\",\"format\":\"AAC\"}",
		"job: field 'format' must be one of ogg, wav, mp3");
	refused("{" MINIMAL ",\"steps\":1.5}", "job: field 'steps' must be a whole number");
	refused("{" MINIMAL ",\"steps\":1e300}", "job: field 'steps' must be a whole number");
	/* JSON has one kind of number. */
	struct job job;
	parse("{" MINIMAL ",\"steps\":20.0}", &job);
	assert_int_equal(job.steps, 20);
	assert_true(json_is_integer(json_object_get(job.fields, "steps")));
	job_clear(&job);
	refused("{" MINIMAL ",\"steps\":0}", "job: field 'steps' is 0, allowed are 1 to 1000");
	refused("{" MINIMAL ",\"n\":65}", "job: field 'n' is 65, allowed are 1 to 64");
	refused("{" MINIMAL ",\"seed\":7.5}",
		"job: field 'seed' must be a whole number from 0 to 18446744073709551615, or -1");
	refused("{" MINIMAL ",\"seed\":1e300}",
		"job: field 'seed' must be a whole number from 0 to 18446744073709551615, or -1");
	refused("{" MINIMAL ",\"seed\":-2.0}",
		"job: field 'seed' must be a whole number from 0 to 18446744073709551615, or -1");
	refused("{" MINIMAL ",\"seed\":-2}",
		"job: field 'seed' must be a whole number from 0 to 18446744073709551615, or -1");
	refused("{" MINIMAL ",\"loop\":1}", "job: field 'loop' must be true or false");
	refused("{" MINIMAL ",\"id\":\"a b\"}",
		"job: field 'id' must be made of A-Z a-z 0-9 . _ : - only");
	refused("{" MINIMAL ",\"id\":\"\"}",
		"job: field 'id' is 0 bytes long, allowed are 1 to 64");
	refused("{" MINIMAL ",\"after\":[\"a b\"]}",
		"job: field 'after' must be a list of job ids");
	refused("{" MINIMAL ",\"id\":\"a\",\"after\":[\"a\"]}",
		"job: field 'after' names the job itself");
	refused("{" MINIMAL ",\"window\":\"22-6\"}",
		"job: field 'window': '22-6' is no window: write one like 22:00-06:00");
	refused(
	    "{" MINIMAL ",\"tz\":\"Moscow/Europe\"}",
	    "job: field 'tz': time zone 'Moscow/Europe' is not in /usr/share/zoneinfo (is tzdata "
	    "installed?)");
	refused(
	    "{" MINIMAL ",\"tz\":\"../../etc/passwd\"}",
	    "job: field 'tz': '../../etc/passwd' is no time zone: write one like Europe/Moscow");
	refused("{" MINIMAL ",\"every\":\"10s\"}",
		"job: field 'every': '10s' is less than a minute");
	refused("{" MINIMAL ",\"every\":\"25:00\"}",
		"job: field 'every': '25:00' is no time of day: write one like 22:00");
	refused("{" MINIMAL ",\"notify\":\"file:///etc\"}",
		"job: field 'notify' must be a URL of http:// or https://");
	refused("{" MINIMAL ",\"notify\":\"ftp://x\"}",
		"job: field 'notify' must be a URL of http:// or https://");
	refused("{" MINIMAL ",\"not_before\":\"2030-01-02\",\"deadline\":\"2030-01-01\"}",
		"job: field 'deadline' is not later than 'not_before'");
	refused("{" MINIMAL ",\"not_before\":\"tomorrow\"}",
		"job: field 'not_before': 'tomorrow' is not a time: write 2026-01-31T22:00:00Z or "
		"2026-01-31T22:00:00+03:00");
	refused("{" MINIMAL ",\"prompt\":\"y\"}",
		"job:1:43: duplicate object key near '\"prompt\"'");
	refused("{\"modality\":", "job:1:12: unexpected token near end of file");
}

static void test_texts_that_are_too_long(void **state)
{
	(void)state;
	char json[10000],
	    message[] = "job: field 'prompt' is 8193 bytes long, allowed are 1 to 8192";
	char prompt[8194];
	struct job job;
	memset(prompt, 'x', sizeof prompt);
	prompt[8193] = '\0';
	snprintf(json, sizeof json, "{\"modality\":\"image\",\"prompt\":\"%s\"}", prompt);
	refused(json, message);
	prompt[8192] = '\0';
	snprintf(json, sizeof json, "{\"modality\":\"image\",\"prompt\":\"%s\"}", prompt);
	parse(json, &job);
	job_clear(&job);
	char *huge = calloc(JOB_JSON_MAX + 2, 1);
	memset(huge, ' ', JOB_JSON_MAX + 1);
	assert_int_equal(job_parse_json(huge, JOB_JSON_MAX + 1, &job, &err), SUMI_TOOBIG);
	free(huge);
	/* Neither half characters nor NULs get in. */
	assert_int_equal(job_parse_json("{\"prompt\":\"\xd0\"}", 13, &job, &err), SUMI_INVALID);
	refused("{\"modality\":\"image\",\"prompt\":\"a\\u0000b\"}",
		"job:1:39: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"a\\u0000b\"'");
}

static int flat(const char *const *pairs, struct job *job)
{
	struct job_text fields[16];
	size_t n = 0;
	for (; pairs[2 * n]; n++)
		fields[n] = (struct job_text){pairs[2 * n], strlen(pairs[2 * n]), pairs[2 * n + 1],
					      strlen(pairs[2 * n + 1])};
	return job_parse_flat(fields, n, job, &err);
}

/* Read in any case, kept in one. */
static void test_words(void **state)
{
	(void)state;
	const char *text = "{\"modality\":\"Image\",\"prompt\":\"x\",\"format\":\"PNG\",\"rng\":\"Philox\","
			   "\"priority\":\"HIGH\",\"precision\":\"Half\"}";
	const char *const words[] = {"FORMAT", "x", NULL};
	const char *const pairs[] = {"format", "Wav", "prompt", "x", "modality", "Audio", NULL};
	const char *const wrong[] = {"format", "JPG", "prompt", "x", "modality", "Video", NULL};
	struct job job;
	struct error err;
	assert_int_equal(job_parse_json(text, strlen(text), &job, &err), SUMI_OK);
	assert_string_equal(job.modality, "image");
	assert_string_equal(job.format, "png");
	assert_string_equal(job.rng, "philox");
	assert_string_equal(job.precision, "half");
	assert_int_equal(job.priority, 0);
	assert_string_equal(json_string_value(json_object_get(job.fields, "priority")), "high");
	job_clear(&job);
	assert_int_equal(flat(pairs, &job), SUMI_OK);
	assert_string_equal(job.format, "wav");
	job_clear(&job);
	assert_int_equal(flat(words, &job), SUMI_INVALID); /* names of fields are as they are */
	struct job_text texts[3];
	for (size_t i = 0; i < 3; i++)
		texts[i] = (struct job_text){wrong[2 * i], strlen(wrong[2 * i]), wrong[2 * i + 1],
					     strlen(wrong[2 * i + 1])};
	assert_int_equal(job_parse_flat(texts, 3, &job, &err), SUMI_INVALID);
	assert_string_equal(err.text, "job: field 'format' must be one of webp, png, webm");
}

static void test_flat_fields(void **state)
{
	(void)state;
	static const char *const good[] = {
	    "modality",   "audio",         "prompt",   "42",    "n",      "3",     "cfg_scale",
	    "4.5",        "loop",          "yes",      "tags",  "a, b,c", "after", "x",
	    "not_before", "1893456000000", "priority", "batch", NULL};
	static const struct {
		const char *pairs[6];
		const char *message;
	} bad[] = {
	    {{"modality", "audio", "n", "3x"}, "job: field 'n' must be a whole number"},
	    {{"modality", "audio", "n", " 3"}, NULL},
	    {{"n", "3", "n", "3"}, "job: field 'n' stands there twice"},
	    {{"prompt", "\xff"}, "job: field 'prompt' must be valid UTF-8"},
	    {{"loop", "maybe"}, "job: field 'loop' must be true or false"},
	    {{"cfg_scale", "nan"}, "job: field 'cfg_scale' must be a number"},
	    {{"promtp", "x"}, "job: unknown field 'promtp' (did you mean 'prompt'?)"},
	};
	struct job job;
	assert_int_equal(flat(good, &job), SUMI_OK);
	assert_string_equal(job.prompt, "42");
	assert_int_equal(job.n, 3);
	assert_true(job.cfg_scale == 4.5);
	assert_true(job.loop);
	assert_int_equal(job.tags.count, 3);
	assert_string_equal(job.tags.at[1], "b");
	assert_int_equal(job.not_before, 1893456000000);
	assert_int_equal(job.priority, JOB_BATCH);
	job_clear(&job);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(flat(bad[i].pairs, &job), SUMI_INVALID);
		if (bad[i].message)
			assert_string_equal(err.text, bad[i].message);
	}
}

static void test_complete(void **state)
{
	(void)state;
	struct job job, other;
	parse("{" MINIMAL ",\"window\":\"22:00-06:00\"}", &job);
	parse("{" MINIMAL "}", &other);
	assert_int_equal(job_complete(&job, &err), SUMI_OK);
	assert_int_equal(job_complete(&other, &err), SUMI_OK);
	assert_int_equal(strlen(job.id), 26);
	assert_string_not_equal(job.id, other.id);
	assert_true(job.seed <= UINT32_MAX);
	assert_non_null(job.tz);
	assert_null(other.tz);
	job_clear(&job);
	job_clear(&other);
	parse("{" MINIMAL ",\"id\":\"a\",\"seed\":-1.0}", &job);
	assert_false(job.seed_given);
	job_clear(&job);
	parse("{" MINIMAL ",\"id\":\"a\",\"seed\":4294967296.0}", &job);
	assert_true(job.seed_given && job.seed == 4294967296);
	job_clear(&job);
	parse("{" MINIMAL ",\"id\":\"a\",\"seed\":5}", &job);
	assert_int_equal(job_complete(&job, &err), SUMI_OK);
	assert_string_equal(job.id, "a");
	assert_int_equal(job.seed, 5);
	job_clear(&job);
}

static void test_set_that_fails_changes_nothing(void **state)
{
	(void)state;
	struct job job;
	parse("{" MINIMAL ",\"n\":2}", &job);
	assert_int_equal(job_set(&job, "n", json_integer(0), &err), SUMI_INVALID);
	assert_int_equal(job.n, 2);
	assert_string_equal(job.prompt, "fog");
	job_clear(&job);
}

static void test_series_ids(void **state)
{
	(void)state;
	assert_int_equal(job_series_length("night"), 5);
	assert_int_equal(job_series_length("night.20261122T220000Z"), 5);
	assert_int_equal(job_series_length("night.20261122T22000Z"), 21);
	assert_int_equal(job_series_length(".20261122T220000Z"), 17);
	refused("{" MINIMAL
		",\"every\":\"1h\",\"id\":\"0123456789012345678901234567890123456789012345678\"}",
		"job: field 'id' of a recurring job is longer than 47 bytes");
}

/* Random damage: what is still accepted must read back as the same job. */
static void test_damaged_json(void **state)
{
	(void)state;
	static const char whole[] = "{\"id\":\"a\",\"modality\":\"audio\",\"prompt\":\"\\u0442\","
				    "\"seed\":12,\"cfg_scale\":1.5e0,"
				    "\"after\":[\"b\"],\"tags\":[\"t\"],\"window\":\"01:00-02:00\","
				    "\"tz\":\"UTC\",\"loop\":true}";
	static const char letters[] = "0123456789-.eE+:,[]{}\"\\atz\x7f\x80\xd0\n ";
	uint32_t random = 1, accepted = 0;
	for (int round = 0; round < 20000; round++) {
		char damaged[sizeof whole], *text, *again;
		struct job job, second;
		memcpy(damaged, whole, sizeof whole);
		random = random * 1664525 + 1013904223;
		damaged[(random >> 8) % (sizeof whole - 1)] =
		    letters[(random >> 24) % (sizeof letters - 1)];
		if (job_parse_json(damaged, sizeof whole - 1, &job, &err))
			continue;
		accepted++;
		assert_int_equal(job_to_json(&job, &text, &err), SUMI_OK);
		parse(text, &second);
		assert_int_equal(job_to_json(&second, &again, &err), SUMI_OK);
		assert_string_equal(text, again);
		free(text);
		free(again);
		job_clear(&job);
		job_clear(&second);
	}
	assert_within(accepted, 1000, 15000);
}

/* To print it anew: SUMI_WRITE_SCHEMA=docs/job.schema.json build/tests/test_job */
static void test_json_schema_is_that_of_the_table(void **state)
{
	(void)state;
	char *text, *file;
	assert_int_equal(job_schema_text(&text, &err), SUMI_OK);
	const char *write_to = getenv("SUMI_WRITE_SCHEMA");
	if (write_to)
		assert_int_equal(files_write_durable(write_to, text, strlen(text), &err), SUMI_OK);
	assert_int_equal(files_read("docs/job.schema.json", 1 << 20, &file, NULL, &err), SUMI_OK);
	assert_string_equal(text, file);
	free(file);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults),
	    cmocka_unit_test(test_every_field_of_the_table),
	    cmocka_unit_test(test_unknown_fields_are_named),
	    cmocka_unit_test(test_names_of_hires_upscalers),
	    cmocka_unit_test(test_missing_and_wrong),
	    cmocka_unit_test(test_texts_that_are_too_long),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_flat_fields),
	    cmocka_unit_test(test_complete),
	    cmocka_unit_test(test_set_that_fails_changes_nothing),
	    cmocka_unit_test(test_series_ids),
	    cmocka_unit_test(test_damaged_json),
	    cmocka_unit_test(test_json_schema_is_that_of_the_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
