/* Windows, recurrence and backoff, over changes of daylight saving time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/schedule.h"

static struct error err;

static int64_t at(const char *text)
{
	int64_t ms = 0;
	assert_int_equal(clock_parse(text, &ms, &err), SUMI_OK);
	return ms;
}

static void same_time(int64_t ms, const char *expected)
{
	char text[CLOCK_TEXT_SIZE];
	clock_text(ms, text);
	text[19] = 'Z'; /* without the milliseconds */
	text[20] = '\0';
	assert_string_equal(text, expected);
}

static bool open(const char *window, const char *zone, const char *time)
{
	bool is_open = false;
	if (schedule_window_open(window, zone, at(time), &is_open, &err))
		fail_msg("%s", err.text);
	return is_open;
}

static void opens(const char *window, const char *zone, const char *time, const char *expected)
{
	int64_t ms = 0;
	if (schedule_window_next(window, zone, at(time), &ms, &err))
		fail_msg("%s", err.text);
	same_time(ms, expected);
}

static void next(const char *every, const char *zone, const char *before, const char *now,
		 const char *expected)
{
	int64_t ms = 0;
	if (schedule_every_next(every, zone, at(before), at(now), &ms, &err))
		fail_msg("%s", err.text);
	same_time(ms, expected);
}

static void offset_is(const char *name, const char *time, int seconds)
{
	struct zone *zone;
	if (zone_load(name, &zone, &err))
		fail_msg("%s", err.text);
	assert_int_equal(zone_offset(zone, at(time) / 1000), seconds);
	zone_free(zone);
}

static void test_offsets(void **state)
{
	(void)state;
	offset_is("UTC", "2026-07-01", 0);
	offset_is("Europe/Moscow", "2026-07-01", 3 * 3600);
	offset_is("Europe/Moscow", "2012-07-01", 4 * 3600);
	offset_is("Europe/Berlin", "2026-03-29T00:59:59Z", 3600);
	offset_is("Europe/Berlin", "2026-03-29T01:00:00Z", 7200);
	offset_is("Europe/Berlin", "2026-10-25T00:59:59Z", 7200);
	offset_is("Europe/Berlin", "2026-10-25T01:00:00Z", 3600);
	/* Past 2037 only the footer's rule knows. */
	offset_is("America/New_York", "2050-03-13T06:59:59Z", -5 * 3600);
	offset_is("America/New_York", "2050-03-13T07:00:00Z", -4 * 3600);
	offset_is("America/New_York", "2050-11-06T06:00:00Z", -5 * 3600);
	/* South of the equator the summer lies over New Year. */
	offset_is("Australia/Sydney", "2051-01-01", 11 * 3600);
	offset_is("Australia/Sydney", "2051-06-01", 10 * 3600);
	offset_is("Asia/Kathmandu", "2051-06-01", 5 * 3600 + 45 * 60);
	/* Dublin's standard time is its summer time. */
	offset_is("Europe/Dublin", "2051-01-01", 0);
	offset_is("Europe/Dublin", "2051-06-01", 3600);
	/* The rule of Nuuk's footer changes at −1:00, on the day before. */
	offset_is("America/Nuuk", "2051-06-01", -3600);
}

static void test_zones_that_are_none(void **state)
{
	(void)state;
	struct zone *zone;
	assert_int_equal(zone_load("Nowhere/Land", &zone, &err), SUMI_NOTFOUND);
	assert_int_equal(zone_load("/etc/passwd", &zone, &err), SUMI_INVALID);
	assert_int_equal(zone_load("Europe/../../passwd", &zone, &err), SUMI_INVALID);
	assert_int_equal(zone_load("", &zone, &err), SUMI_INVALID);
	assert_int_equal(zone_load("Europe", &zone, &err), SUMI_NOTFOUND); /* a folder */
	assert_int_equal(zone_load("zone.tab", &zone, &err), SUMI_INVALID);
	assert_int_equal(zone_load("leapseconds", &zone, &err), SUMI_CORRUPT);
	assert_null(zone);
}

