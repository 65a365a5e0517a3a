/* Parts of prompts that are drawn: what comes of them, how often, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "check.h"
#include "request/dynamic.h"
#include "request/job.h"

static int lines(void *context, const char *name, json_t **out, struct error *err)
{
	(void)context;
	if (strcmp(name, "colour") == 0)
		*out = json_pack("[s, s, s]", "red", "2::blue", "{dark|light} green");
	else if (strcmp(name, "deep/colour name") == 0)
		*out = json_pack("[s]", "a __colour__");
	else if (strcmp(name, "ring") == 0)
		*out = json_pack("[s]", "x __ring__");
	else if (strcmp(name, "empty") == 0)
		*out = json_array();
	else
		return error_set(err, SUMI_NOTFOUND, "there is no wildcard '%s'", name);
	return SUMI_OK;
}

static const struct dynamic_source source = {lines, NULL};

static void drawn(const char *text, uint64_t seed, char out[DYNAMIC_TEXT_MAX + 1])
{
	struct error err = {0};
	char *got;
	if (dynamic_draw(text, seed, &source, &got, &err))
		fail_msg("%s: %s", text, err.text);
	strcpy(out, got);
	free(got);
}

/* Everything that comes is one of these, and each comes: texts separated by ';'. */
static void test_what_comes(void **state)
{
	static const char *const rows[][2] = {
	    {"{a|b|c}", "a;b;c"},
	    {"x { a | b }y", "x ay;x by"},
	    {"{a|{b|c}}", "a;b;c"},
	    {"{a|}", "a;"},
	    {"{0::a|b}", "b"},
	    {"{2$$a|b}", "a, b;b, a"},
	    {"{2$$ and $$a|b}", "a and b;b and a"},
	    {"{0-1$$a|b}", ";a;b"},
	    {"{-1$$a|b}", "a;b"},
	    {"{-2$$a|b}", "a;b;a, b;b, a"},
	    {"{~a|b}", "a;b"},
	    {"{!1-2$$a|b}", "a;b;a, b;b, a"},
	    {"__~colour__", "red;blue;dark green;light green"},
	    {"{1-$$a|b}", "a;b;a, b;b, a"},
	    {"{5$$a|b}", "a, b;b, a"},
	    {"__colour__", "red;blue;dark green;light green"},
	    {"__deep/colour name__", "a red;a blue;a dark green;a light green"},
	    {"{0::__colour__|no}", "no"},
	    {"{[a|b]|c}", "[a|b];c"},
	    {"{(a:1.2)|b}", "(a:1.2);b"},
	    {"{a}", "{a}"},
	    {"{a {b|c}}", "{a b};{a c}"},
	    {"\\{a|b\\} {c|d}", "{a|b} c;{a|b} d"},
	    {"\\__colour__ {a|b}", "__colour__ a;__colour__ b"},
	    {"\\(x\\) {a|b}", "\\(x\\) a;\\(x\\) b"},
	    {"{a|b", "{a|b"},
	    {"____ __ _a_ __a", "____ __ _a_ __a"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char out[DYNAMIC_TEXT_MAX + 1], seen[512] = ";", want[512], one[512];
		snprintf(want, sizeof want, ";%s;", rows[i][1]);
		for (uint64_t seed = 0; seed < 200; seed++) {
			drawn(rows[i][0], seed, out);
			snprintf(one, sizeof one, ";%.200s;", out);
			if (!strstr(want, one))
				fail_msg("%s: '%s' came", rows[i][0], out);
			if (!strstr(seen, one))
				strcat(seen, one + 1);
		}
		if (strlen(seen) != strlen(want))
			fail_msg("%s: only '%s' came", rows[i][0], seen);
		bool still = strcmp(rows[i][0], rows[i][1]) == 0;
		assert_int_equal(dynamic_is(rows[i][0]), !still);
	}
}

static void test_shares(void **state)
{
	int count[3] = {0, 0, 0};
	char out[DYNAMIC_TEXT_MAX + 1], again[DYNAMIC_TEXT_MAX + 1];
	(void)state;
	for (uint64_t seed = 0; seed < 4000; seed++) {
		drawn("{a|2::b|1::c}", seed, out);
		drawn("{a|2::b|1::c}", seed, again);
		assert_string_equal(out, again);
		count[out[0] - 'a']++;
	}
	assert_within(count[0], 900, 1100);
	assert_within(count[1], 1900, 2100);
	assert_within(count[2], 900, 1100);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *says;
		int status;
	} rows[] = {
	    {"__nobody__", "there is no wildcard 'nobody'", SUMI_NOTFOUND},
	    {"__ring__", "name each other in a ring", SUMI_INVALID},
	    {"__empty__", "has no line", SUMI_INVALID},
	    {"{x$$a|b}", "'x$$' is no number", SUMI_INVALID},
	    {"{3-1$$a|b}", "is no number", SUMI_INVALID},
	    {"{$$a|b}", "is no number", SUMI_INVALID},
	    {"${x=!{a|b}}", "variables", SUMI_INVALID},
	    {"${x=red} ${x} cat", "variables", SUMI_INVALID},
	    {"{@a|b}", "'@a|b' takes one after the other", SUMI_INVALID},
	    {"__@colour__", "'@colour' takes one after the other", SUMI_INVALID},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct error err = {0};
		char *out;
		assert_int_equal(dynamic_draw(rows[i].text, 1, &source, &out, &err), rows[i].status);
		assert_non_null(strstr(err.text, rows[i].says));
		assert_null(out);
	}
	/* What would fill memory is told before it does. */
	char large[DYNAMIC_TEXT_MAX + 16];
	struct error err = {0};
	char *out;
	memset(large, 'a', sizeof large);
	memcpy(large, "{a|b}", 5);
	large[sizeof large - 1] = '\0';
	assert_int_equal(dynamic_draw(large, 1, &source, &out, &err), SUMI_TOOBIG);
}

/* Each variant has its own texts, and says what they were made of. */
static void test_variants(void **state)
{
	static const char text[] =
	    "{\"modality\":\"image\",\"prompt\":\"{a|b}\",\"negative_prompt\":\"x\",\"n\":3,\"seed\":5,"
	    "\"texts\":[{\"prompt\":\"a\"},{\"prompt\":\"b\",\"negative_prompt\":\"y\"}]}";
	struct job job;
	struct error err = {0};
	(void)state;
	assert_int_equal(job_parse_json(text, strlen(text), &job, &err), 0);
	struct request r = job_request(&job, 0);
	assert_string_equal(r.prompt, "a");
	assert_string_equal(r.prompt_template, "{a|b}");
	assert_string_equal(r.negative_prompt, "x");
	assert_null(r.negative_template);
	r = job_request(&job, 1);
	assert_string_equal(r.prompt, "b");
	assert_string_equal(r.negative_prompt, "y");
	assert_string_equal(r.negative_template, "x");
	r = job_request(&job, 2);
	assert_string_equal(r.prompt, "{a|b}");
	assert_null(r.prompt_template);
	job_clear(&job);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_comes), cmocka_unit_test(test_shares),
	    cmocka_unit_test(test_refused), cmocka_unit_test(test_variants),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
