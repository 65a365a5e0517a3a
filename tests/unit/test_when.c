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
	    {"6pm", "2026-12-04T17:00:00Z"},
	    {"10 PM", "2026-12-03T21:00:00Z"},
	    {"11:30 p.m.", "2026-12-03T22:30:00Z"},
	    {"12am", "2026-12-03T23:00:00Z"},
	    {"12pm", "2026-12-04T11:00:00Z"},
	    {"noon", "2026-12-04T11:00:00Z"},
	    {"midnight", "2026-12-03T23:00:00Z"},
	    {"18.30", "2026-12-04T17:30:00Z"},
	    {"at 6", "2026-12-04T05:00:00Z"},
	    {"22:00:30", "2026-12-03T21:00:30Z"},
	    {"tomorrow at 6", "2026-12-04T05:00:00Z"},
	    {"tomorrow 6am", "2026-12-04T05:00:00Z"},
	    {"6am tomorrow", "2026-12-04T05:00:00Z"},
	    {"tomorrow, 6 o'clock", "2026-12-04T05:00:00Z"},
	    {"the day after tomorrow at noon", "2026-12-05T11:00:00Z"},
	    {"tonight 11", "2026-12-03T22:00:00Z"},
	    {"tonight at 1:00", "2026-12-04T00:00:00Z"},
	    {"next Monday 9:00", "2026-12-07T08:00:00Z"},
	    {"Friday 10pm", "2026-12-04T21:00:00Z"},
	    {"2h", "2026-12-03T22:30:00Z"},
	    {"in 2 hours", "2026-12-03T22:30:00Z"},
	    {"in an hour", "2026-12-03T21:30:00Z"},
	    {"in half an hour", "2026-12-03T21:00:00Z"},
	    {"1 hour 30 min", "2026-12-03T22:00:00Z"},
	    {"+1.5h", "2026-12-03T22:00:00Z"},
	    {"+1w", "2026-12-10T20:30:00Z"},
	    {"2 weeks from now", "2026-12-17T20:30:00Z"},
	    {"завтра 6:00", "2026-12-04T05:00:00Z"},
	    {"Завтра в 6", "2026-12-04T05:00:00Z"},
	    {"завтра в 6 вечера", "2026-12-04T17:00:00Z"},
	    {"в 6 часов утра", "2026-12-04T05:00:00Z"},
	    {"в 2 ч. ночи", "2026-12-04T01:00:00Z"},
	    {"в 12 ночи", "2026-12-03T23:00:00Z"},
	    {"3 часа дня", "2026-12-04T14:00:00Z"},
	    {"в полночь", "2026-12-03T23:00:00Z"},
	    {"ПЯТНИЦА 22:00", "2026-12-04T21:00:00Z"},
	    {"в пятницу в 22:00", "2026-12-04T21:00:00Z"},
	    {"пт 22:00", "2026-12-04T21:00:00Z"},
	    {"послезавтра в 8", "2026-12-05T07:00:00Z"},
	    {"сейчас", NOW},
	    {"+2ч", "2026-12-03T22:30:00Z"},
	    {"через 2 часа", "2026-12-03T22:30:00Z"},
	    {"через час", "2026-12-03T21:30:00Z"},
	    {"через полчаса", "2026-12-03T21:00:00Z"},
	    {"через полтора часа", "2026-12-03T22:00:00Z"},
	    {"через 1,5 часа", "2026-12-03T22:00:00Z"},
	    {"через 3 дня", "2026-12-06T20:30:00Z"},
	    {"через неделю", "2026-12-10T20:30:00Z"},
	    {"30 мин.", "2026-12-03T21:00:00Z"},
	    {"31.12.2026 22:00", "2026-12-31T21:00:00Z"},
	    {"31.12.2026", "2026-12-30T23:00:00Z"},
	    {"2026-12-31", "2026-12-30T23:00:00Z"}, /* midnight on the wall */
	    {"24.12. 18:00", "2026-12-24T17:00:00Z"},
	    {"1.2. 18:00", "2027-02-01T17:00:00Z"},
	    {"31 декабря 22:00", "2026-12-31T21:00:00Z"},
	    {"1 мая в 10", "2027-05-01T08:00:00Z"},
	    {"Dec 24, 6pm", "2026-12-24T17:00:00Z"},
	    {"24 December 2027 18:00", "2027-12-24T17:00:00Z"},
	    {"29 feb 12:00", "2028-02-29T11:00:00Z"},
	    {"tomorrow", NULL},
	    {"10.12", NULL}, /* a time to some, a date to others */
	    {"32.13", NULL},
	    {"13am", NULL},
	    {"13pm", NULL},
	    {"18:30 PM", NULL},
	    {"tomorrow 22 p.m.", NULL},
	    {"завтра в 22 часа вечера", "2026-12-04T21:00:00Z"},
	    {"в 14 часов дня", "2026-12-04T13:00:00Z"},
	    {"25 o'clock", NULL},
	    {"0pm", NULL},
	    {"0:30 pm", NULL},
	    {"tomorrow 24:00", NULL},
	    {"tomorrow midnight", NULL},
	    {"31 apr 10:00", NULL},
	    {"6pm 7pm", NULL},
	    {"fri mon 6:00", NULL},
	    {"tomorrow morning", NULL},
	    {"in 2", NULL},
	    {"+", NULL},
	    {"-2h", NULL},
	    {"2 days ago", NULL}, /* of filters alone */
	    {"1798761600", NULL},
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

