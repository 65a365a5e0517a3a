/* Times as people write them. */
#include "cli/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/schedule.h"
#include "cli/when_words.h"
#include "request/param.h"

enum { DAY_S = 86400, WEEK = 7, MIDNIGHT = 1440 };

struct here {
	struct zone *zone;
	int64_t today; /* days since 1970 on the wall */
	int64_t now_s, after_s;
	bool past; /* what has been is meant: the last such time, "2 days" are those ago */
	bool *skipped;
};

/* What was said of a day. */
struct day {
	bool given, dated, tonight;
	int64_t day;     /* days since 1970: the first that may be meant */
	int step;        /* days to the next such one, 0: none other is meant */
	int date, month; /* without a year; 0: not so */
};

static int64_t wall_day(const struct here *h, int64_t seconds)
{
	int64_t wall = seconds + zone_offset(h->zone, seconds);
	return wall / DAY_S - (wall % DAY_S < 0);
}

static bool at_time(const struct here *h, int64_t day, int minute, int64_t *ms)
{
	int64_t moment = zone_moment(h->zone, day, minute);
	*ms = moment * 1000;
	*h->skipped = moment + zone_offset(h->zone, moment) != day * DAY_S + (int64_t)minute * 60;
	return true;
}

/* Days since 1970 of a date; false: there is none such. */
static bool date_day(int year, int month, int date, int64_t *day)
{
	char text[40];
	int64_t ms;
	snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, date);
	if (year < 1970 || year > 9999 || clock_parse(text, &ms, NULL))
		return false;
	*day = ms / 1000 / DAY_S;
	return true;
}

/* The next such date after a moment, or the last one before; 29 February may be eight years away. */
static bool next_date(const struct here *h, int month, int date, int minute, int64_t *day)
{
	char text[CLOCK_TEXT_SIZE];
	clock_text((h->now_s + zone_offset(h->zone, h->now_s)) * 1000, text);
	for (int year = atoi(text), i = 0; i <= 8; i++, year += h->past ? -1 : 1) {
		if (!date_day(year, month, date, day))
			continue;
		int64_t moment = zone_moment(h->zone, *day, minute);
		if (h->past ? moment <= h->now_s : moment > h->after_s)
			return true;
	}
	return false;
}

/* "2026-12-31", "31.12.2026", and with more words behind it "31.12". */
static bool take_numbers(struct when_words *w, struct day *d)
{
	int a, b, c, end = 0;
	const char *text = when_next(w);
	bool found = sscanf(text, "%4d-%2d-%2d%n", &a, &b, &c, &end) == 3 && !text[end] && end == 10;
	if (found) {
		found = date_day(a, b, c, &d->day);
	} else if (sscanf(text, "%2d.%2d.%4d%n", &c, &b, &a, &end) == 3 && !text[end]) {
		found = date_day(a, b, c, &d->day);
	} else if (sscanf(text, "%2d.%2d%n", &c, &b, &end) == 2 && !text[end] && w->i + 1 < w->n &&
		   c >= 1 && c <= 31 && b >= 1 && b <= 12 && !strchr(w->at[w->i + 1], '-')) {
		d->date = c;
		d->month = b;
		found = true;
	}
	w->i += found;
	d->dated = found && !d->month;
	return found;
}

/* "31 December", "Dec 31 2026", "31 декабря" */
static bool take_month(struct when_words *w, struct day *d)
{
	size_t before = w->i;
	char *end;
	long date = strtol(when_next(w), &end, 10);
	bool first = date >= 1 && date <= 31 && !*end;
	w->i += first;
	bool found = when_take(w, WHEN_MONTH, &d->month);
	if (found && !first) {
		date = strtol(when_next(w), &end, 10);
		found = date >= 1 && date <= 31 && !*end;
		w->i += found;
	}
	d->date = (int)date;
	const char *year = when_next(w);
	if (found && strlen(year) == 4 && strspn(year, "0123456789") == 4) {
		found = date_day(atoi(year), d->month, d->date, &d->day);
		d->dated = found;
		d->month = 0;
		w->i++;
	}
	if (!found) {
		w->i = before;
		d->month = 0;
	}
	return found;
}