/* A file of one type without transitions, as the tz database has them, with this offset. */
static int load_offset(uint32_t offset)
{
	char folder[] = "/tmp/sumi-zone-XXXXXX", path[64];
	unsigned char file[2 * 44 + 2 * 10 + 8] = {0};
	const char *before = getenv("TZDIR");
	struct zone *zone = NULL;
	for (int block = 0; block < 2; block++) {
		unsigned char *p = file + (size_t)block * 54, *type = p + 44;
		memcpy(p, "TZif2", 5);
		p[39] = 1; /* types */
		p[43] = 4; /* bytes of their names */
		for (int i = 0; i < 4; i++)
			type[i] = (unsigned char)(offset >> (24 - 8 * i));
		memcpy(type + 6, "ABC", 3);
	}
	memcpy(file + 108, "\nABC0\n", 6);
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/Odd", folder);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(file, 1, 114, f), 114);
	assert_int_equal(fclose(f), 0);
	setenv("TZDIR", folder, 1);
	int status = zone_load("Odd", &zone, &err);
	zone_free(zone);
	if (before)
		setenv("TZDIR", before, 1);
	else
		unsetenv("TZDIR");
	remove(path);
	remove(folder);
	return status;
}

static void test_offsets_of_hours(void **state)
{
	(void)state;
	assert_int_equal(load_offset(14 * 3600), SUMI_OK);
	assert_int_equal(load_offset((uint32_t)-12 * 3600), SUMI_OK);
	assert_int_equal(load_offset(26 * 3600), SUMI_CORRUPT);
	assert_int_equal(load_offset((uint32_t)-25 * 3600), SUMI_CORRUPT);
	assert_int_equal(load_offset(0x80000000), SUMI_CORRUPT);
}

static void test_windows(void **state)
{
	(void)state;
	assert_true(open("22:00-06:00", "Europe/Moscow", "2026-11-22T19:00:00Z"));
	assert_false(open("22:00-06:00", "Europe/Moscow", "2026-11-22T18:59:59Z"));
	assert_true(open("22:00-06:00", "Europe/Moscow", "2026-11-23T02:59:59Z"));
	assert_false(open("22:00-06:00", "Europe/Moscow", "2026-11-23T03:00:00Z"));
	assert_true(open("09:30-10:00", "UTC", "2026-11-23T09:59:59Z"));
	assert_false(open("09:30-10:00", "UTC", "2026-11-23T10:00:00Z"));
	assert_true(open("18:00-24:00", "UTC", "2026-11-23T23:59:59Z"));
	assert_false(open("18:00-24:00", "UTC", "2026-11-24T00:00:00Z"));
	assert_true(open("00:00-24:00", "UTC", "2026-11-24T00:00:00Z"));
}

