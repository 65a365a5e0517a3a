/* Policy without input or output: is a window open, when does it open, how long to wait
 * after a failure, when does a recurring job run next.
 *
 * Times are milliseconds since 1970; zones are read from the system's tz database ($TZDIR, else
 * /usr/share/zoneinfo; TZif, RFC 8536), so the process's own TZ is neither used nor changed. */
#ifndef SUMI_QUEUE_SCHEDULE_H
#define SUMI_QUEUE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define SCHEDULE_ZONE_SIZE 64

struct zone; /* a loaded time zone; immutable, may be shared between threads */

/* "Europe/Moscow", "UTC". SUMI_NOTFOUND names the zone. The caller frees *out. */
int zone_load(const char *name, struct zone **out, struct error *err);
void zone_free(struct zone *zone); /* NULL is fine */

/* Seconds east of UTC at a moment. */
int32_t zone_offset(const struct zone *zone, int64_t utc_seconds);

/* The first moment at which a clock on the wall shows at least the given minute of the
 * given day (days since 1970). A minute that a DST change skips is the moment of the
 * change; one that it repeats is its first pass. Seconds since 1970. */
int64_t zone_moment(const struct zone *zone, int64_t day, int minute);

/* The system's own zone: $TZ, /etc/timezone, the link /etc/localtime; else "UTC". */
void zone_local_name(char out[SCHEDULE_ZONE_SIZE]);

/* "22:00-06:00" → minutes of the day, 0…1440. SUMI_INVALID for anything else, also for an
 * empty window (equal ends). "00:00-24:00" is always open. */
int schedule_parse_window(const char *text, int *from, int *to, struct error *err);

/* Open at from ≤ wall clock < to (over midnight when to < from). On days of a DST change
 * the wall clock decides. */
int schedule_window_open(const char *window, const char *zone, int64_t now_ms, bool *open,
			 struct error *err);

/* The minute of the day, 0…1439, that a clock on the wall shows in a zone. SUMI_NOTFOUND. */
int schedule_minute(const char *zone, int64_t now_ms, int *minute, struct error *err);

/* now_ms when open, else the next moment at which it opens. */
int schedule_window_next(const char *window, const char *zone, int64_t now_ms, int64_t *opens_ms,
			 struct error *err);

/* "24h", "15m" (a duration of at least one minute) or "22:00" (daily): checks only. */
int schedule_check_every(const char *every, struct error *err);
bool schedule_every_is_daily(const char *every);

/* The first occurrence after now_ms. A duration keeps the phase of previous_ms; missed
 * occurrences are left out, not made up for. zone is used by daily times only. */
int schedule_every_next(const char *every, const char *zone, int64_t previous_ms, int64_t now_ms,
			int64_t *next_ms, struct error *err);

/* Wait before retry number `failure` (1…): 5 s doubling to 10 min, times 0.5…1 by
 * jitter in 0…1 ("equal jitter"), so that a failed herd does not come back as one. */
int64_t schedule_backoff_ms(int failure, double jitter);

#endif
