/* Log lines: whatever a value holds, a line has one event and the keys of its format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"

static char line[4096];

__attribute__((format(printf, 2, 3))) static const char *journal(const char *event,
								  const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	size_t n = log_line(line, sizeof line, true, LOG_LEVEL_INFO, event, format, ap);
	va_end(ap);
	assert_true(n > 0 && n < sizeof line && line[n - 1] == '\n');
	line[n - 1] = '\0';
	assert_int_equal(strlen(line), n - 1);
	assert_true(utf8_valid(line, n - 1));
	assert_null(strchr(line, '\n'));
	return line;
}

static void test_plain_values_stay(void **state)
{
	(void)state;
	assert_string_equal(journal("job.done", "id=%s seconds=%.2f files=%zu of=%lld bad=%d",
				    "01J-a.b:c", 3.25, (size_t)4, (long long)1 << 40, -1),
			    "<6>job.done id=01J-a.b:c seconds=3.25 files=4 of=1099511627776 bad=-1");
	assert_string_equal(journal("e", "model=%s path=%s share=%d%%", "ink", "/srv/a", 5),
			    "<6>e model=ink path=/srv/a share=5%");
	assert_string_equal(journal("e", "id=%.3s", "abcdef"), "<6>e id=abc");
}

/* All that printf has: an argument that is taken for another spoils those behind it. */
static void test_every_conversion(void **state)
{
	static const char three[] = {'a', 'b', 'c'}; /* no NUL behind them */
	(void)state;
	assert_string_equal(journal("e", "id=%.*s n=%d", 3, three, 7), "<6>e id=abc n=7");
	assert_string_equal(journal("e", "id=%.*s n=%d", 0, three, 7), "<6>e id=\"\" n=7");
	assert_string_equal(journal("e", "id=%.*s n=%d", -1, "abcdef", 7), "<6>e id=abcdef n=7");
	assert_string_equal(journal("e", "id=\"%.*s\" n=%d", 2, "\"bc", 7), "<6>e id=\"\\\"b\" n=7");
	assert_string_equal(journal("e", "a=%*d b=%-*d. c=%05d n=%d", 4, 3, 3, 5, 42, 7),
			    "<6>e a=   3 b=5  . c=00042 n=7");
	assert_string_equal(journal("e", "a=%.*f b=%+.1e n=%d", 2, 1.125, 0.5, 7),
			    "<6>e a=1.12 b=+5.0e-01 n=7");
	assert_string_equal(journal("e", "a=%hd b=%hhu c=%lx d=%jd e=%td f=%zx g=%Lg n=%d", (short)-2,
				    (unsigned char)3, 255L, (intmax_t)-4, (ptrdiff_t)5, (size_t)16,
				    (long double)0.5, 7),
			    "<6>e a=-2 b=3 c=ff d=-4 e=5 f=10 g=0.5 n=7");
	assert_string_equal(journal("e", "a=%c b=%c n=%d", 'x', '\n', 7), "<6>e a=x b=\"\\n\" n=7");
	assert_non_null(strstr(journal("e", "a=%p n=%d", (void *)line, 7), " n=7"));
}

static void test_values_are_quoted(void **state)
{
	static const struct {
		const char *value, *bare, *quoted;
	} cases[] = {
	    {"", "a=\"\" b=1", "a=\"\" b=1"},
	    {"two words", "a=\"two words\" b=1", "a=\"two words\" b=1"},
	    {"x=y", "a=\"x=y\" b=1", "a=\"x=y\" b=1"},
	    {"q\" state=done id=root", "a=\"q\\\" state=done id=root\" b=1",
	     "a=\"q\\\" state=done id=root\" b=1"},
	    {"end\\", "a=\"end\\\\\" b=1", "a=\"end\\\\\" b=1"},
	    {"a\nb\rc\td", "a=\"a\\nb\\rc\\td\" b=1", "a=\"a\\nb\\rc\\td\" b=1"},
	    {"\x1b[31mred\x07\x7f", "a=\"\\x1b[31mred\\x07\\x7f\" b=1",
	     "a=\"\\x1b[31mred\\x07\\x7f\" b=1"},
	    {"\xc2\x9b"
	     "2J",
	     "a=\"\\u009b2J\" b=1", "a=\"\\u009b2J\" b=1"},
	    {"u\xe2\x80\xa8v\xe2\x80\xa9", "a=\"u\\u2028v\\u2029\" b=1",
	     "a=\"u\\u2028v\\u2029\" b=1"},
	    {"\xe2\x80\xaeltr", "a=\"\\u202eltr\" b=1", "a=\"\\u202eltr\" b=1"},
	    {"\xff\xc3(\xed\xa0\x80", "a=\"\\xff\\xc3(\\xed\\xa0\\x80\" b=1",
	     "a=\"\\xff\\xc3(\\xed\\xa0\\x80\" b=1"},
	    {"\xf3\xa0\x81\x81", "a=\"\\U000e0041\" b=1", "a=\"\\U000e0041\" b=1"},
	    {"墨 ink", "a=\"墨 ink\" b=1", "a=\"墨 ink\" b=1"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_string_equal(journal("e", "a=%s b=%d", cases[i].value, 1) + 5,
				    cases[i].bare);
		assert_string_equal(journal("e", "a=\"%s\" b=%d", cases[i].value, 1) + 5,
				    cases[i].quoted);
	}
	assert_string_equal(journal("e", "a=\"devices: %s\" b=%s", "x\"y", "z"),
			    "<6>e a=\"devices: x\\\"y\" b=z");
}

static void test_long_values_leave_the_others(void **state)
{
	char text[6000];
	(void)state;
	memset(text, '"', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	const char *l = journal("e", "a=%s b=\"%s\" c=%s d=\"%s\" e=%s last=%d", text, text, text, text,
				text, 7);
	assert_non_null(strstr(l, "…\" b=\""));
	assert_string_equal(l + strlen(l) - strlen("…\" last=7"), "…\" last=7");
	assert_true(strlen(l) < 4096);
}

static void test_name_and_time(void **state)
{
	va_list none;
	(void)state;
	memset(&none, 0, sizeof none);
	log_set_name("worker.0");
	size_t n = log_line(line, sizeof line, false, LOG_LEVEL_WARN, "e", "a=1", none);
	line[n] = '\0';
	assert_non_null(strstr(line, "Z warn e process=worker.0 a=1\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain_values_stay),
	    cmocka_unit_test(test_every_conversion),
	    cmocka_unit_test(test_values_are_quoted),
	    cmocka_unit_test(test_long_values_leave_the_others),
	    cmocka_unit_test(test_name_and_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
