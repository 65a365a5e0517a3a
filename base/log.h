/* Log lines on stderr: one line an event, level and key=value pairs.
 *
 *     log_info("job.done", "id=%s seconds=%.1f", id, seconds);
 *     → 2026-11-22T21:54:22.103Z info job.done id=01J… seconds=3.2
 *
 * Under systemd (JOURNAL_STREAM set) the time is left out and a <N> priority
 * stands in front instead. Only programs log; the library reports through
 * struct error.
 *
 * Each text (%s) is a value that a stranger may have chosen. It is quoted here and nowhere else:
 * in quotes where the format puts them ("error=\"%s\""), else where it needs them; quotes and
 * backslashes in it with a backslash; what would end a line, steer a terminal or turn the direction
 * of the text, and bytes that are not UTF-8, as \n, \t, \r, \x1b, \u2028. So a line has one event,
 * its keys are those of the format, and no value ends before its quote. A value that is longer than
 * LOG_VALUE_MAX bytes ends in "…". */
#ifndef SUMI_BASE_LOG_H
#define SUMI_BASE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);

/* "error", "warn", "info", "debug" → level; -1 for any other word. */
int log_level_from_word(const char *word);

/* A word put into every line of this process, such as "worker.0"; copied. */
void log_set_name(const char *name);

#define LOG_VALUE_MAX 1000 /* bytes of a text as it stands in a line */

void log_event(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_event(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_event(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* The line of log_event(), with its newline, as it goes out under systemd or (journal false)
 * elsewhere, with a time. Returns its length. */
size_t log_line(char *out, size_t size, bool journal, enum log_level level, const char *event,
		const char *format, va_list ap);

#endif
