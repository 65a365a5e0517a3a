/* Times as people write them: 18:30, +2h, tomorrow 6:00, fri 22:00, 2026-01-31 22:00. */
#ifndef SUMI_CLI_WHEN_H
#define SUMI_CLI_WHEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define WHEN_NOTE_SIZE 320

/* A time of day alone is the next one after after_ms; a duration counts from now_ms. What names
 * no zone is a clock on the wall of `zone`. *skipped: that clock never shows it, as daylight saving begins; it
 * is the moment of the change then. SUMI_INVALID says how to write one. */
int when_parse(const char *text, const char *zone, int64_t now_ms, int64_t after_ms, int64_t *ms,
	       bool *skipped, struct error *err);

/* Replaces the times among a job's fields (texts) by moments: of the field tz, else of the
 * system's own zone. A deadline that is a time of day alone is the next one after not_before.
 * note: a line on times that the clocks skip, or "". "field 'x': …" */
int when_resolve(json_t *fields, char note[WHEN_NOTE_SIZE], struct error *err);

/* A window or a daily time whose hours may have one digit, 22:00-6:00, with two. The text itself
 * where it is longer than any of these. */
const char *when_two_digits(const char *text, char out[32]);

#endif
