/* Prompts in compel's way, as its own parser reads them (tools/reference/prompt_compel.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/prompt_compel.h"
#include "diffusion/prompt_terms.h"

static json_t *shown(const struct compel_prompt *p)
{
	json_t *parts = json_array();
	for (size_t i = 0; i < p->count; i++) {
		json_t *texts = json_array();
		for (size_t k = 0; k < p->parts[i].count; k++) {
			const struct compel_text *t = &p->parts[i].texts[k];
			json_t *rows = json_array();
			for (size_t m = 0; m < t->segments.count; m++)
				json_array_append_new(rows, json_pack("[s, f]", t->segments.rows[m].text,
								      t->segments.rows[m].weight));
			json_array_append_new(texts, json_pack("[f, o]", t->share, rows));
		}
		json_array_append_new(parts, json_pack("[f, o]", p->parts[i].weight, texts));
	}
	return parts;
}

static bool same(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b))
		return fabs(json_number_value(a) - json_number_value(b)) <= 1e-12 * fmax(1, fabs(json_number_value(b)));
	if (!json_is_array(a) || !json_is_array(b))
		return json_equal(a, b);
	bool equal = json_array_size(a) == json_array_size(b);
	for (size_t i = 0; i < json_array_size(a) && equal; i++)
		equal = same(json_array_get(a, i), json_array_get(b, i));
	return equal;
}

static void test_rows(void **state)
{
	(void)state;
	json_t *rows = json_load_file("tests/vectors/compel.json", 0, NULL), *row;
	size_t i, wrong = 0, refused = 0;
	assert_true(json_array_size(rows) >= 500);
	json_array_foreach(rows, i, row)
	{
		struct compel_prompt p;
		struct error err = {0};
		const char *text = json_string_value(json_object_get(row, "text"));
		const json_t *want = json_object_get(row, "parts");
		int status = compel_read(text, &p, &err);
		json_t *got = status ? json_null() : shown(&p);
		refused += status != 0;
		if (!same(got, want)) {
			char *a = json_dumps(got, JSON_ENCODE_ANY), *b = json_dumps(want, JSON_ENCODE_ANY);
			print_error("'%s': %s %s, not %s\n", text, a, err.text, b);
			free(a);
			free(b);
			wrong++;
		}
		json_decref(got);
		compel_free(&p);
	}
	assert_int_equal(wrong, 0);
	assert_true(refused > 10);
	json_decref(rows);
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *why;
	} rows[] = {{"a cat.swap(dog)", ".swap()"},
		    {"useLora(ink, 0.5) a cat", "--loras"},
		    {"(\"a\", \"b\").and() c", "behind"},
		    {"(\"a\", \"b\").blend(1, 2, 3)", "as many numbers"},
		    {"(\"a\", \"b\").blend(x, y)", "numbers"},
		    {"(\"a\", \"b\").and(1, 1, no_normalize)", "no_normalize"},
		    {"(\"a\", \"b\").blend(1, -1)", "add up to nothing"},
		    {"(\"a\", \"\").blend(1, 1) x", "behind"}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct compel_prompt p;
		struct error err = {0};
		assert_int_equal(compel_read(rows[i].text, &p, &err), SUMI_INVALID);
		if (!strstr(err.text, rows[i].why))
			fail_msg("'%s': %s", rows[i].text, err.text);
		assert_null(p.parts);
	}
}

/* Brackets and operators within others take no longer than they are long. */
static void test_deep(void **state)
{
	(void)state;
	static const char *const pieces[] = {"(", "( a ", "\"", "(a)1.2 ", "x.attend(", "(\"a\", ", "\\\"", "((a)+ "};
	char text[8192];
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		struct compel_prompt p;
		struct error err = {0};
		size_t n = strlen(pieces[i]), used = 0;
		for (; used + n < sizeof text; used += n)
			memcpy(text + used, pieces[i], n);
		text[used] = '\0';
		compel_read(text, &p, &err);
		compel_free(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_refused),
					   cmocka_unit_test(test_deep)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
