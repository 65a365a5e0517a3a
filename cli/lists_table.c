/* Lists of jobs as tables (RFC 4180, and what spreadsheets make of it). */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/files.h"
#include "cli/lists.h"

enum { COLUMNS = 64 };

/* One field of a line, unquoted in place; *at moves behind it. Newlines inside quotes count on
 * *line. NULL for a quote that is never closed. */
static char *take(char **at, char delimiter, long *line, bool *last)
{
	char *p = *at, *out = p, *start = p;
	bool quoted = *p == '"';
	if (quoted)
		p++;
	while (*p) {
		if (quoted && *p == '"' && p[1] == '"') {
			p++;
		} else if (quoted && *p == '"') {
			quoted = false;
			p++;
			continue;
		} else if (!quoted && (*p == delimiter || *p == '\n')) {
			break;
		} else if (*p == '\n') {
			(*line)++;
		}
		if (quoted && *p == '\r' && p[1] == '\n')
			p++;
		else
			*out++ = *p++;
	}
	if (quoted)
		return NULL;
	*last = *p != delimiter;
	if (*p)
		p++;
	if (out > start && *last && out[-1] == '\r')
		out--;
	*out = '\0';
	*at = p;
	return start;
}

static char *trim(char *text)
{
	size_t n = strlen(text);
	while (n && strchr(" \t\r", text[n - 1]))
		text[--n] = '\0';
	return text + strspn(text, " \t");
}

/* "sep=;" is what a spreadsheet writes for another one. */
static bool is_separator(const char *text)
{
	return strncasecmp(text, "sep=", 4) == 0 && text[4] && text[4] != '\n' &&
	       (text[5] == '\n' || text[5] == '\r' || !text[5]);
}

char table_delimiter(const char *text)
{
	static const char candidates[] = ",;\t";
	size_t counts[3] = {0}, best = 0;
	bool quoted = false;
	if (is_separator(text))
		return text[4];
	for (; *text && (quoted || *text != '\n'); text++) {
		const char *c = strchr(candidates, *text);
		quoted ^= *text == '"';
		if (c && !quoted)
			counts[c - candidates]++;
	}
	for (size_t i = 1; i < 3; i++)
		best = counts[i] > counts[best] ? i : best;
	return candidates[best];
}

bool table_header(const char *text, char *delimiter)
{
	char line[1024];
	bool last = false, says = false;
	long lines = 1;
	size_t n = strcspn(text, "\n");
	if (n >= sizeof line)
		return false;
	*delimiter = table_delimiter(text);
	if (is_separator(text))
		return true;
	snprintf(line, sizeof line, "%.*s", (int)n, text);
	for (char *at = line; !last;) {
		char *name = take(&at, *delimiter, &lines, &last);
		const struct param *p = name ? param_named(trim(name)) : NULL;
		if (!p)
			return false;
		says |= strcmp(p->name, "prompt") == 0 || strcmp(p->name, "mood") == 0;
	}
	return says;
}

static int open_quote(const struct list *l, long line, struct error *err)
{
	return error_set(err, SUMI_INVALID, "%s:%ld: a quote is opened and never closed", l->shown,
			 line);
}

/* The names of the columns, and of those that a field knows its row. */
static int read_header(struct list *l, char **at, long *line, char *names[COLUMNS], int *count,
		       struct error *err)
{
	const struct param *columns[COLUMNS];
	bool last = false, any = false;
	long first = *line;
	for (*count = 0; !last; (*count)++) {
		char *name = take(at, l->delimiter, line, &last);
		if (!name)
			return open_quote(l, first, err);
		if (*count == COLUMNS)
			return error_set(err, SUMI_TOOBIG, "%s:%ld: more than %d columns", l->shown,
					 first, COLUMNS);
		names[*count] = trim(name);
		columns[*count] = NULL;
		int status = *names[*count] ? list_name(l, names[*count], &columns[*count], err)
					    : SUMI_OK;
		if (status)
			return error_prefix(err, "%s:%ld", l->shown, first);
		any |= columns[*count] || list_is_size(names[*count]);
		for (int i = 0; i < *count; i++)
			if (columns[*count] && columns[i] == columns[*count])
				return error_set(err, SUMI_INVALID, "%s:%ld: two columns are '%s'",
						 l->shown, first, columns[i]->name);
	}
	return any ? SUMI_OK
		   : error_set(err, SUMI_INVALID,
			       "%s:%ld: none of the columns is a field: the first line names them, "
			       "with commas, semicolons or tabs between, such as prompt,seed,steps",
			       l->shown, first);
}

/* One line; the caller releases *object, also on failure. */
static int read_row(struct list *l, char **at, long *line, char *names[COLUMNS], int count,
		    json_t *object, struct error *err)
{
	bool last = false;
	long first = *line;
	int status = SUMI_OK;
	for (int i = 0; !last && !status; i++) {
		char *value = take(at, l->delimiter, line, &last);
		if (!value)
			return open_quote(l, first, err);
		/* A prompt stands as it is written. */
		const struct param *p = i < count ? param_named(names[i]) : NULL;
		bool blank = value[strspn(value, " \t\r")] == '\0';
		const char *text = blank ? "" : p && p->type == PARAM_TEXT ? value : trim(value);
		if (i >= count && *text)
			return error_set(err, SUMI_INVALID, "%s:%ld: more fields than columns",
					 l->shown, first);
		if (*text && *names[i])
			status = list_put(l, object, names[i], text, err);
		if (status)
			error_prefix(err, "%s:%ld", l->shown, first);
	}
	return status;
}

int table_walk(struct list *l, char *text, list_sink sink, void *context, struct error *err)
{
	char *names[COLUMNS];
	long line = 1;
	int count;
	if (is_separator(text)) {
		text += strcspn(text, "\n");
		text += *text == '\n';
		line++;
	}
	if (!*text)
		return error_set(err, SUMI_INVALID,
				 "%s: is empty: its first line names the columns", l->shown);
	int status = read_header(l, &text, &line, names, &count, err);
	while (!status && *text) {
		json_t *object = json_object();
		long first = ++line;
		status = read_row(l, &text, &line, names, count, object, err);
		if (status || json_object_size(object) == 0) {
			json_decref(object);
		} else {
			status = sink(context, object, first, err);
			if (status)
				error_prefix(err, "%s:%ld", l->shown, first);
		}
	}
	return status;
}
