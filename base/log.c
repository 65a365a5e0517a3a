/* Log lines on stderr. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

static enum log_level threshold = LOG_LEVEL_INFO;
static char process_name[32];

static const char *const level_words[] = {"error", "warn", "info", "debug"};
static const int syslog_priority[] = {3, 4, 6, 7};

void log_set_level(enum log_level level)
{
	threshold = level;
}

int log_level_from_word(const char *word)
{
	for (int i = 0; i < 4; i++)
		if (strcmp(word, level_words[i]) == 0)
			return i;
	return -1;
}

void log_set_name(const char *name)
{
	snprintf(process_name, sizeof process_name, "%s", name);
}

const char *log_quote(char *out, unsigned long size, const char *text)
{
	unsigned long n = 0;
	int quote = text[0] == '\0' || strpbrk(text, " \"\\\t\n\r=") != NULL;
	if (size == 0)
		return out;
	if (quote && n + 2 < size)
		out[n++] = '"';
	for (const char *p = text; *p && n + 4 < size; p++) {
		if (*p == '"' || *p == '\\')
			out[n++] = '\\';
		out[n++] = (unsigned char)*p < 0x20 ? ' ' : *p;
	}
	if (quote && n + 1 < size)
		out[n++] = '"';
	out[n < size ? n : size - 1] = '\0';
	return out;
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
	if (level > threshold)
		return;
	char line[2048];
	int n;
	if (getenv("JOURNAL_STREAM")) {
		n = snprintf(line, sizeof line, "<%d>%s", syslog_priority[level], event);
	} else {
		char when[CLOCK_TEXT_SIZE];
		clock_text(clock_wall_ms(), when);
		n = snprintf(line, sizeof line, "%s %s %s", when, level_words[level], event);
	}
	if (process_name[0])
		n += snprintf(line + n, sizeof line - (size_t)n, " process=%s", process_name);
	line[n++] = ' ';
	va_list ap;
	va_start(ap, format);
	int more = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, ap);
	va_end(ap);
	if (more > 0)
		n += more;
	if ((size_t)n > sizeof line - 2)
		n = (int)sizeof line - 2;
	line[n] = '\0';
	utf8_make_printable(line);
	line[n++] = '\n';
	/* One write: lines of several processes on one pipe do not mix. */
	ssize_t unused = write(STDERR_FILENO, line, (size_t)n);
	(void)unused;
}
