/* Prompts beside the parsers of the programs that they are written for, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "diffusion/prompt.h"

static json_t *vectors;

/* A schedule of the reference is [[the last step, text], …]. */
static void check_part(const struct prompt_part *p, const json_t *schedule, int steps,
		       const char *whole)
{
	size_t entries = json_array_size(schedule), entry = 0;
	int times = 0;
	for (int step = 1; step <= steps; step++) {
		while (entry + 1 < entries &&
		       json_integer_value(json_array_get(json_array_get(schedule, entry), 0)) < step)
			entry++;
		const char *want =
		    json_string_value(json_array_get(json_array_get(schedule, entry), 1));
		if (strcmp(p->texts[p->at[step - 1]], want) != 0)
			fail_msg("%s: step %d: '%s', wanted '%s'", whole, step,
				 p->texts[p->at[step - 1]], want);
	}
	for (int i = 0; i < p->count; i++)
		times += p->times[i];
	assert_int_equal(times, entries);
}

static void check_segments(enum prompt_syntax syntax, const char *text, const json_t *want)
{
	struct prompt_segments s;
	struct error err = {0};
	int status = prompt_segments_read(syntax, text, &s, &err);
	if (json_is_null(want)) {
		assert_int_equal(status, SUMI_INVALID);
		return;
	}
	if (status)
		fail_msg("%s: %s", text, err.text);
	if (s.count != json_array_size(want))
		fail_msg("%s: %zu segments, wanted %zu", text, s.count, json_array_size(want));
	for (size_t i = 0; i < s.count; i++) {
		const json_t *row = json_array_get(want, i);
		if (strcmp(s.rows[i].text, json_string_value(json_array_get(row, 0))) != 0 ||
		    s.rows[i].weight != json_number_value(json_array_get(row, 1)))
			fail_msg("%s: segment %zu is '%s' %.17g", text, i, s.rows[i].text,
				 s.rows[i].weight);
		assert_int_equal(s.rows[i].breaks, syntax == PROMPT_A1111 &&
						       strcmp(s.rows[i].text, "BREAK") == 0 &&
						       s.rows[i].weight == -1);
	}
	prompt_segments_free(&s);
}

static void test_vectors(void **state)
{
	size_t i;
	json_t *row;
	(void)state;
	json_array_foreach(vectors, i, row)
	{
		const char *text = json_string_value(json_object_get(row, "text"));
		int steps = (int)json_integer_value(json_object_get(row, "steps"));
		const json_t *parts = json_object_get(row, "parts");
		struct prompt p;
		struct error err = {0};
		bool weighted;
		if (prompt_read(PROMPT_A1111, text, false, steps, &p, &err))
			fail_msg("%s: %s", text, err.text);
		assert_int_equal(p.count, json_array_size(parts));
		assert_int_equal(prompt_count_parts(PROMPT_A1111, text, &weighted), p.count);
		for (int k = 0; k < p.count; k++) {
			const json_t *part = json_array_get(parts, (size_t)k);
			assert_true(p.parts[k].weight ==
				    json_number_value(json_array_get(part, 0)));
			check_part(&p.parts[k], json_array_get(part, 1), steps, text);
		}
		check_segments(PROMPT_A1111, p.parts[0].texts[0], json_object_get(row, "a1111"));
		prompt_free(&p);
		assert_int_equal(prompt_read(PROMPT_A1111, text, true, steps, &p, &err), 0);
		assert_int_equal(p.count, 1);
		check_part(&p.parts[0], json_object_get(row, "negative"), steps, text);
		prompt_free(&p);
		check_segments(PROMPT_COMFY, text, json_object_get(row, "comfy"));
	}
	assert_true(i >= 500);
}

static bool is_plain(enum prompt_syntax syntax, const char *text, bool negative)
{
	bool plain;
	struct error err;
	assert_int_equal(prompt_tell_plain(syntax, text, negative, &plain, &err), SUMI_OK);
	return plain;
}

