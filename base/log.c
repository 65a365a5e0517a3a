/* Log lines on stderr. */
#include "base/log.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES 4096 /* PIPE_BUF: one write of so much is not torn apart */

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

/* ---- values ---------------------------------------------------------------------------- */

/* A line that is being written. What does not fit is left out. */
struct line {
	char *out;
	size_t size, room;
};

static void put(struct line *l, const char *bytes, size_t n)
{
	if (l->room - l->size < n)
		return;
	memcpy(l->out + l->size, bytes, n);
	l->size += n;
}

/* One character of a value at text, as it is or escaped; its length in text. */
static size_t escape(const char *text, size_t left, char out[12])
{
	static const char letters[][2] = {
	    {'"', '"'}, {'\\', '\\'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}};
	uint32_t code;
	size_t n = utf8_decode(text, left, &code);
	if (n == 0) {
		snprintf(out, 12, "\\x%02x", (unsigned char)*text);
		return 1;
	}
	for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
		if (*text == letters[i][0]) {
			snprintf(out, 12, "\\%c", letters[i][1]);
			return 1;
		}
	if (utf8_shows(code)) {
		memcpy(out, text, n);
		out[n] = '\0';
	} else {
		snprintf(out, 12,
			 code < 0x80      ? "\\x%02x"
			 : code < 0x10000 ? "\\u%04x"
					  : "\\U%08x",
			 (unsigned)code);
	}
	return n;
}

/* What every reader of key=value pairs takes for one word without quotes. */
static bool is_plain(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7F ||
		    strchr("\"'\\=", text[i]))
			return false;
	return size > 0;
}

/* quoted: the format has put a quote before it and puts one behind it. */
static void put_value(struct line *l, const char *text, size_t size, bool quoted)
{
	bool own = !quoted && !is_plain(text, size);
	size_t most = l->room - l->size < LOG_VALUE_MAX + 8 ? 0 : LOG_VALUE_MAX, used = 0;
	if (own)
		put(l, "\"", 1);
	for (size_t at = 0; at < size;) {
		char one[12];
		at += escape(text + at, size - at, one);
		size_t n = strlen(one);
		if (used + n > most) {
			put(l, "…", strlen("…"));
			break;
		}
		put(l, one, n);
		used += n;
	}
	if (own)
		put(l, "\"", 1);
}

/* ---- formats --------------------------------------------------------------------------- */

enum length { INT, LONG, LONG_LONG, SIZE, INTMAX, PTRDIFF, LONG_DOUBLE };

/* One conversion of printf, from its % to its letter; a `*` in it is replaced by its argument. */
struct conversion {
	char spec[48];
	int precision; /* -1: none */
	enum length length;
	char letter;
	size_t size; /* in the format */
};

static void add_spec(struct conversion *c, const char *text)
{
	size_t n = strlen(c->spec);
	snprintf(c->spec + n, sizeof c->spec - n, "%s", text);
}

/* A width or a precision at the format: its digits or the argument of its `*`. */
static int read_amount(const char *format, size_t *at, va_list *ap)
{
	if (format[*at] == '*') {
		++*at;
		return va_arg(*ap, int);
	}
	char *end;
	long value = strtol(format + *at, &end, 10);
	*at = (size_t)(end - format);
	return (int)value;
}

static enum length read_length(const char *format, size_t *at)
{
	static const struct {
		const char *text;
		enum length length;
	} lengths[] = {{"hh", INT}, {"h", INT},    {"ll", LONG_LONG}, {"l", LONG},
		       {"z", SIZE}, {"j", INTMAX}, {"t", PTRDIFF},    {"L", LONG_DOUBLE}};
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		size_t n = strlen(lengths[i].text);
		if (strncmp(format + *at, lengths[i].text, n) == 0) {
			*at += n;
			return lengths[i].length;
		}
	}
	return INT;
}

static struct conversion read_conversion(const char *format, va_list *ap)
{
	struct conversion c = {.spec = "%", .precision = -1};
	char part[16];
	size_t at = 1;
	for (; format[at] && strchr("-+ #0", format[at]); at++)
		add_spec(&c, (char[]){format[at], '\0'});
	if (format[at] == '*' || (format[at] >= '1' && format[at] <= '9')) {
		snprintf(part, sizeof part, "%d", read_amount(format, &at, ap));
		add_spec(&c, part);
	}
	if (format[at] == '.') {
		at++;
		c.precision = read_amount(format, &at, ap);
		snprintf(part, sizeof part, ".%d", c.precision);
		if (c.precision >= 0) /* below 0 it is as if there were none */
			add_spec(&c, part);
	}
	size_t before = at;
	c.length = read_length(format, &at);
	snprintf(part, sizeof part, "%.*s", (int)(at - before + (format[at] != '\0')), format + before);
	add_spec(&c, part);
	c.letter = format[at];
	c.size = at + (format[at] != '\0');
	return c;
}

