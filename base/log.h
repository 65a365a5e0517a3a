/* Log lines on stderr: one line an event, level and key=value pairs.
 *
 *     log_info("job.done", "id=%s seconds=%.1f", id, seconds);
 *     → 2026-11-22T21:54:22.103Z info job.done id=01J… seconds=3.2
 *
 * Under systemd (JOURNAL_STREAM set) the time is left out and a <N> priority
 * stands in front instead. Only programs log; the library reports through
 * struct error. */
#ifndef SUMI_BASE_LOG_H
#define SUMI_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level);

/* "error", "warn", "info", "debug" → level; -1 for any other word. */
int log_level_from_word(const char *word);

/* A word put into every line of this process, such as "worker.0"; copied. */
void log_set_name(const char *name);

void log_event(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_event(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_event(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Writes text as a value of a key=value pair: quoted and escaped when it holds
 * spaces, quotes or control characters. Returns out. */
const char *log_quote(char *out, unsigned long size, const char *text);

#endif
