/* A1111's parameters text: writer, parser, and what goes wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "media/infotext.h"

static void parse(const char *in, struct infotext *t)
{
	struct error err = {0};
	if (infotext_parse(in, strlen(in), t, &err))
		fail_msg("%s", err.text);
}

static void check_writer_order(void **state)
{
	(void)state;
	struct infotext_field fields[] = {
	    {"Version", "sumi 0.1"}, {"Size", "512x768"},  {"Mood", "calm"},
	    {"Seed", "7"},           {"CFG scale", "7.5"}, {"Schedule type", "Karras"},
	    {"Steps", "20"},         {"Model", NULL},      {"Sampler", "Euler a"},
	};
	struct infotext t = {"a cat", "blurry", fields, 9};
	char *text;
	assert_int_equal(infotext_write(&t, &text, NULL), 0);
	assert_string_equal(text,
			    "a cat\nNegative prompt: blurry\n"
			    "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7.5, "
			    "Seed: 7, Size: 512x768, Mood: calm, Version: sumi 0.1");
	free(text);
	t.negative_prompt = NULL;
	t.count = 1;
	assert_int_equal(infotext_write(&t, &text, NULL), 0);
	assert_string_equal(text, "a cat\nVersion: sumi 0.1");
	free(text);
}

static void check_quoting(void **state)
{
	(void)state;
	struct infotext_field fields[] = {
	    {"Steps", "1"},         {"Model", "ink, the \"small\" one"},
	    {"User", "two\nlines"}, {"Tiling", "a:b"},
	    {"VAE", " spaces "},    {"Мood", "туман, горы"},
	    {"NGMS", "\"quoted\""}, {"Seed", "1\\2"},
	};
	struct infotext t = {"п, \"q\": 墨\nsecond line", "плохо, \"x\"\n: y", fields, 8}, back;
	char *text;
	assert_int_equal(infotext_write(&t, &text, NULL), 0);
	assert_non_null(strstr(text, "Model: \"ink, the \\\"small\\\" one\""));
	assert_non_null(strstr(text, "User: \"two\\nlines\""));
	parse(text, &back);
	assert_string_equal(back.prompt, t.prompt);
	assert_string_equal(back.negative_prompt, t.negative_prompt);
	assert_int_equal(back.count, 8);
	for (size_t i = 0; i < 8; i++)
		assert_string_equal(infotext_get(&back, fields[i].key), fields[i].value);
	infotext_free(&back);
	free(text);
}

/* A text as stable-diffusion-webui writes it. */
static void check_parse_foreign(void **state)
{
	(void)state;
	struct infotext t;
	parse("masterpiece, (cat:1.2)\nsitting <lora:x:0.5>\n"
	      "Negative prompt: bad hands,\nblurry\n"
	      "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 123, "
	      "Size: 512x768, Model hash: abc123, Lora hashes: \"x: 1234, y: 5\", Version: v1.9\n",
	      &t);
	assert_string_equal(t.prompt, "masterpiece, (cat:1.2)\nsitting <lora:x:0.5>");
	assert_string_equal(t.negative_prompt, "bad hands,\nblurry");
	assert_string_equal(infotext_get(&t, "Sampler"), "DPM++ 2M");
	assert_string_equal(infotext_get(&t, "Size"), "512x768");
	assert_string_equal(infotext_get(&t, "Lora hashes"), "x: 1234, y: 5");
	assert_string_equal(infotext_get(&t, "Version"), "v1.9");
	assert_null(infotext_get(&t, "Nothing"));
	assert_int_equal(t.count, 9);
	infotext_free(&t);
}

