/* Times as people write them, in English and Russian: 18:30, 6pm, +2h, tomorrow 6:00, fri 22:00, завтра в 6, 31.12.2026 22:00. */
#ifndef SUMI_CLI_WHEN_H
#define SUMI_CLI_WHEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define WHEN_NOTE_SIZE 320
#define WHEN_TEXT_SIZE 32

/* A time of day alone is the next one after after_ms; a duration counts from now_ms. What names
 * no zone is a clock on the wall of `zone`. *skipped: that clock never shows it, as daylight saving begins; it
 * is the moment of the change then. SUMI_INVALID says how to write one. */
int when_parse(const char *text, const char *zone, int64_t now_ms, int64_t after_ms, int64_t *ms,
	       bool *skipped, struct error *err);

/* Replaces the times among a job's fields (texts) by moments, and window and every by what the queue reads ("22-6" is
 * 22:00-06:00, "every day at 6am" 06:00): of the field tz, else of the
 * system's own zone. A deadline that is a time of day alone is the next one after not_before.
 * note: a line on times that the clocks skip, or "". "field 'x': …" */
int when_resolve(json_t *fields, char note[WHEN_NOTE_SIZE], struct error *err);

/* Is it a parameter that when_resolve() reads? */
struct param;
bool when_resolves(const struct param *p);

/* As when_parse(), of times that have been, as filters name them: "18:30" is the last one, "2d" two days ago, "yesterday"
 * its beginning. */
int when_parse_past(const char *text, const char *zone, int64_t now_ms, int64_t *ms, struct error *err);

/* "90d", "2 weeks", "1h30m", "полчаса". */
int when_parse_length(const char *text, int64_t *ms, struct error *err);

#endif
