/* Time zones out of the system's tz database: TZif files (RFC 8536) with the rule of their
 * footer for times after the last transition. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/schedule.h"

#define ZONE_DIR "/usr/share/zoneinfo"
#define ZONE_FILE_MAX (1 << 20)
#define DAY 86400

/* "M10.5.0/3", "J60", "59": a day of the year and a time of that day. */
struct change {
	char kind; /* 'M', 'J' or 'N' */
	int month, week, weekday, day;
	int32_t seconds; /* local time; may be negative or past a day */
};

struct rule {
	bool present, has_dst;
	int32_t standard, dst; /* seconds east of UTC */
	struct change to_dst, to_standard;
};

struct zone {
	size_t count;
	int64_t *moments; /* [count], ascending, seconds since 1970 */
	int32_t *offsets; /* [count], from that moment on */
	int32_t first;    /* before the first of them */
	struct rule rule;
};

/* ---- the calendar -------------------------------------------------------------------- */

/* Days since 1970 of a date of the proleptic Gregorian calendar (H. Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms", days_from_civil). */
static int64_t days_of(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t of_era = year - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t year_of(int64_t seconds)
{
	int64_t year = 1970 + seconds / 31556952;
	while (days_of(year, 1, 1) * DAY > seconds)
		year--;
	while (days_of(year + 1, 1, 1) * DAY <= seconds)
		year++;
	return year;
}

/* ---- the footer's rule (POSIX TZ) ---------------------------------------------------- */

static bool read_number(const char **p, int max, int *value)
{
	*value = 0;
	if (!isdigit((unsigned char)**p))
		return false;
	while (isdigit((unsigned char)**p)) {
		*value = *value * 10 + (*(*p)++ - '0');
		if (*value > max)
			return false;
	}
	return true;
}

/* [+-]hh[:mm[:ss]], at most so many hours: 24 for an offset, 167 for the time of a change */
static bool read_time(const char **p, int hours, int32_t *seconds)
{
	int sign = 1, h, m = 0, s = 0;
	if (**p == '-' || **p == '+')
		sign = *(*p)++ == '-' ? -1 : 1;
	if (!read_number(p, hours, &h))
		return false;
	if (**p == ':' && (++*p, !read_number(p, 59, &m)))
		return false;
	if (**p == ':' && (++*p, !read_number(p, 59, &s)))
		return false;
	*seconds = sign * (h * 3600 + m * 60 + s);
	return true;
}

static bool skip_name(const char **p)
{
	const char *start = *p;
	if (**p == '<') {
		while (**p && **p != '>')
			(*p)++;
		return *(*p) == '>' && (++*p, true);
	}
	while (isalpha((unsigned char)**p))
		(*p)++;
	return *p > start;
}

static bool read_change(const char **p, struct change *c)
{
	memset(c, 0, sizeof *c);
	c->seconds = 2 * 3600;
	if (*(*p)++ != ',')
		return false;
	c->kind = isdigit((unsigned char)**p) ? 'N' : *(*p)++;
	if (c->kind == 'M') {
		if (!read_number(p, 12, &c->month) || c->month < 1 || *(*p)++ != '.' ||
		    !read_number(p, 5, &c->week) || c->week < 1 || *(*p)++ != '.' ||
		    !read_number(p, 6, &c->weekday))
			return false;
	} else if ((c->kind != 'J' && c->kind != 'N') || !read_number(p, 365, &c->day)) {
		return false;
	}
	if (**p == '/') {
		(*p)++;
		return read_time(p, 167, &c->seconds);
	}
	return true;
}

static bool read_rule(const char *p, struct rule *rule)
{
	memset(rule, 0, sizeof *rule);
	if (!skip_name(&p) || !read_time(&p, 24, &rule->standard))
		return false;
	rule->standard = -rule->standard; /* POSIX counts west of Greenwich */
	rule->dst = rule->standard + 3600;
	rule->present = true;
	if (!*p)
		return true;
	if (!skip_name(&p))
		return false;
	if (*p && *p != ',') {
		if (!read_time(&p, 24, &rule->dst))
			return false;
		rule->dst = -rule->dst;
	}
	rule->has_dst = true;
	return read_change(&p, &rule->to_dst) && read_change(&p, &rule->to_standard) && !*p;
}

/* Seconds since 1970 as if local time were UTC. */
static int64_t change_in(const struct change *c, int64_t year)
{
	static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t day;
	if (c->kind == 'M') {
		int64_t first = days_of(year, c->month, 1);
		int length = lengths[c->month - 1] + (c->month == 2 && is_leap(year));
		int weekday = (int)(((first + 4) % 7 + 7) % 7); /* 1 January 1970 was a Thursday */
		int offset = (c->weekday - weekday + 7) % 7 + (c->week - 1) * 7;
		day = first + (offset < length ? offset : offset - 7);
	} else if (c->kind == 'J') { /* 1…365, 29 February is never counted */
		day = days_of(year, 1, 1) + c->day - 1 + (is_leap(year) && c->day >= 60);
	} else {
		day = days_of(year, 1, 1) + c->day;
	}
	return day * DAY + c->seconds;
}

static int32_t rule_offset(const struct rule *rule, int64_t utc)
{
	if (!rule->has_dst)
		return rule->standard;
	int64_t year = year_of(utc + rule->standard);
	int64_t on = change_in(&rule->to_dst, year) - rule->standard;
	int64_t off = change_in(&rule->to_standard, year) - rule->dst;
	bool dst = on < off ? utc >= on && utc < off : utc >= on || utc < off;
	return dst ? rule->dst : rule->standard;
}

/* ---- the file ------------------------------------------------------------------------- */

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const unsigned char *p)
{
	return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct counts {
	size_t isut, isstd, leap, time, type, chars;
};

/* Reads a header and says how long the data behind it are; 0 when it is none. */
static bool read_header(const unsigned char *p, size_t left, size_t time_size, struct counts *c,
			size_t *body)
{
	if (left < 44 || memcmp(p, "TZif", 4) != 0)
		return false;
	*c = (struct counts){be32(p + 20), be32(p + 24), be32(p + 28),
			     be32(p + 32), be32(p + 36), be32(p + 40)};
	if (c->time > 100000 || c->type == 0 || c->type > 256 || c->chars > 4096 ||
	    c->leap > 10000 || c->isut > 256 || c->isstd > 256)
		return false;
	*body = c->time * (time_size + 1) + c->type * 6 + c->chars + c->leap * (time_size + 4) +
		c->isstd + c->isut;
	return *body <= left - 44;
}

/* Seconds east of UTC within what RFC 8536 §3.2 expects: more than -25 and less than 26 hours. */
static bool read_offset(const unsigned char *type, int32_t *offset)
{
	*offset = (int32_t)be32(type);
	return *offset > -25 * 3600 && *offset < 26 * 3600;
}

static bool read_transitions(struct zone *zone, const unsigned char *p, const struct counts *c)
{
	const unsigned char *index = p + c->time * 8, *types = index + c->time;
	zone->count = c->time;
	if (!read_offset(types, &zone->first))
		return false;
	zone->moments = calloc(c->time + 1, sizeof *zone->moments);
	zone->offsets = calloc(c->time + 1, sizeof *zone->offsets);
	if (!zone->moments || !zone->offsets)
		return false;
	for (size_t i = 0; i < c->time; i++) {
		zone->moments[i] = be64(p + i * 8);
		if (index[i] >= c->type || (i > 0 && zone->moments[i] <= zone->moments[i - 1]))
			return false;
		if (!read_offset(types + index[i] * 6, &zone->offsets[i]))
			return false;
	}
	return true;
}

static bool read_file(struct zone *zone, const char *data, size_t size)
{
	const unsigned char *p = (const unsigned char *)data;
	struct counts c;
	size_t body;
	/* The first block has 32-bit times for old readers; the second is the whole. */
	if (!read_header(p, size, 4, &c, &body) || p[4] < '2')
		return false;
	p += 44 + body;
	size -= 44 + body;
	if (!read_header(p, size, 8, &c, &body) || !read_transitions(zone, p + 44, &c))
		return false;
	const char *footer = (const char *)p + 44 + body;
	char rule[128];
	const char *end =
	    size > 44 + body + 1 ? memchr(footer + 1, '\n', size - 44 - body - 1) : NULL;
	if (!end || footer[0] != '\n' || (size_t)(end - footer) > sizeof rule)
		return false;
	memcpy(rule, footer + 1, (size_t)(end - footer) - 1);
	rule[end - footer - 1] = '\0';
	return !*rule || read_rule(rule, &zone->rule);
}

static bool good_name(const char *name)
{
	size_t n = strlen(name);
	if (n == 0 || n >= SCHEDULE_ZONE_SIZE || !isalpha((unsigned char)name[0]) ||
	    strstr(name, ".."))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_+-/", *name))
			return false;
	return true;
}

/* Where the C library looks too. */
static const char *zone_dir(void)
{
	const char *dir = getenv("TZDIR");
	return dir && *dir == '/' ? dir : ZONE_DIR;
}

int zone_load(const char *name, struct zone **out, struct error *err)
{
	char path[FILES_PATH_MAX], *data = NULL;
	size_t size;
	*out = NULL;
	if (!good_name(name))
		return error_set(err, SUMI_INVALID,
				 "'%.60s' is no time zone: write one like Europe/Moscow", name);
	struct zone *zone = calloc(1, sizeof *zone);
	if (!zone)
		return error_set(err, SUMI_NOMEM, "time zone %s: no memory", name);
	if (strcmp(name, "UTC") == 0) { /* known without a database */
		*out = zone;
		return SUMI_OK;
	}
	int status = files_path(path, err, "%s/%s", zone_dir(), name);
	if (status == SUMI_OK && files_read(path, ZONE_FILE_MAX, &data, &size, NULL))
		status = error_set(err, SUMI_NOTFOUND,
				   "time zone '%s' is not in %s (is tzdata installed?)", name,
				   zone_dir());
	if (status == SUMI_OK && !read_file(zone, data, size))
		status = error_set(err, SUMI_CORRUPT,
				   "%s: not a time zone file (version 2 or later)", path);
	free(data);
	if (status) {
		zone_free(zone);
		return status;
	}
	*out = zone;
	return SUMI_OK;
}

void zone_free(struct zone *zone)
{
	if (!zone)
		return;
	free(zone->moments);
	free(zone->offsets);
	free(zone);
}

int32_t zone_offset(const struct zone *zone, int64_t utc)
{
	size_t low = 0, high = zone->count;
	if (zone->rule.present && (high == 0 || utc >= zone->moments[high - 1]))
		return rule_offset(&zone->rule, utc);
	while (low < high) { /* the number of transitions that are not after utc */
		size_t middle = (low + high) / 2;
		if (zone->moments[middle] <= utc)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? zone->offsets[low - 1] : zone->first;
}

int64_t zone_moment(const struct zone *zone, int64_t day, int minute)
{
	int64_t local = day * DAY + (int64_t)minute * 60;
	int64_t one = local - zone_offset(zone, local - DAY);
	int64_t two = local - zone_offset(zone, local + DAY);
	int64_t early = one < two ? one : two, late = one < two ? two : one;
	if (early + zone_offset(zone, early) == local)
		return early;
	if (late + zone_offset(zone, late) == local)
		return late;
	/* The minute is skipped: find the moment of the change, which lies in between. */
	while (early < late) {
		int64_t middle = early + (late - early) / 2;
		if (middle + zone_offset(zone, middle) >= local)
			late = middle;
		else
			early = middle + 1;
	}
	return late;
}

static bool loads(const char *name)
{
	struct zone *zone;
	if (zone_load(name, &zone, NULL))
		return false;
	zone_free(zone);
	return true;
}

void zone_local_name(char out[SCHEDULE_ZONE_SIZE])
{
	char link[FILES_PATH_MAX], *text = NULL;
	const char *tz = getenv("TZ");
	if (tz && *tz) {
		tz += *tz == ':';
		snprintf(out, SCHEDULE_ZONE_SIZE, "%s", tz);
		if (loads(out))
			return;
	}
	ssize_t n = readlink("/etc/localtime", link, sizeof link - 1);
	if (n > 0) {
		link[n] = '\0';
		const char *name = strstr(link, "zoneinfo/");
		snprintf(out, SCHEDULE_ZONE_SIZE, "%.*s", SCHEDULE_ZONE_SIZE - 1,
			 name ? name + 9 : "");
		if (loads(out))
			return;
	}
	if (files_read("/etc/timezone", 256, &text, NULL, NULL) == SUMI_OK) {
		snprintf(out, SCHEDULE_ZONE_SIZE, "%.*s", (int)strcspn(text, "\n"), text);
		free(text);
		if (loads(out))
			return;
	}
	strcpy(out, "UTC");
}
