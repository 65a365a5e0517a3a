/* Clocks and their text forms. */
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_boot_ms(void)
{
	return read_us(CLOCK_BOOTTIME) / 1000;
}

void clock_sleep_ms(int64_t ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
	while (nanosleep(&t, &t) == -1 && errno == EINTR)
		;
}

void clock_text(int64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	int ms = (int)(wall_ms % 1000);
	if (ms < 0) {
		ms += 1000;
		seconds--;
	}
	struct tm tm;
	gmtime_r(&seconds, &tm);
	size_t n = strftime(out, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, CLOCK_TEXT_SIZE - n, ".%03dZ", ms);
}

/* Reads exactly `digits` digits. */
static int number(const char **p, int digits, int *value)
{
	*value = 0;
	for (int i = 0; i < digits; i++) {
		if (!isdigit((unsigned char)**p))
			return -1;
		*value = *value * 10 + (*(*p)++ - '0');
	}
	return 0;
}

static int parse_zone(const char **p, int *minutes)
{
	*minutes = 0;
	if (**p == 'Z') {
		(*p)++;
		return 0;
	}
	if (**p != '+' && **p != '-')
		return -1;
	int sign = *(*p)++ == '-' ? -1 : 1, h, m;
	if (number(p, 2, &h) || *(*p)++ != ':' || number(p, 2, &m) || h > 14 || m > 59)
		return -1;
	*minutes = sign * (h * 60 + m);
	return 0;
}

static int parse_time_of_day(const char **p, struct tm *tm, int *ms, int *zone)
{
	if (number(p, 2, &tm->tm_hour) || *(*p)++ != ':' || number(p, 2, &tm->tm_min))
		return -1;
	if (**p == ':') {
		(*p)++;
		if (number(p, 2, &tm->tm_sec))
			return -1;
	}
	if (**p == '.') {
		(*p)++;
		int scale = 100;
		if (!isdigit((unsigned char)**p))
			return -1;
		for (; isdigit((unsigned char)**p); (*p)++, scale /= 10)
			*ms += (**p - '0') * scale;
	}
	if (tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 59)
		return -1;
	return parse_zone(p, zone);
}

int clock_parse(const char *text, int64_t *wall_ms, struct error *err)
{
	const char *p = text;
	struct tm tm = {0};
	int ms = 0, zone = 0;
	if (number(&p, 4, &tm.tm_year) || *p++ != '-' || number(&p, 2, &tm.tm_mon) || *p++ != '-' ||
	    number(&p, 2, &tm.tm_mday) || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1)
		goto bad;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (*p == 'T' || *p == ' ') {
		p++;
		if (parse_time_of_day(&p, &tm, &ms, &zone))
			goto bad;
	}
	if (*p)
		goto bad;
	struct tm normal = tm;
	int64_t seconds = (int64_t)timegm(&normal);
	if (normal.tm_mday != tm.tm_mday) /* 31 April became 1 May */
		goto bad;
	*wall_ms = (seconds - (int64_t)zone * 60) * 1000 + ms;
	return SUMI_OK;
bad:
	return error_set(
	    err, SUMI_INVALID,
	    "'%.60s' is not a time: write 2026-01-31T22:00:00Z or 2026-01-31T22:00:00+03:00", text);
}

int clock_parse_duration(const char *text, int64_t *ms, struct error *err)
{
	static const struct {
		const char *suffix;
		double seconds;
	} units[] = {{"", 1}, {"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 7 * 86400}};
	char *end;
	errno = 0;
	double value = strtod(text, &end);
	end += end != text ? strspn(end, " ") : 0;
	if (end != text && errno == 0 && value >= 0 && value < 1e9)
		for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
			if (strcmp(end, units[i].suffix) == 0) {
				*ms = (int64_t)(value * units[i].seconds * 1000 + 0.5);
				return SUMI_OK;
			}
	return error_set(err, SUMI_INVALID, "'%.60s' is not a duration: write 90s, 15m, 2h or 7d",
			 text);
}
