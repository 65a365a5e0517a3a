/* When a job may run: daily windows, recurrence, backoff. Pure policy over base/zone.c. */
#include "base/schedule.h"

#include <ctype.h>
#include <string.h>

#include "base/clock.h"

#define DAY 86400
#define MINUTES 1440
#define BACKOFF_FIRST_MS 5000
#define BACKOFF_MOST_MS 600000
#define EVERY_LEAST_MS 60000

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Exactly "HH:MM"; hour 24 only as 24:00. Returns −1 for anything else. */
static int minute_of(const char *p)
{
	for (int i = 0; i < 5; i++)
		if (i == 2 ? p[i] != ':' : !isdigit((unsigned char)p[i]))
			return -1;
	int hour = (p[0] - '0') * 10 + p[1] - '0', minute = (p[3] - '0') * 10 + p[4] - '0';
	if (minute > 59 || hour > 24 || (hour == 24 && minute > 0))
		return -1;
	return hour * 60 + minute;
}

int schedule_parse_window(const char *text, int *from, int *to, struct error *err)
{
	*from = *to = -1;
	if (strlen(text) == 11 && text[5] == '-') {
		*from = minute_of(text);
		*to = minute_of(text + 6);
	}
	if (*from < 0 || *to < 0 || *from == MINUTES)
		return error_set(err, SUMI_INVALID,
				 "'%.40s' is no window: write one like 22:00-06:00", text);
	if (*from == *to)
		return error_set(err, SUMI_INVALID,
				 "'%s' never opens: write 00:00-24:00 for all day", text);
	return SUMI_OK;
}

static int minute_at(const struct zone *zone, int64_t seconds)
{
	int64_t local = seconds + zone_offset(zone, seconds);
	return (int)((local - floor_div(local, DAY) * DAY) / 60);
}

int schedule_minute(const char *zone_name, int64_t now_ms, int *minute, struct error *err)
{
	struct zone *zone;
	int status = zone_load(zone_name, &zone, err);
	if (status)
		return status;
	*minute = minute_at(zone, floor_div(now_ms, 1000));
	zone_free(zone);
	return SUMI_OK;
}

static bool open_at(const struct zone *zone, int from, int to, int64_t seconds)
{
	int minute = minute_at(zone, seconds);
	return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

static int load_window(const char *window, const char *zone_name, int *from, int *to,
		       struct zone **zone, struct error *err)
{
	int status = schedule_parse_window(window, from, to, err);
	return status ? status : zone_load(zone_name, zone, err);
}

int schedule_window_open(const char *window, const char *zone_name, int64_t now_ms, bool *open,
			 struct error *err)
{
	struct zone *zone;
	int from, to, status = load_window(window, zone_name, &from, &to, &zone, err);
	if (status)
		return status;
	*open = open_at(zone, from, to, floor_div(now_ms, 1000));
	zone_free(zone);
	return SUMI_OK;
}

int schedule_window_next(const char *window, const char *zone_name, int64_t now_ms,
			 int64_t *opens_ms, struct error *err)
{
	struct zone *zone;
	int from, to, status = load_window(window, zone_name, &from, &to, &zone, err);
	if (status)
		return status;
	int64_t now = floor_div(now_ms, 1000);
	int64_t today = floor_div(now + zone_offset(zone, now), DAY);
	*opens_ms = now_ms;
	if (open_at(zone, from, to, now))
		goto done;
	/* A window that lies within the hour that a DST change skips does not open that day. */
	for (int64_t day = today; day < today + 4; day++) {
		int64_t moment = zone_moment(zone, day, from);
		if (moment > now && open_at(zone, from, to, moment)) {
			*opens_ms = moment * 1000;
			goto done;
		}
	}
	status = error_set(err, SUMI_INTERNAL, "window %s in %s does not open within four days",
			   window, zone_name);
done:
	zone_free(zone);
	return status;
}

bool schedule_every_is_daily(const char *every)
{
	return strchr(every, ':') != NULL;
}

int schedule_check_every(const char *every, struct error *err)
{
	int64_t ms;
	if (schedule_every_is_daily(every)) {
		int minute = strlen(every) == 5 ? minute_of(every) : -1;
		return minute >= 0 && minute < MINUTES
			   ? SUMI_OK
			   : error_set(err, SUMI_INVALID,
				       "'%.40s' is no time of day: write one like 22:00", every);
	}
	int status = clock_parse_duration(every, &ms, err);
	if (status == SUMI_OK && ms < EVERY_LEAST_MS)
		return error_set(err, SUMI_INVALID, "'%.40s' is less than a minute", every);
	return status;
}

int schedule_every_next(const char *every, const char *zone_name, int64_t previous_ms,
			int64_t now_ms, int64_t *next_ms, struct error *err)
{
	struct zone *zone;
	int64_t period;
	int status = schedule_check_every(every, err);
	if (status)
		return status;
	if (!schedule_every_is_daily(every)) {
		clock_parse_duration(every, &period, NULL);
		int64_t missed = previous_ms < now_ms ? (now_ms - previous_ms) / period : 0;
		*next_ms = previous_ms + (missed + 1) * period;
		return SUMI_OK;
	}
	status = zone_load(zone_name, &zone, err);
	if (status)
		return status;
	int64_t after = floor_div(now_ms > previous_ms ? now_ms : previous_ms, 1000);
	int64_t day = floor_div(after + zone_offset(zone, after), DAY);
	int64_t moment = zone_moment(zone, day, minute_of(every));
	while (moment <= after)
		moment = zone_moment(zone, ++day, minute_of(every));
	*next_ms = moment * 1000;
	zone_free(zone);
	return SUMI_OK;
}

int64_t schedule_backoff_ms(int failure, double jitter)
{
	int64_t wait = BACKOFF_FIRST_MS;
	for (int i = 1; i < failure && wait < BACKOFF_MOST_MS; i++)
		wait *= 2;
	if (wait > BACKOFF_MOST_MS)
		wait = BACKOFF_MOST_MS;
	return wait / 2 + (int64_t)((double)(wait / 2) * jitter);
}