static bool take_day(const struct here *h, struct when_words *w, struct day *d)
{
	int value;
	size_t before = w->i;
	if (when_take(w, WHEN_DAY, &value)) {
		if (value < 0 && !h->past) {
			w->i = before;
			return false;
		}
		d->day = h->today + value;
	} else if (when_take(w, WHEN_TONIGHT, NULL)) {
		d->day = h->today;
		d->tonight = true;
	} else if (when_take(w, WHEN_WEEKDAY, &value)) {
		int64_t ahead = (value - h->today % WEEK + WEEK) % WEEK;
		d->day = h->today + ahead - (h->past && ahead ? WEEK : 0);
		d->step = WEEK;
	} else if (strcmp(when_next(w), "day") == 0 && w->i + 2 < w->n &&
		   strcmp(w->at[w->i + 1], "after") == 0) { /* the day after tomorrow */
		w->i += 2;
		if (!when_take(w, WHEN_DAY, &value)) {
			w->i = before;
			return false;
		}
		d->day = h->today + value + 1;
	} else if (!take_numbers(w, d) && !take_month(w, d)) {
		return false;
	}
	d->given = true;
	return true;
}

/* "+2h", "in 2 hours", "2h", "через полчаса", "2 days ago" */
static bool length_from_now(const struct here *h, struct when_words *w, int64_t *ms)
{
	int64_t length;
	bool plus = when_take(w, WHEN_PLUS, NULL);
	if (!when_length(w, &length))
		return false;
	bool ago = when_take(w, WHEN_AGO, NULL);
	if (!ago && when_take(w, WHEN_FROM, NULL) && !when_take(w, WHEN_NOW, NULL))
		return false;
	if (w->i < w->n || (plus && (ago || h->past)) || (ago && !h->past))
		return false;
	*ms = h->now_s * 1000 + (ago || h->past ? -length : length);
	return true;
}

/* "10.12" alone is a time to some and a date to others. */
static bool may_be_both(const char *text)
{
	int date, month, end = 0;
	return sscanf(text, "%2d.%2d%n", &date, &month, &end) == 2 && !text[end] && date <= 31 &&
	       month >= 1 && month <= 12;
}

/* A day and a time of day in any order; *minute stays −1 without a time. */
static bool take_day_and_time(const struct here *h, struct when_words *w, struct day *d, int *minute,
			      int *seconds)
{
	bool at = false;
	while (w->i < w->n) {
		if (when_take(w, WHEN_AT, NULL)) {
			at = true;
			continue;
		}
		if (when_take(w, WHEN_FILLER, NULL) || (!d->given && take_day(h, w, d)))
			continue;
		const char *text = when_next(w);
		if (*minute >= 0 || (!at && !d->given && may_be_both(text)) ||
		    (*minute = when_clock(w, at || d->given, seconds)) < 0)
			return false;
		/* The end of which day is meant by 24:00, and by midnight beside a day? */
		if (*minute == MIDNIGHT && (*text == '2' || d->given || w->i < w->n))
			return false;
	}
	return *minute >= 0 || (d->given && (d->dated || h->past));
}

/* The first day from d on, or the last before, whose minute is one that may be meant. */
static bool pick(const struct here *h, struct day *d, int minute, int64_t *ms)
{
	if (d->tonight && minute < 12 * 60) {
		d->day += minute < 4 * 60;
		minute += minute < 4 * 60 ? 0 : 12 * 60;
	}
	if (d->month && !next_date(h, d->month, d->date, minute, &d->day))
		return false;
	for (int i = 0; d->step && i < 3; i++, d->day += h->past ? -d->step : d->step) {
		int64_t moment = zone_moment(h->zone, d->day, minute);
		if (h->past ? moment <= h->now_s : moment > h->after_s)
			break;
	}
	return at_time(h, d->day, minute, ms);
}

