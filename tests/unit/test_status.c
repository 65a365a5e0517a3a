/* Errors: one line of UTF-8, whatever stood in what they were made of. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/status.h"
#include "base/utf8.h"
#include "check.h"

static void texts_are_clean(void **state)
{
	(void)state;
	static const struct {
		const char *argument, *text;
	} rows[] = {
	    {"ink", "ink"},
	    {"тушь", "тушь"},
	    {"", ""},
	    {"two\nlines\tand\x7fmore", "two lines and?more"},
	    {"\x1b[31mred \xc2\x9b" "2J", "?[31mred ?2J"},
	    {"caf\xe9", "caf?"},
	    {"\xff\xfe", "??"},
	    {"cut \xd1", "cut ?"},
	    {"cut \xf0\x9f\x96 here", "cut ? here"},
	    {"\xed\xa0\x80 surrogate", "? surrogate"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct error err;
		assert_int_equal(error_set(&err, SUMI_INVALID, "%s", rows[i].argument),
				 SUMI_INVALID);
		assert_string_equal(err.text, rows[i].text);
	}
	struct error err;
	error_set(&err, SUMI_INVALID, "'%.3s'", "тушь");
	assert_string_equal(err.text, "'т?'");
}

/* Messages that do not fit end in a whole character. */
static void long_texts_are_cut(void **state)
{
	(void)state;
	char text[1001] = "";
	struct error err;
	for (size_t shift = 0; shift < 3; shift++) {
		for (size_t i = 0; i < 1000; i++)
			text[i] = i < shift ? 'a' : "墨"[(i - shift) % 3];
		error_set(&err, SUMI_IO, "%s", text);
		assert_within(strlen(err.text), sizeof err.text - 4, sizeof err.text - 1);
		assert_true(utf8_valid(err.text, strlen(err.text)));
		error_prefix(&err, "before");
		assert_int_equal(strncmp(err.text, "before: ", 8), 0);
		assert_true(utf8_valid(err.text, strlen(err.text)));
	}
}

static void json_shows_nothing_that_steers(void **state)
{
	(void)state;
	json_t *o = json_pack("{s:s}", "k\xc2\x9b", "a\x7f\xe2\x80\xa8 墨 \xf3\xa0\x81\x81\n");
	char *text = json_text(o, JSON_COMPACT);
	assert_string_equal(text,
			    "{\"k\\u009b\":\"a\\u007f\\u2028 墨 \\udb40\\udc41\\n\"}");
	json_t *back = json_loads(text, 0, NULL);
	assert_true(json_equal(o, back));
	json_decref(back);
	json_decref(o);
	free(text);
}

static void words_and_numbers(void **state)
{
	(void)state;
	struct error err;
	for (int status = SUMI_OK; status >= SUMI_INTERNAL; status--) {
		assert_string_not_equal(status_word(status), "unknown");
		for (int other = SUMI_OK; other > status; other--)
			assert_string_not_equal(status_word(status), status_word(other));
	}
	assert_string_equal(status_word(7), "unknown");
	errno = ENOSPC;
	assert_int_equal(error_errno(&err, "%s", "here"), SUMI_FULL);
	assert_int_equal(err.status, SUMI_FULL);
	assert_int_equal(strncmp(err.text, "here: ", 6), 0);
	assert_int_equal(error_set(NULL, SUMI_IO, "nobody asks"), SUMI_IO);
}

static void seeds_of_64_bits_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text, *value; /* NULL: refused */
	} rows[] = {
	    {"9223372036854775807", "9223372036854775807"},
	    {"9223372036854775808", "\"9223372036854775808\""},
	    {"18446744073709551615", "\"18446744073709551615\""},
	    {"-9223372036854775807", "-9223372036854775807"},
	    {"[9223372036854775808, \"\\\"9223372036854775808\"]",
	     "[\"9223372036854775808\",\"\\\"9223372036854775808\"]"},
	    {"1e999", NULL},
	    {"{\"a\":123456789012345678901,\"b\":1.5}", "{\"a\":\"123456789012345678901\",\"b\":1.5}"},
	    {"[123456789012345678901", NULL},
	    {"[9223372036854775808.5]", "[9.22337204e18]"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *root;
		struct error err;
		int status = json_read_text(rows[i].text, strlen(rows[i].text), "x", &root, &err);
		assert_int_equal(status, rows[i].value ? SUMI_OK : SUMI_INVALID);
		if (status)
			continue;
		char *text = json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
		assert_string_equal(text, rows[i].value);
		free(text);
		json_decref(root);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts_are_clean),
	    cmocka_unit_test(seeds_of_64_bits_are_read),
	    cmocka_unit_test(long_texts_are_cut),
	    cmocka_unit_test(json_shows_nothing_that_steers),
	    cmocka_unit_test(words_and_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