static void test_plain(void **state)
{
	static const struct {
		const char *text;
		bool a1111, comfy;
	} rows[] = {
	    {"a red boat, at dawn", true, true}, {"a | b", true, true},
	    {"", true, true},			 {"BRAND ANDES", true, true},
	    {" spaces ", true, true},		 {"a (b)", false, false},
	    {"a [b]", false, true},		 {"a AND b", false, true},
	    {"a BREAK b", false, true},		 {"16:9", false, true},
	    {"a: b", true, true},		 {"\\(a\\)", false, false},
	    {"(a:0.1.2)", false, false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(is_plain(PROMPT_A1111, rows[i].text, false), rows[i].a1111);
		assert_int_equal(is_plain(PROMPT_COMFY, rows[i].text, false), rows[i].comfy);
		assert_true(is_plain(PROMPT_DIFFUSERS, rows[i].text, false));
	}
	/* A negative prompt has no parts, and so no weight of them. */
	assert_true(is_plain(PROMPT_A1111, "a AND b: 2", true));
}

static char *repeated(const char *piece, int n)
{
	char *text = calloc((size_t)n * strlen(piece) + 1, 1);
	for (int i = 0; i < n; i++)
		memcpy(text + (size_t)i * strlen(piece), piece, strlen(piece));
	return text;
}

static void test_refused(void **state)
{
	(void)state;
	struct {
		enum prompt_syntax syntax;
		char *text;
		const char *says;
	} rows[] = {
	    {PROMPT_A1111, strdup("(a:1.2.3)"), "is no weight"},
	    {PROMPT_A1111, repeated("(a", 4000), "weight"},
	    {PROMPT_A1111, strdup("(a:99999999)"), "weight"},
	    {PROMPT_A1111, repeated("a AND ", 8), "more than 8 parts"},
	    {PROMPT_A1111, strdup("a AND b :2000"), "a part's weight"},
	    {PROMPT_A1111, repeated("[a|b|c|d|e|f|g|h|i][a|b|c|d|e|f|g|h]", 1), "texts on its way"},
	    {PROMPT_COMFY, strdup("(a:nan)"), "weight"},
	    {PROMPT_COMFY, strdup("(a:inf)"), "weight"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct prompt p;
		struct prompt_segments s = {0};
		struct error err = {0};
		int status = prompt_read(rows[i].syntax, rows[i].text, false, 100, &p, &err);
		if (!status)
			status =
			    prompt_segments_read(rows[i].syntax, p.parts[0].texts[0], &s, &err);
		assert_int_equal(status, SUMI_INVALID);
		assert_non_null(strstr(err.text, rows[i].says));
		assert_int_equal(s.count, 0);
		prompt_free(&p);
		free(rows[i].text);
	}
}

static void test_deep(void **state)
{
	(void)state;
	char *open = repeated("[(", 300), *close = repeated("):3]", 300);
	char *text = malloc(strlen(open) + strlen(close) + 1);
	struct prompt p;
	struct error err = {0};
	strcpy(stpcpy(text, open), close);
	assert_int_equal(prompt_read(PROMPT_A1111, text, false, 4, &p, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "brackets in brackets"));
	free(open);
	free(close);
	free(text);
}

static void test_names(void **state)
{
	enum prompt_syntax s;
	struct error err = {0};
	(void)state;
	for (int i = 0; i < PROMPT_SYNTAXES; i++) {
		assert_int_equal(prompt_syntax_of(prompt_syntax_names[i], &s, &err), 0);
		assert_int_equal(s, i);
	}
	assert_int_equal(prompt_syntax_of(NULL, &s, &err), 0);
	assert_int_equal(s, PROMPT_DIFFUSERS);
	assert_int_equal(prompt_syntax_of("midjourney", &s, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "diffusers, a1111, comfy, compel"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vectors), cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_refused), cmocka_unit_test(test_deep),
	    cmocka_unit_test(test_names),
	};
	struct error err = {0};
	if (json_read_file("tests/vectors/prompts.json", 4 << 20, &vectors, &err)) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	json_decref(vectors);
	return failed;
}
