/* Request heads: what is taken, what is refused, queries, ranges; and base64. tests/e2e/gateway.py has the
 * same over a socket. */
#include "tests/unit/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "gateway/head.h"

static int parse(const char *text, struct head *head)
{
	size_t size = strlen(text);
	const char *why = NULL;
	assert_int_equal(head_size(text, size), (long)size);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(head_size(text, i), 0);
	int status = head_parse(strdup(text), size, head, &why);
	if (status)
		assert_non_null(why);
	return status;
}

static void test_fine(void **state)
{
	struct head h;
	(void)state;
	assert_int_equal(parse("POST /jobs/a%20b/files/%D1%8F.webp?x=1&y=a%26b+c HTTP/1.1\r\nHost: a:1\r\n"
			       "X-Thing:  v w \t\r\ncontent-LENGTH: 12\r\nExpect: 100-Continue\r\n\r\n",
			       &h),
			 0);
	assert_string_equal(h.method, "POST");
	assert_int_equal(h.segment_count, 4);
	assert_string_equal(h.segments[1], "a b");
	assert_string_equal(h.segments[3], "я.webp");
	assert_string_equal(head_value(&h, "x-thing"), "v w");
	assert_null(head_value(&h, "x-other"));
	assert_int_equal(h.length, 12);
	assert_true(h.keep_alive && h.wants_continue && !h.chunked && h.minor == 1);
	bool bad;
	char *y = head_query(h.query, "y", &bad);
	assert_string_equal(y, "a&b c");
	free(y);
	assert_null(head_query(h.query, "z", &bad));
	assert_false(bad);
	head_clear(&h);
	assert_int_equal(parse("GET / HTTP/1.0\r\nHost: a\r\n\r\n", &h), 0);
	assert_true(h.segment_count == 0 && !h.keep_alive && h.length == -1);
	head_clear(&h);
}

static void test_queries(void **state)
{
	bool bad;
	(void)state;
	assert_null(head_query("a=1&a=2", "a", &bad));
	assert_true(bad);
	assert_null(head_query("a=%zz", "b", &bad));
	assert_true(bad);
	char *value = head_query("&&b&a=", "b", &bad);
	assert_string_equal(value, "");
	free(value);
}

static void test_sizes(void **state)
{
	(void)state;
	char *many = malloc(HEAD_MAX + 1);
	memset(many, 'a', HEAD_MAX);
	assert_int_equal(head_size(many, HEAD_MAX), -1);
	assert_int_equal(head_size(many, HEAD_MAX - 1), 0);
	free(many);
	assert_int_equal(head_size("GET / HTTP/1.1\nHost: a\n\n", 24), -1);
	assert_int_equal(head_size("GET / HTTP/1.1\r\rHost", 20), -1);
	assert_int_equal(head_size("\r\n", 2), -1);
	assert_int_equal(head_size("G\0", 2), -1);
}

static void test_chunks(void **state)
{
	static const struct {
		const char *text;
		bool fine;
		uint64_t size;
		size_t used;
	} cases[] = {{"1a\r\nxx", true, 26, 4}, {"0\r\n", true, 0, 3},	  {"ffffffff\r\n", true, 0xFFFFFFFF, 10},
		     {"1", true, 1, 0},		{"1a\r", true, 26, 0},	  {"", true, 0, 0},
		     {"\r\n", false, 0, 0},	{"1 \r\n", false, 0, 0},  {"-1\r\n", false, 0, 0},
		     {"0x1\r\n", false, 0, 0},	{"1;a\r\n", false, 0, 0}, {"1ffffffff\r\n", false, 0, 0},
		     {"1\n", false, 0, 0},	{"1\rx", false, 0, 0}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		uint64_t size;
		size_t used;
		bool fine = head_chunk_size(cases[i].text, strlen(cases[i].text), &size, &used);
		assert_int_equal(fine, cases[i].fine);
		if (fine) {
			assert_int_equal(size, cases[i].size);
			assert_int_equal(used, cases[i].used);
		}
	}
}

static void test_ranges(void **state)
{
	static const struct {
		const char *text;
		int status;
		int64_t first, last;
	} cases[] = {{"bytes=0-0", 206, 0, 0},	   {"bytes=5-", 206, 5, 99},	{"bytes=-5", 206, 95, 99},
		     {"bytes=-500", 206, 0, 99},   {"bytes=90-500", 206, 90, 99}, {"bytes=100-", 416, 0, 0},
		     {"bytes=-0", 416, 0, 0},	   {"bytes=5-4", 200, 0, 99},	{"bytes=0-1,5-6", 200, 0, 99},
		     {"lines=0-1", 200, 0, 99},	   {"bytes=", 200, 0, 99},	{"bytes=a-b", 200, 0, 99},
		     {"bytes=9999999999999999999999-", 200, 0, 99}, {NULL, 200, 0, 99}};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t first, last;
		int status = head_range(cases[i].text, 100, &first, &last);
		assert_int_equal(status, cases[i].status);
		if (status != 416)
			assert_true(first == cases[i].first && last == cases[i].last);
	}
	int64_t first, last;
	assert_int_equal(head_range("bytes=0-", 0, &first, &last), 416);
}

static void test_base64(void **state)
{
	void *data;
	size_t size, length;
	struct error err;
	(void)state;
	for (size_t n = 0; n < 20; n++) {
		char *text = base64_encode("\0\1\2\3 any bytes \xff\xfe\xfd", n, &length);
		assert_int_equal(base64_decode(text, length, &data, &size, &err), SUMI_OK);
		assert_int_equal(size, n);
		assert_memory_equal(data, "\0\1\2\3 any bytes \xff\xfe\xfd", n);
		free(data);
		free(text);
	}
	static const char *const fine[] = {"aGk=", "aGk", "aG\nk=\r\n", "data:text/plain;base64,aGk="};
	for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
		assert_int_equal(base64_decode(fine[i], strlen(fine[i]), &data, &size, &err), SUMI_OK);
		assert_int_equal(size, 2);
		assert_memory_equal(data, "hi", 2);
		free(data);
	}
	static const char *const bad[] = {"aG!k", "a=Gk", "aGk===", "data:text/plain,aGk="};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &data, &size, &err), SUMI_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fine),   cmocka_unit_test(test_queries), cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_chunks), cmocka_unit_test(test_ranges),  cmocka_unit_test(test_base64),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
