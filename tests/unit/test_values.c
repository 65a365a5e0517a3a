/* Values of parameters that no row of the table has yet, or that are more than a number or a text:
 * lists of objects, files. The rows here are the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "request/job.h"
#include "request/param.h"

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct error err;

static const struct param_word kinds[] = {{"edges", PARAM_ALL}, {"depth", PARAM_ALL}, {NULL, 0}};
static const struct param members[] = {
    {.name = "name", .type = PARAM_NAME, .min = 1, .max = 20, .flags = PARAM_NEEDED, .help = "which"},
    {.name = "scale", .type = PARAM_NUMBER, .min = -2, .max = 2, .fallback = "1", .help = "how much"},
    {.name = "kind", .type = PARAM_WORD, .words = kinds, .help = "of what"},
    {.name = "layers", .type = PARAM_INT, .min = 1, .max = 9, .help = "how many"},
    {.name = "picture", .type = PARAM_FILE, .min = 1, .max = 4096, .help = "from what"},
    {.name = NULL}};
static const struct param controls = {.name = "controls",
				      .type = PARAM_OBJECT_LIST,
				      .modalities = PARAM_ALL,
				      .max = 3,
				      .members = members,
				      .help = "what leads it"};
static const struct param mask = {
    .name = "mask", .type = PARAM_FILE, .modalities = PARAM_ALL, .min = 1, .max = 80, .help = "where"};

static char *dump(json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	json_decref(value);
	return text;
}

static void expect_json(const struct param *p, const char *given, const char *canonical)
{
	json_t *value = json_loads(given, JSON_DECODE_ANY, NULL), *out;
	if (param_canonical(p, 0, value, &out, &err))
		fail_msg("%s: %s", given, err.text);
	json_decref(value);
	char *text = dump(out);
	assert_string_equal(text, canonical);
	free(text);
}

static void refuse_json(const struct param *p, const char *given, const char *why)
{
	json_t *value = json_loads(given, JSON_DECODE_ANY, NULL), *out;
	assert_int_equal(param_canonical(p, 0, value, &out, &err), SUMI_INVALID);
	assert_string_equal(err.text, why);
	json_decref(value);
}

static void expect_text(const struct param *p, const char *given, const char *canonical)
{
	json_t *out;
	if (param_from_text(p, 0, given, strlen(given), &out, &err))
		fail_msg("%s: %s", given, err.text);
	char *text = dump(out);
	assert_string_equal(text, canonical);
	free(text);
}

static void refuse_text(const struct param *p, const char *given, const char *why)
{
	json_t *out;
	assert_int_equal(param_from_text(p, 0, given, strlen(given), &out, &err), SUMI_INVALID);
	assert_string_equal(err.text, why);
}

/* Members in the table's order, what is open as usual, one way to write a number. */
static void test_objects_are_canonical(void **state)
{
	(void)state;
	expect_json(&controls, "[]", "[]");
	expect_json(&controls, "[{\"kind\":\"DEPTH\",\"name\":\"a\",\"scale\":1,\"layers\":null}]",
		    "[{\"name\":\"a\",\"scale\":1.0,\"kind\":\"depth\"}]");
	expect_json(&controls, "[{\"name\":\"a\"},{\"name\":\"a\"}]",
		    "[{\"name\":\"a\",\"scale\":1.0},{\"name\":\"a\",\"scale\":1.0}]");
	expect_json(&controls, "[{\"name\":\"a\",\"picture\":\"sha256:" HASH "\"}]",
		    "[{\"name\":\"a\",\"scale\":1.0,\"picture\":\"" HASH "\"}]");
}

static void test_objects_are_refused(void **state)
{
	(void)state;
	refuse_json(&controls, "{\"name\":\"a\"}", "job: field 'controls' must be a list of objects");
	refuse_json(&controls, "[1]", "job: field 'controls', entry 1: must be an object");
	refuse_json(&controls, "[{\"name\":\"a\"},{}]",
		    "job: field 'controls', entry 2: field 'name' is missing");
	refuse_json(&controls, "[{\"name\":\"a\",\"scale\":3}]",
		    "job: field 'controls', entry 1: field 'scale' is 3, allowed are -2 to 2");
	refuse_json(&controls, "[{\"name\":\"a\",\"layers\":1.5}]",
		    "job: field 'controls', entry 1: field 'layers' must be a whole number");
	refuse_json(&controls, "[{\"name\":\"a\",\"scal\":1}]",
		    "job: field 'controls', entry 1: unknown field 'scal' (did you mean 'scale'?)");
	refuse_json(&controls, "[{\"name\":\"a b\"}]",
		    "job: field 'controls', entry 1: field 'name' must be made of A-Z a-z 0-9 . _ : / + - "
		    "only");
	refuse_json(&controls, "[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"},{\"name\":\"d\"}]",
		    "job: field 'controls' has 4 entries, allowed are 0 to 3");
	refuse_json(&controls, "[{\"name\":\"a\",\"picture\":\"sha256:00\"}]",
		    "job: field 'controls', entry 1: field 'picture': 'sha256:00' is no SHA-256: sha256: "
		    "and 64 hexadecimal digits");
}