/* sd-dynamic-prompts says behind the parameters what the prompts were made of, in a line or several. */
static void check_templates(void **state)
{
	(void)state;
	static const char said[] = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5";
	static const struct {
		const char *behind, *template, *negative;
	} rows[] = {{"\nTemplate: a {fox|dog}", "a {fox|dog}", NULL},
		    {"\nNegative Template: {x|y}", NULL, "{x|y}"},
		    {"\r\nTemplate: a\r\nb, c: d\r\nNegative Template: {x|y}\r\n", "a\r\nb, c: d", "{x|y}"},
		    {"\nTemplate: Steps: 1, ab: b, cd: d\nNegative Template: ef: g, hi: j, kl: m", "Steps: 1, ab: b, cd: d", "ef: g, hi: j, kl: m"}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char in[256];
		struct infotext t;
		snprintf(in, sizeof in, "a fox\nNegative prompt: bad\n%s%s", said, rows[i].behind);
		parse(in, &t);
		assert_string_equal(t.prompt, "a fox");
		assert_string_equal(t.negative_prompt, "bad");
		assert_string_equal(infotext_get(&t, "Seed"), "5");
		const char *template = infotext_get(&t, "Template"), *negative = infotext_get(&t, "Negative Template");
		assert_true(!template == !rows[i].template && (!template || strcmp(template, rows[i].template) == 0));
		assert_true(!negative == !rows[i].negative && (!negative || strcmp(negative, rows[i].negative) == 0));
		infotext_free(&t);
	}
	struct infotext t;
	parse("a fox\nTemplate: b", &t);
	assert_string_equal(t.prompt, "a fox\nTemplate: b");
	infotext_free(&t);
}

static void check_no_parameters(void **state)
{
	(void)state;
	struct infotext t;
	parse("time: noon, place: sea", &t); /* two pairs are a prompt */
	assert_string_equal(t.prompt, "time: noon, place: sea");
	assert_int_equal(t.count, 0);
	assert_string_equal(t.negative_prompt, "");
	infotext_free(&t);
	parse("", &t);
	assert_string_equal(t.prompt, "");
	infotext_free(&t);
	parse("Steps: 4, Seed: 1, Size: 8x8", &t); /* parameters alone */
	assert_string_equal(t.prompt, "");
	assert_int_equal(t.count, 3);
	infotext_free(&t);
}

static void check_odd_values(void **state)
{
	(void)state;
	struct infotext t;
	parse("p\nSteps: 4, Seed: , Model: \"open, User: \"a\"b, Seed: 9, X: 1, Ab: \"\", RNG: CPU",
	      &t);
	assert_string_equal(infotext_get(&t, "Steps"), "4");
	assert_string_equal(infotext_get(&t, "Seed"), "9");
	assert_string_equal(infotext_get(&t, "Model"), "\"open");
	assert_string_equal(infotext_get(&t, "User"), "\"a\"b");
	assert_null(infotext_get(&t, "X")); /* A1111's keys have two characters or more */
	assert_string_equal(infotext_get(&t, "Ab"), "");
	assert_string_equal(infotext_get(&t, "RNG"), "CPU");
	infotext_free(&t);
}

static void check_hostile(void **state)
{
	(void)state;
	struct infotext t;
	struct error err = {0};
	assert_int_equal(infotext_parse("a\0b", 3, &t, &err), SUMI_CORRUPT);
	assert_non_null(strstr(err.text, "NUL"));

	/* Quadratic time would take minutes here. */
	size_t n = 1 << 20;
	char *big = malloc(n);
	memset(big, 'a', n);
	assert_int_equal(infotext_parse(big, n, &t, &err), 0);
	infotext_free(&t);
	for (size_t i = 0; i < n; i++)
		big[i] = "a1:\""[i % 4];
	assert_int_equal(infotext_parse(big, n, &t, &err), 0);
	infotext_free(&t);

	size_t length = 0;
	for (int i = 0; i <= INFOTEXT_MAX_FIELDS; i++)
		length += (size_t)sprintf(big + length, "key%d: 1, ", i);
	assert_int_equal(infotext_parse(big, length, &t, &err), SUMI_TOOBIG);
	free(big);

	struct infotext_field bad = {"Model", "\xff,"};
	struct infotext in = {"p", NULL, &bad, 1};
	char *text;
	assert_int_equal(infotext_write(&in, &text, &err), SUMI_INVALID);
	assert_null(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(check_writer_order),  cmocka_unit_test(check_quoting),
	    cmocka_unit_test(check_parse_foreign), cmocka_unit_test(check_templates),
	    cmocka_unit_test(check_no_parameters),
	    cmocka_unit_test(check_odd_values),    cmocka_unit_test(check_hostile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