static void moments_that_have_been(void **state)
{
	(void)state;
	static const struct {
		const char *text, *moment;
	} rows[] = {
	    {"90d", "2026-09-04T20:30:00Z"},	      {"2 days ago", "2026-12-01T20:30:00Z"},
	    {"неделю назад", "2026-11-26T20:30:00Z"}, {"yesterday", "2026-12-01T23:00:00Z"},
	    {"вчера 18:30", "2026-12-02T17:30:00Z"},  {"today", "2026-12-02T23:00:00Z"},
	    {"18:30", "2026-12-03T17:30:00Z"},	      {"22:00", "2026-12-02T21:00:00Z"},
	    {"monday", "2026-11-29T23:00:00Z"},	      {"thu 22:00", "2026-11-26T21:00:00Z"},
	    {"1 dec", "2026-11-30T23:00:00Z"},	      {"24 dec", "2025-12-23T23:00:00Z"},
	    {"2026-11-01", "2026-10-31T23:00:00Z"},   {"2026-11-01T00:00:00Z", "2026-11-01T00:00:00Z"},
	    {"+2h", NULL},			      {"soon", NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct error err;
		int64_t ms = 0;
		int status = when_parse_past(rows[i].text, "Europe/Berlin", at(NOW), &ms, &err);
		if ((status == SUMI_OK) != (rows[i].moment != NULL))
			fail_msg("'%s': status %d", rows[i].text, status);
		if (status == SUMI_OK && ms != at(rows[i].moment))
			fail_msg("'%s': %lld", rows[i].text, (long long)ms);
	}
}

/* What is none of these is left to the table of parameters, which says what one looks like. */
static void windows_and_recurrences(void **state)
{
	(void)state;
	static const struct {
		const char *field, *text, *read;
	} rows[] = {
	    {"window", "22:00-6:00", "22:00-06:00"},	 {"window", "22-06", "22:00-06:00"},
	    {"window", "22:00–06:00", "22:00-06:00"},	 {"window", "22:00 - 06:00", "22:00-06:00"},
	    {"window", "10pm-6am", "22:00-06:00"},	 {"window", "from 10 pm to 6:30 am", "22:00-06:30"},
	    {"window", "22.00-06.00", "22:00-06:00"},	 {"window", "22..6", "22:00-06:00"},
	    {"window", "с 22 до 6", "22:00-06:00"},	 {"window", "с 10 вечера до 6 утра", "22:00-06:00"},
	    {"window", "18-24", "18:00-24:00"},		 {"window", "24:00-6:00", "00:00-06:00"},
	    {"window", "midnight-6am", "00:00-06:00"},	 {"window", "10-11pm", NULL},
	    {"window", "13pm-6am", NULL},
	    {"window", "22", NULL},			 {"window", "night", NULL},
	    {"window", "25-6", NULL},			 {"window", "22-6-7", NULL},
	    {"every", "6:00", "06:00"},			 {"every", "6am", "06:00"},
	    {"every", "daily 6:00", "06:00"},		 {"every", "every day at 6", "06:00"},
	    {"every", "каждый день в 6", "06:00"},	 {"every", "ежедневно в 18:30", "18:30"},
	    {"every", "daily", "1d"},			 {"every", "hourly", "3600s"},
	    {"every", "1 day", "1d"},			 {"every", "1w", "1w"},
	    {"every", "1h30m", "5400s"},		 {"every", "каждые 2 часа", "7200s"},
	    {"every", "90m", "90m"},			 {"every", "fri 22:00", NULL},
	    {"every", "every 2 days at 6:00", NULL},	 {"every", "often", NULL},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct error err;
		char note[WHEN_NOTE_SIZE];
		json_t *fields = json_pack("{s:s}", rows[i].field, rows[i].text);
		assert_int_equal(when_resolve(fields, note, &err), SUMI_OK);
		const char *expected = rows[i].read ? rows[i].read : rows[i].text;
		assert_string_equal(json_string_value(json_object_get(fields, rows[i].field)), expected);
		json_decref(fields);
	}
}

static void lengths(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t seconds; /* −1: refused */
	} rows[] = {{"90d", 90 * 86400}, {"2 weeks", 14 * 86400}, {"1w", 7 * 86400}, {"1h30m", 5400},
		    {"2 недели", 14 * 86400}, {"90", 90}, {"1.5h", 5400}, {"500ms", 0}, {"an hour", 3600},
		    {"1 month", -1}, {"-1h", -1}, {"", -1}, {"h 3", -1}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct error err;
		int64_t ms = 0;
		int status = when_parse_length(rows[i].text, &ms, &err);
		if ((status == SUMI_OK) != (rows[i].seconds >= 0) || (!status && ms / 1000 != rows[i].seconds))
			fail_msg("'%s': status %d, %lld ms", rows[i].text, status, (long long)ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(moments_that_have_been),
	    cmocka_unit_test(windows_and_recurrences),
	    cmocka_unit_test(lengths),
	    cmocka_unit_test(moments),
	    cmocka_unit_test(skipped_times),
	    cmocka_unit_test(a_deadline_comes_after_the_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
