/* Times as people write them. */
#include "cli/when.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/schedule.h"
#include "request/param.h"

enum { DAY_S = 86400, WEEK = 7 };

static const char *skip_spaces(const char *p)
{
	while (*p == ' ')
		p++;
	return p;
}

/* "6:00", "18:30" up to the end of the text: minutes of the day; −1: none. */
static int minute_of(const char *text)
{
	int hour, minute, end = 0;
	if (!isdigit((unsigned char)*text) ||
	    sscanf(text, "%2d:%2d%n", &hour, &minute, &end) != 2 || !end || *skip_spaces(text + end))
		return -1;
	bool two = isdigit((unsigned char)text[end - 1]) && isdigit((unsigned char)text[end - 2]);
	return two && hour < 24 && minute < 60 ? hour * 60 + minute : -1;
}

/* "today", "tomorrow", "fri", "Friday" before a time of day: days from today, and what follows in
 * *rest; −1: no such word. `weekday`: of today, 0 is Thursday (1970 began with one). */
static int days_of(const char *text, int weekday, const char **rest)
{
	static const char *const names[WEEK] = {"thursday", "friday",  "saturday", "sunday",
						"monday",   "tuesday", "wednesday"};
	size_t n = 0;
	while (isalpha((unsigned char)text[n]))
		n++;
	*rest = skip_spaces(text + n);
	if (strncasecmp(*rest, "at ", 3) == 0)
		*rest = skip_spaces(*rest + 3);
	if (n == 5 && strncasecmp(text, "today", n) == 0)
		return 0;
	if (n == 8 && strncasecmp(text, "tomorrow", n) == 0)
		return 1;
	for (int i = 0; i < WEEK && n >= 3; i++)
		if (n <= strlen(names[i]) && strncasecmp(text, names[i], n) == 0)
			return (i - weekday + WEEK) % WEEK;
	return -1;
}

struct here {
	struct zone *zone;
	int64_t today; /* days since 1970 on the wall */
	int64_t now_s, after_s;
	bool *skipped;
};

static bool at_time(const struct here *h, int64_t day, int minute, int64_t *ms)
{
	int64_t moment = zone_moment(h->zone, day, minute);
	*ms = moment * 1000;
	*h->skipped = moment + zone_offset(h->zone, moment) != day * DAY_S + (int64_t)minute * 60;
	return true;
}

/* The first day from `day` on, in steps, whose minute comes after a moment. */
static bool next_time(const struct here *h, int64_t day, int step, int minute, int64_t *ms)
{
	for (int i = 0; i < 3; i++, day += step)
		if (zone_moment(h->zone, day, minute) > h->after_s)
			break;
	return at_time(h, day, minute, ms);
}

static bool day_and_time(const struct here *h, const char *text, int64_t *ms)
{
	const char *rest;
	int days = days_of(text, (int)(h->today % WEEK), &rest), minute = minute_of(rest);
	if (days < 0 || minute < 0)
		return false;
	bool weekday = strncasecmp(text, "to", 2) != 0;
	return weekday ? next_time(h, h->today + days, WEEK, minute, ms)
		       : at_time(h, h->today + days, minute, ms);
}

/* "2026-01-31 22:00" and "2026-01-31T22:00[:SS]" on the wall. */
static bool date_and_time(const struct here *h, const char *text, int64_t *ms)
{
	char date[11];
	int64_t midnight;
	if (strlen(text) < 16 || (text[10] != ' ' && text[10] != 'T'))
		return false;
	snprintf(date, sizeof date, "%.10s", text);
	const char *time = skip_spaces(text + 11);
	char minutes[6];
	snprintf(minutes, sizeof minutes, "%.5s", time);
	bool seconds = strlen(time) == 8 && time[5] == ':' && isdigit((unsigned char)time[6]) &&
		       isdigit((unsigned char)time[7]) && time[6] < '6';
	int minute = minute_of(strlen(time) == 8 && seconds ? minutes : time);
	if (minute < 0 || clock_parse(date, &midnight, NULL))
		return false;
	at_time(h, midnight / 1000 / DAY_S, minute, ms);
	*ms += seconds ? ((time[6] - '0') * 10 + time[7] - '0') * 1000 : 0;
	return true;
}

/* "+2h", "in 2h", "+1h30m" */
static bool duration(const struct here *h, const char *text, int64_t *ms)
{
	const char *p = *text == '+' ? text + 1 : strncasecmp(text, "in ", 3) == 0 ? text + 3 : NULL;
	int64_t sum = 0, part;
	if (!p || !*(p = skip_spaces(p)))
		return false;
	while (*p) {
		char piece[32];
		size_t n = strspn(p, "0123456789.");
		n += strspn(p + n, "abcdefghijklmnopqrstuvwxyz");
		if (n == 0 || n >= sizeof piece)
			return false;
		snprintf(piece, sizeof piece, "%.*s", (int)n, p);
		if (clock_parse_duration(piece, &part, NULL) || part > INT64_MAX / 2 - sum)
			return false;
		sum += part;
		p = skip_spaces(p + n);
	}
	*ms = h->now_s * 1000 + sum;
	return true;
}

int when_parse(const char *text, const char *zone, int64_t now_ms, int64_t after_ms, int64_t *ms,
	       bool *skipped, struct error *err)
{
	struct here h = {.now_s = now_ms / 1000, .after_s = after_ms / 1000, .skipped = skipped};
	*skipped = false;
	text = skip_spaces(text);
	if (strcasecmp(text, "now") == 0) {
		*ms = now_ms;
		return SUMI_OK;
	}
	if (clock_parse(text, ms, NULL) == SUMI_OK)
		return SUMI_OK;
	int status = zone_load(zone, &h.zone, err);
	if (status)
		return status;
	h.today = (h.now_s + zone_offset(h.zone, h.now_s)) / DAY_S;
	int minute = minute_of(text);
	int64_t day = (h.after_s + zone_offset(h.zone, h.after_s)) / DAY_S;
	bool read = minute >= 0 ? next_time(&h, day, 1, minute, ms)
				: duration(&h, text, ms) || day_and_time(&h, text, ms) ||
					  date_and_time(&h, text, ms);
	zone_free(h.zone);
	return read ? SUMI_OK
		    : error_set(err, SUMI_INVALID,
				"'%.60s' is not a time: write 18:30, +2h, tomorrow 6:00, "
				"fri 22:00, 2026-01-31 22:00 or 2026-01-31T22:00:00Z",
				text);
}

const char *when_two_digits(const char *text, char out[32])
{
	size_t n = 0;
	if (strlen(text) > 11)
		return text;
	for (const char *p = text; *p; p++) {
		if ((p == text || p[-1] == '-') && isdigit((unsigned char)p[0]) && p[1] == ':')
			out[n++] = '0';
		out[n++] = *p;
	}
	out[n] = '\0';
	return out;
}

int when_resolve(json_t *fields, char note[WHEN_NOTE_SIZE], struct error *err)
{
	bool skipped;
	size_t noted = 0;
	char zone[SCHEDULE_ZONE_SIZE];
	int64_t now = clock_wall_ms(), after = now, ms;
	const char *given = json_string_value(json_object_get(fields, "tz"));
	static const char *const daily[] = {"every", "window"};
	*note = '\0';
	zone_local_name(zone);
	for (size_t i = 0; i < sizeof daily / sizeof daily[0]; i++) {
		char out[32];
		const char *text = json_string_value(json_object_get(fields, daily[i]));
		if (text)
			json_object_set_new(fields, daily[i],
					    json_string(when_two_digits(text, out)));
	}
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