static bool read_moment(const struct here *h, const char *text, int64_t *ms)
{
	struct when_words w;
	struct day d = {0};
	int minute = -1, seconds = 0;
	if (!when_split(text, false, &w) || !w.n)
		return false;
	if (w.n == 1 && when_take(&w, WHEN_NOW, NULL)) {
		*ms = h->now_s * 1000;
		return true;
	}
	if (length_from_now(h, &w, ms))
		return true;
	w.i = 0;
	if (!take_day_and_time(h, &w, &d, &minute, &seconds))
		return false;
	if (!d.given) {
		d.day = wall_day(h, h->past ? h->now_s : h->after_s);
		d.step = 1;
	}
	if (!pick(h, &d, minute < 0 ? 0 : minute, ms))
		return false;
	*ms += (int64_t)seconds * 1000;
	return true;
}

static int read_text(struct here *h, const char *text, const char *zone, int64_t *ms, struct error *err)
{
	*h->skipped = false;
	/* A moment with its zone; a date alone is a day of the zone that is given here. */
	if (strchr(text, 'T') && clock_parse(text, ms, NULL) == SUMI_OK)
		return SUMI_OK;
	int status = zone_load(zone, &h->zone, err);
	if (status)
		return status;
	h->today = wall_day(h, h->now_s);
	bool read = read_moment(h, text, ms);
	zone_free(h->zone);
	if (!read && clock_parse(text, ms, NULL) == SUMI_OK)
		return SUMI_OK;
	if (read)
		return SUMI_OK;
	if (may_be_both(text))
		return error_set(err, SUMI_INVALID,
				 "'%.20s' may be a time or a date: write it like 18:30, or with its year",
				 text);
	return error_set(err, SUMI_INVALID, "'%.60s' is not a time: write %s", text,
			 h->past ? "2d, 18:30, yesterday, mon, 2026-01-31, 2026-01-31 22:00 or "
				   "2026-01-31T22:00:00Z"
				 : "18:30, 6pm, +2h, tomorrow 6:00, fri 22:00, 2026-01-31 22:00 or "
				   "2026-01-31T22:00:00Z");
}

int when_parse(const char *text, const char *zone, int64_t now_ms, int64_t after_ms, int64_t *ms,
	       bool *skipped, struct error *err)
{
	struct here h = {.now_s = now_ms / 1000, .after_s = after_ms / 1000, .skipped = skipped};
	return read_text(&h, text, zone, ms, err);
}

int when_parse_past(const char *text, const char *zone, int64_t now_ms, int64_t *ms, struct error *err)
{
	bool skipped;
	struct here h = {.now_s = now_ms / 1000, .past = true, .skipped = &skipped};
	return read_text(&h, text, zone, ms, err);
}

int when_parse_length(const char *text, int64_t *ms, struct error *err)
{
	struct when_words w;
	if (when_split(text, false, &w) && when_length(&w, ms) && w.i == w.n)
		return SUMI_OK;
	return clock_parse_duration(text, ms, err);
}

/* "22-06", "10pm to 6am", "с 22 до 6" as 22:00-06:00; false: none of these. */
static bool window_text(const char *text, char out[WHEN_TEXT_SIZE])
{
	struct when_words w;
	int side[2], seconds[2], half;
	bool halved[2], bare[2];
	if (!when_split(text, true, &w))
		return false;
	when_take(&w, WHEN_FROM, NULL);
	for (int i = 0; i < 2; i++) {
		if (i && !when_take(&w, WHEN_TO, NULL))
			return false;
		bare[i] = strlen(when_next(&w)) <= 2;
		if ((side[i] = when_clock(&w, true, &seconds[i])) < 0 || seconds[i])
			return false;
		struct when_words last = w;
		last.i--;
		halved[i] = when_take(&last, WHEN_HALF_OF_DAY, &half);
	}
	/* "10-11pm": of which half of the day is the 10? */
	if (w.i < w.n || (halved[1] && !halved[0] && bare[0] && side[0] <= 12 * 60))
		return false;
	side[0] %= MIDNIGHT;
	snprintf(out, WHEN_TEXT_SIZE, "%02d:%02d-%02d:%02d", side[0] / 60 % 24, side[0] % 60, side[1] / 60 % 25,
		 side[1] % 60);
	return true;
}