static void test_windows_over_dst(void **state)
{
	(void)state;
	/* The night of the spring change is an hour shorter, the one in autumn an hour longer. */
	assert_true(open("22:00-06:00", "Europe/Berlin", "2026-03-29T03:59:59Z"));
	assert_false(open("22:00-06:00", "Europe/Berlin", "2026-03-29T04:00:00Z"));
	assert_true(open("22:00-06:00", "Europe/Berlin", "2026-10-25T04:59:59Z"));
	assert_false(open("22:00-06:00", "Europe/Berlin", "2026-10-25T05:00:00Z"));
	/* 02:00-03:00 is skipped in spring and passes twice in autumn. */
	opens("02:00-03:00", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:00:00Z");
	opens("02:00-03:00", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:00:00Z");
	assert_true(open("02:00-03:00", "Europe/Berlin", "2026-10-25T00:30:00Z"));
	assert_true(open("02:00-03:00", "Europe/Berlin", "2026-10-25T01:30:00Z"));
	/* A window whose beginning is skipped opens at the change. */
	opens("02:30-05:00", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
}

static void test_next_opening(void **state)
{
	(void)state;
	opens("22:00-06:00", "Europe/Moscow", "2026-11-22T12:00:00Z", "2026-11-22T19:00:00Z");
	opens("22:00-06:00", "Europe/Moscow", "2026-11-22T20:00:00Z", "2026-11-22T20:00:00Z");
	opens("22:00-06:00", "Europe/Moscow", "2026-11-23T03:00:00Z", "2026-11-23T19:00:00Z");
	opens("09:00-10:00", "America/New_York", "2026-11-22T23:30:00Z", "2026-11-23T14:00:00Z");
}

static void test_bad_windows(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "",          "22:00",        "22:00-22:00", "24:00-06:00", "22:60-06:00", "22:00-24:01",
	    "2200-0600", "22:00-06:00 ", "+2:00-06:00"};
	int from, to;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(schedule_parse_window(bad[i], &from, &to, &err), SUMI_INVALID);
}

static void test_every(void **state)
{
	(void)state;
	/* A duration keeps its phase; what was missed is left out. */
	next("1h", "UTC", "2026-11-22T10:15:00Z", "2026-11-22T10:20:00Z", "2026-11-22T11:15:00Z");
	next("1h", "UTC", "2026-11-22T10:15:00Z", "2026-11-22T15:15:00Z", "2026-11-22T16:15:00Z");
	next("1h", "UTC", "2026-11-22T10:15:00Z", "2026-11-22T09:00:00Z", "2026-11-22T11:15:00Z");
	next("22:00", "Europe/Moscow", "2026-11-22T19:00:00Z", "2026-11-22T19:30:00Z",
	     "2026-11-23T19:00:00Z");
	/* Daily means the clock on the wall: 24 hours, 23 and 25. */
	next("22:00", "Europe/Berlin", "2026-03-28T21:00:00Z", "2026-03-28T21:00:01Z",
	     "2026-03-29T20:00:00Z");
	next("22:00", "Europe/Berlin", "2026-10-24T20:00:00Z", "2026-10-24T20:00:01Z",
	     "2026-10-25T21:00:00Z");
	/* A time that is skipped comes at the change, one that repeats comes once. */
	next("02:30", "Europe/Berlin", "2026-03-28T01:30:00Z", "2026-03-28T02:00:00Z",
	     "2026-03-29T01:00:00Z");
	next("02:30", "Europe/Berlin", "2026-10-24T00:30:00Z", "2026-10-24T02:00:00Z",
	     "2026-10-25T00:30:00Z");
	next("02:30", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z",
	     "2026-10-26T01:30:00Z");
	assert_true(schedule_every_is_daily("22:00"));
	assert_false(schedule_every_is_daily("22h"));
}

static void test_backoff(void **state)
{
	(void)state;
	assert_int_equal(schedule_backoff_ms(1, 0), 2500);
	assert_int_equal(schedule_backoff_ms(1, 1), 5000);
	assert_int_equal(schedule_backoff_ms(2, 1), 10000);
	assert_int_equal(schedule_backoff_ms(100, 1), 600000);
	assert_int_equal(schedule_backoff_ms(100, 0), 300000);
}

static void test_local_zone(void **state)
{
	(void)state;
	char name[SCHEDULE_ZONE_SIZE];
	setenv("TZ", ":Asia/Tokyo", 1);
	zone_local_name(name);
	assert_string_equal(name, "Asia/Tokyo");
	setenv("TZ",
	       "no zone at all, and longer than any name of a zone could ever be in the database",
	       1);
	zone_local_name(name); /* whatever the system says: one that can be read */
	struct zone *zone;
	assert_int_equal(zone_load(name, &zone, &err), SUMI_OK);
	zone_free(zone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_offsets),      cmocka_unit_test(test_zones_that_are_none),
	    cmocka_unit_test(test_windows),      cmocka_unit_test(test_windows_over_dst),
	    cmocka_unit_test(test_next_opening), cmocka_unit_test(test_bad_windows),
	    cmocka_unit_test(test_every),        cmocka_unit_test(test_backoff),
	    cmocka_unit_test(test_local_zone),   cmocka_unit_test(test_offsets_of_hours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
