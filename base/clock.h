/* Time: wall clock for people and the database, monotonic for intervals, boot
 * time (which goes on while the machine sleeps) for leases. */
#ifndef SUMI_BASE_CLOCK_H
#define SUMI_BASE_CLOCK_H

#include <stdint.h>

#include "base/status.h"

#define CLOCK_TEXT_SIZE 32

int64_t clock_wall_ms(void);
int64_t clock_mono_us(void);
int64_t clock_boot_ms(void);
void clock_sleep_ms(int64_t ms);

/* Milliseconds since 1970 → "2026-11-22T21:54:22.103Z". */
void clock_text(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);

/* "2026-11-22T21:54:22Z", with or without fraction, 'Z' or "+03:00", or "2026-11-22"
 * (midnight UTC) → milliseconds since 1970. SUMI_INVALID for anything else. */
int clock_parse(const char *text, int64_t *wall_ms, struct error *err);

/* "90", "90s", "15m", "2 h", "7d", "2w" → milliseconds (a bare number is seconds). */
int clock_parse_duration(const char *text, int64_t *ms, struct error *err);

#endif