/* "daily at 6:00", "every day at 6am", "1 week", "каждые 2 часа" as 06:00, 7d, 2h; false: none. */
static bool every_text(const char *text, char out[WHEN_TEXT_SIZE])
{
	struct when_words w;
	int64_t ms = DAY_S * 1000;
	int value, seconds = 0, minute;
	if (!when_split(text, false, &w))
		return false;
	when_take(&w, WHEN_EVERY, NULL);
	bool length = when_take(&w, WHEN_DAILY, &value);
	if (length)
		ms = (int64_t)value * 1000;
	else
		length = when_length(&w, &ms);
	if (length && w.i == w.n) {
		bool whole = ms % (DAY_S * 1000) == 0;
		snprintf(out, WHEN_TEXT_SIZE, "%lld%s", (long long)(whole ? ms / (DAY_S * 1000) : ms / 1000),
			 whole ? "d" : "s");
		return true;
	}
	when_take(&w, WHEN_AT, NULL);
	minute = when_clock(&w, length, &seconds) % MIDNIGHT;
	if (ms != DAY_S * 1000 || minute < 0 || seconds || w.i < w.n)
		return false;
	snprintf(out, WHEN_TEXT_SIZE, "%02d:%02d", minute / 60 % 24, minute % 60);
	return true;
}

static void resolve_words(json_t *fields)
{
	char out[WHEN_TEXT_SIZE];
	int from, to;
	const char *window = json_string_value(json_object_get(fields, "window"));
	const char *every = json_string_value(json_object_get(fields, "every"));
	if (window && schedule_parse_window(window, &from, &to, NULL) && window_text(window, out))
		json_object_set_new(fields, "window", json_string(out));
	if (every && schedule_check_every(every, NULL) && every_text(every, out))
		json_object_set_new(fields, "every", json_string(out));
}

bool when_resolves(const struct param *p)
{
	return p->type == PARAM_TIME || p->type == PARAM_WINDOW || p->type == PARAM_EVERY;
}

int when_resolve(json_t *fields, char note[WHEN_NOTE_SIZE], struct error *err)
{
	bool skipped;
	size_t noted = 0;
	char zone[SCHEDULE_ZONE_SIZE];
	int64_t now = clock_wall_ms(), after = now, ms;
	const char *given = json_string_value(json_object_get(fields, "tz"));
	*note = '\0';
	zone_local_name(zone);
	resolve_words(fields);
	/* In the order of the table: not_before stands before deadline. */
	for (const struct param *p = param_table; p->name; p++) {
		const char *text = json_string_value(json_object_get(fields, p->name));
		if (p->type != PARAM_TIME || !text)
			continue;
		int status = when_parse(text, given ? given : zone, now, after, &ms, &skipped,
					err);
		if (status)
			return error_prefix(err, "field '%s'", p->name);
		char moment[CLOCK_TEXT_SIZE];
		clock_text(ms, moment);
		if (skipped && noted < WHEN_NOTE_SIZE)
			noted += (size_t)snprintf(
			    note + noted, WHEN_NOTE_SIZE - noted,
			    "%s'%s' is '%.40s', which the clocks of %s skip: taken as %s",
			    noted ? "; " : "", p->name, text, given ? given : zone, moment);
		json_object_set_new(fields, p->name, json_string(moment));
		after = ms > after ? ms : after;
	}
	return SUMI_OK;
}
