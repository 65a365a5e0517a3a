/* Times as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cli/when.h"

static int64_t at(const char *text)
{
	int64_t ms;
	assert_int_equal(clock_parse(text, &ms, NULL), SUMI_OK);
	return ms;
}

/* Thursday, 3 December 2026, 21:30 in Berlin (UTC + 1). */
#define NOW "2026-12-03T20:30:00Z"

static void moments(void **state)
{
	(void)state;
	static const struct {
		const char *text, *moment; /* NULL: refused */
	} rows[] = {
	    {"22:00", "2026-12-03T21:00:00Z"},
	    {"21:30", "2026-12-04T20:30:00Z"}, /* not this very moment: the next one */
	    {"6:00", "2026-12-04T05:00:00Z"},
	    {" 06:00 ", "2026-12-04T05:00:00Z"},
	    {"tomorrow 6:00", "2026-12-04T05:00:00Z"},
	    {"Tomorrow  23:59", "2026-12-04T22:59:00Z"},
	    {"tomorrow at 6:00", "2026-12-04T05:00:00Z"},
	    {"today 6:00", "2026-12-03T05:00:00Z"},
	    {"fri 22:00", "2026-12-04T21:00:00Z"},
	    {"thursday 21:00", "2026-12-10T20:00:00Z"}, /* that of today is over */
	    {"Thu 22:00", "2026-12-03T21:00:00Z"},
	    {"+2h", "2026-12-03T22:30:00Z"},
	    {"+1h30m", "2026-12-03T22:00:00Z"},
	    {"in 15m", "2026-12-03T20:45:00Z"},
	    {"+ 2d", "2026-12-05T20:30:00Z"},
	    {"now", NOW},
	    {"2026-12-24 18:00", "2026-12-24T17:00:00Z"},
	    {"2026-12-24T18:00:05", "2026-12-24T17:00:05Z"},
	    {"2026-07-01 12:00", "2026-07-01T10:00:00Z"}, /* summer */
	    {"2026-12-24T18:00:00Z", "2026-12-24T18:00:00Z"},
	    {"tomorrow", NULL},
	    {"6", NULL},
	    {"24:00", NULL},
	    {"6:5", NULL},
	    {"6:000", NULL},
	    {"+", NULL},
	    {"+2 parsecs", NULL},
	    {"+99999999999999999999h", NULL},
	    {"fr 6:00", NULL},
	    {"yesterday 6:00", NULL},
	    {"2026-13-01 10:00", NULL},
	    {"2026-12-24 18:00:60", NULL},
	    {"", NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct error err;
		int64_t ms = 0, now = at(NOW);
		bool skipped;
		int status = when_parse(rows[i].text, "Europe/Berlin", now, now, &ms, &skipped, &err);
		if ((status == SUMI_OK) != (rows[i].moment != NULL))
			fail_msg("'%s': status %d", rows[i].text, status);
		if (status == SUMI_OK && ms != at(rows[i].moment))
			fail_msg("'%s': %lld", rows[i].text, (long long)ms);
	}
}

/* In 2026 summer begins in Berlin on 29 March, a Sunday: 2:00 is 3:00. */
static void skipped_times(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool skipped;
	} rows[] = {
	    {"2:30", true},		 {"02:00", true},	      {"3:00", false},
	    {"1:59", false},		 {"tomorrow 2:30", true},     {"sun 2:59", true},
	    {"2026-03-29 02:30", true},	 {"2026-03-29T02:30:10", true}, {"2026-03-30 02:30", false},
	    {"2026-10-25 02:30", false}, {"2026-03-29T02:30:00Z", false}, {"+5h", false}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int64_t ms, now = at("2026-03-28T21:00:00Z");
		bool skipped;
		struct error err;
		assert_int_equal(
		    when_parse(rows[i].text, "Europe/Berlin", now, now, &ms, &skipped, &err), 0);
		if (skipped != rows[i].skipped)
			fail_msg("'%s': %d", rows[i].text, skipped);
		if (skipped && strlen(rows[i].text) < 19)
			assert_int_equal(ms, at("2026-03-29T01:00:00Z"));
	}
	char note[WHEN_NOTE_SIZE];
	struct error err;
	json_t *fields = json_pack("{s:s, s:s}", "not_before", "2026-03-29 02:30", "tz", "Europe/Berlin");
	assert_int_equal(when_resolve(fields, note, &err), SUMI_OK);
	assert_string_equal(note, "'not_before' is '2026-03-29 02:30', which the clocks of Europe/Berlin "
				  "skip: taken as 2026-03-29T01:00:00.000Z");
	json_decref(fields);
}

static void a_deadline_comes_after_the_start(void **state)
{
	(void)state;
	struct error err;
	char note[WHEN_NOTE_SIZE];
	json_t *fields = json_pack("{s:s, s:s, s:s}", "deadline", "06:00", "not_before", "22:00", "tz",
				   "Europe/Berlin");
	assert_int_equal(when_resolve(fields, note, &err), SUMI_OK);
	int64_t from = at(json_string_value(json_object_get(fields, "not_before")));
	int64_t to = at(json_string_value(json_object_get(fields, "deadline")));
	assert_true(from > clock_wall_ms() && to - from >= 7 * 3600000 && to - from <= 9 * 3600000);
	json_object_set_new(fields, "not_before", json_string("soon"));
	assert_int_equal(when_resolve(fields, note, &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "field 'not_before': 'soon'"));
	json_decref(fields);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(moments),
	    cmocka_unit_test(skipped_times),
	    cmocka_unit_test(a_deadline_comes_after_the_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