static void put_number(struct line *l, const struct conversion *c, va_list *ap)
{
	char text[400]; /* %f of the largest double */
	int n = 0;
	bool real = strchr("eEfFgGaA", c->letter) != NULL;
	if (c->letter == 'p')
		n = snprintf(text, sizeof text, c->spec, va_arg(*ap, void *));
	else if (real && c->length == LONG_DOUBLE)
		n = snprintf(text, sizeof text, c->spec, va_arg(*ap, long double));
	else if (real)
		n = snprintf(text, sizeof text, c->spec, va_arg(*ap, double));
	else if (c->length == LONG)
		n = snprintf(text, sizeof text, c->spec, va_arg(*ap, long));
	else if (c->length == LONG_LONG)
		n = snprintf(text, sizeof text, c->spec, va_arg(*ap, long long));
	else if (c->length == SIZE)
		n = snprintf(text, sizeof text, c->spec, va_arg(*ap, size_t));
	else if (c->length == INTMAX)
		n = snprintf(text, sizeof text, c->spec, va_arg(*ap, intmax_t));
	else if (c->length == PTRDIFF)
		n = snprintf(text, sizeof text, c->spec, va_arg(*ap, ptrdiff_t));
	else
		n = snprintf(text, sizeof text, c->spec, va_arg(*ap, int));
	if (n > 0)
		put(l, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

/* A text is a value, whatever is in it; so is a character. */
static void put_words(struct line *l, const struct conversion *c, va_list *ap, bool quoted)
{
	char one;
	const char *text;
	size_t size;
	if (c->letter == 'c') {
		one = (char)va_arg(*ap, int);
		text = &one;
		size = 1;
	} else {
		text = va_arg(*ap, const char *);
		text = text ? text : "";
		size = strnlen(text, c->precision >= 0 ? (size_t)c->precision : SIZE_MAX);
	}
	put_value(l, text, size, quoted);
}

static void put_pairs(struct line *l, const char *format, va_list *ap)
{
	bool quoted = false;
	while (*format) {
		if (*format != '%') {
			quoted ^= *format == '"';
			put(l, format++, 1);
			continue;
		}
		struct conversion c = read_conversion(format, ap);
		format += c.size;
		if (c.letter == 's' || c.letter == 'c')
			put_words(l, &c, ap, quoted);
		else if (c.letter == '%')
			put(l, "%", 1);
		else
			put_number(l, &c, ap);
	}
}

size_t log_line(char *out, size_t size, bool journal, enum log_level level, const char *event,
		const char *format, va_list ap)
{
	/* Room is kept for the end of a value and of the line. */
	struct line l = {.out = out, .room = size - 8};
	char head[96], when[CLOCK_TEXT_SIZE];
	va_list own;
	if (journal) {
		snprintf(head, sizeof head, "<%d>%s", syslog_priority[level], event);
	} else {
		clock_text(clock_wall_ms(), when);
		snprintf(head, sizeof head, "%s %s %s", when, level_words[level], event);
	}
	put(&l, head, strlen(head));
	if (process_name[0]) {
		put(&l, " process=", strlen(" process="));
		put_value(&l, process_name, strlen(process_name), false);
	}
	put(&l, " ", 1);
	va_copy(own, ap);
	put_pairs(&l, format, &own);
	va_end(own);
	out[l.size++] = '\n';
	return l.size;
}

/* On a terminal, whoever shows a progress bar there may have left it on the present line: the bar is
 * wiped, and comes again below. */
static const char *line_start(void)
{
	static int terminal = -1;
	const char *kind = getenv("TERM");
	if (terminal < 0)
		terminal = isatty(STDERR_FILENO) && !(kind && strcmp(kind, "dumb") == 0);
	return terminal ? "\r\033[K" : "";
}

void log_event(enum log_level level, const char *event, const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;
	if (level > threshold)
		return;
	va_start(ap, format);
	size_t start = strlen(strcpy(line, line_start()));
	size_t n = start + log_line(line + start, sizeof line - start,
				    getenv("JOURNAL_STREAM") != NULL, level, event, format, ap);
	va_end(ap);
	/* One write: lines of several processes on one pipe do not mix. */
	ssize_t unused = write(STDERR_FILENO, line, n);
	(void)unused;
}