/* As an option or a flat field has it. */
static void test_objects_of_text(void **state)
{
	(void)state;
	expect_text(&controls, "a", "[{\"name\":\"a\",\"scale\":1.0}]");
	expect_text(&controls, " a , scale=0.5,kind=Edges ;b",
		    "[{\"name\":\"a\",\"scale\":0.5,\"kind\":\"edges\"},{\"name\":\"b\",\"scale\":1.0}]");
	expect_text(&controls, "scale=-1,name=a:b", "[{\"name\":\"a:b\",\"scale\":-1.0}]");
	expect_text(&controls, "", "[]");
	expect_text(&controls, " [{\"name\":\"a\"}]", "[{\"name\":\"a\",\"scale\":1.0}]");
	expect_text(&controls, "{\"name\":\"a\"}", "[{\"name\":\"a\",\"scale\":1.0}]");
	refuse_text(&controls, "a,0.5", "job: field 'controls', entry 1: '0.5' is no MEMBER=VALUE");
	refuse_text(&controls, "a;b,weight=1",
		    "job: field 'controls', entry 2: 'weight=1' is no MEMBER=VALUE");
	refuse_text(&controls, "a,name=b", "job: field 'controls', entry 1: field 'name' stands there twice");
	refuse_text(&controls, "a;;b",
		    "job: field 'controls', entry 2: field 'name' is 0 bytes long, allowed are 1 to 20");
	refuse_text(&controls, "a,scale=much",
		    "job: field 'controls', entry 1: field 'scale' must be a number");
	refuse_text(&controls, "{\"name\"", "job: field 'controls' must be JSON, or "
					     "MEMBER=VALUE,MEMBER=VALUE;…");
}

/* What a canonical value is written as reads as the same value. */
static void test_text_is_read_back(void **state)
{
	(void)state;
	static const struct {
		const char *json, *text;
	} rows[] = {
	    {"[{\"name\":\"a\",\"scale\":0.5,\"kind\":\"edges\"},{\"name\":\"b\",\"scale\":1.0}]",
	     "a, scale=0.5, kind=edges; b, scale=1.0"},
	    {"[{\"name\":\"a\",\"scale\":1.0,\"picture\":\"one, two.png\"}]",
	     "[{\"name\":\"a\",\"scale\":1.0,\"picture\":\"one, two.png\"}]"},
	    {"[]", ""},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		json_t *value = json_loads(rows[i].json, 0, NULL);
		char *text = param_text(&controls, value);
		assert_string_equal(text, rows[i].text);
		expect_text(&controls, text, rows[i].json);
		free(text);
		json_decref(value);
	}
}

static void test_schema_of_objects(void **state)
{
	(void)state;
	char *text = dump(param_schema(&controls));
	assert_string_equal(
	    text, "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"additionalProperties\":false,"
		  "\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,"
		  "\"maxLength\":20,\"pattern\":\"^[A-Za-z0-9._:/+-]+$\",\"description\":\"which\"},"
		  "\"scale\":{\"type\":\"number\",\"minimum\":-2,\"maximum\":2,\"description\":\"how much\","
		  "\"default\":1},\"kind\":{\"enum\":[\"edges\",\"depth\"],\"description\":\"of what\"},"
		  "\"layers\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9,\"description\":\"how many\"},"
		  "\"picture\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096,"
		  "\"description\":\"from what\"}}},\"minItems\":0,\"maxItems\":3}");
	free(text);
}

static void test_files(void **state)
{
	(void)state;
	expect_text(&mask, HASH, "\"" HASH "\"");
	expect_text(&mask, "sha256:" HASH, "\"" HASH "\"");
	expect_json(&mask, "\"00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff\"",
		    "\"" HASH "\"");
	expect_text(&mask, "job-1", "\"job-1\"");
	expect_text(&mask, "/a/sha256:b", "\"/a/sha256:b\"");
	refuse_text(&mask, "sha256:0011",
		    "job: field 'mask': 'sha256:0011' is no SHA-256: sha256: and 64 hexadecimal digits");
	refuse_text(&mask, "", "job: field 'mask' is 0 bytes long, allowed are 1 to 80");
	refuse_json(&mask, "7", "job: field 'mask' must be a text");
}

/* The row that is one: what it names and where that lies stand side by side. */
static void test_a_job_with_a_file(void **state)
{
	(void)state;
	static const char json[] =
	    "{\"modality\":\"image\",\"prompt\":\"x\",\"init\":\"sha256:" HASH "\"}";
	struct job job;
	assert_int_equal(job_parse_json(json, sizeof json - 1, &job, &err), SUMI_OK);
	assert_string_equal(job.init, HASH);
	assert_null(job.init_file);
	job_clear(&job);
	assert_int_equal(param_find("init")->type, PARAM_FILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_objects_are_canonical), cmocka_unit_test(test_objects_are_refused),
	    cmocka_unit_test(test_objects_of_text),	  cmocka_unit_test(test_text_is_read_back),
	    cmocka_unit_test(test_schema_of_objects),	  cmocka_unit_test(test_files),
	    cmocka_unit_test(test_a_job_with_a_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
