/* styles.csv of models folders. */
#include "modalities/styles.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/files.h"
#include "base/utf8.h"
#include "diffusion/places.h"

enum { FILE_LIMIT = 4 << 20 };

struct reading {
	style_visit *visit;
	void *context;
};

/* The next field of a CSV, a new text; *at behind it. NULL: no memory. */
static char *next_field(const char *text, size_t size, size_t *at, bool *last)
{
	char *field = malloc(size - *at + 1);
	size_t n = 0, i = *at;
	bool quoted = i < size && text[i] == '"';
	for (i += quoted; field && i < size; i++) {
		if (quoted && text[i] == '"') {
			if (i + 1 < size && text[i + 1] == '"')
				i++;
			else {
				quoted = false;
				continue;
			}
		} else if (!quoted && (text[i] == ',' || text[i] == '\n')) {
			break;
		}
		field[n++] = text[i];
	}
	*last = i >= size || text[i] == '\n';
	*at = i + 1;
	if (!field)
		return NULL;
	while (n && field[n - 1] == '\r')
		n--;
	field[n] = '\0';
	return field;
}

enum { COLUMNS = 16 };
enum column { NAME, PROMPT, NEGATIVE };

/* A file that is read: where its columns stand, and {name: [prompt, negative prompt]}, of which the last of a name
 * counts, as in stable-diffusion-webui. */
struct table {
	int at[3]; /* −1: there is none */
	json_t *styles;
};

/* The first row may name the columns; old files have a text for a prompt. False: it is a style. */
static bool read_heading(struct table *t, char *const *fields, int count)
{
	static const struct {
		const char *word;
		enum column column;
	} words[] = {{"name", NAME}, {"prompt", PROMPT}, {"text", PROMPT}, {"negative_prompt", NEGATIVE}};
	int at[3] = {-1, -1, -1};
	for (int i = 0; i < count; i++)
		for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
			if (strcasecmp(fields[i], words[k].word) == 0 && at[words[k].column] < 0)
				at[words[k].column] = i;
	if (at[NAME] < 0 || at[PROMPT] < 0)
		return false;
	memcpy(t->at, at, sizeof at);
	return true;
}

static json_t *text_at(const struct table *t, char *const *fields, int count, enum column column)
{
	int at = t->at[column];
	return at >= 0 && at < count ? json_string(fields[at]) : json_null();
}

static int read_row(struct table *t, const char *text, size_t size, size_t *at, bool first, struct error *err)
{
	char *fields[COLUMNS];
	bool last = false;
	int count = 0, status = SUMI_OK;
	while (!last && *at <= size && !status) {
		char *field = next_field(text, size, at, &last);
		if (!field)
			status = error_set(err, SUMI_NOMEM, "out of memory");
		else if (count < COLUMNS)
			fields[count++] = field;
		else
			free(field);
	}
	int name = t->at[NAME];
	bool heading = first && read_heading(t, fields, count);
	if (!status && !heading && name < count && count > 1 && *fields[name] &&
	    json_object_set_new(t->styles, fields[name], json_pack("[o, o]", text_at(t, fields, count, PROMPT),
								    text_at(t, fields, count, NEGATIVE))))
		status = error_set(err, SUMI_NOMEM, "out of memory");
	while (count > 0)
		free(fields[--count]);
	return status;
}

static int visit_all(const struct reading *r, const json_t *styles, struct error *err)
{
	const char *name;
	json_t *row;
	int status = SUMI_OK;
	json_object_foreach((json_t *)(uintptr_t)styles, name, row)
	{
		const char *prompt = json_string_value(json_array_get(row, 0));
		if (!status && prompt)
			status = r->visit(r->context, name, prompt, json_string_value(json_array_get(row, 1)), err);
	}
	return status;
}

static int read_place(void *context, const char *place, bool named, struct error *err)
{
	char path[FILES_PATH_MAX], *text;
	size_t size, at = 0;
	bool first = true;
	struct table t = {{0, 1, 2}, NULL};
	struct stat st;
	(void)named;
	if (files_path(path, NULL, "%s/" STYLES_FILE, place) || stat(path, &st) != 0)
		return SUMI_OK;
	int status = files_read_regular(path, FILE_LIMIT, &text, &size, err);
	if (status)
		return status;
	if (!utf8_valid(text, size))
		status = error_set(err, SUMI_INVALID, "%s: it is not UTF-8", path);
	if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		at = 3;
	if (!status && !(t.styles = json_object()))
		status = error_set(err, SUMI_NOMEM, "out of memory");
	for (; at < size && !status; first = false)
		status = read_row(&t, text, size, &at, first, err);
	if (!status)
		status = visit_all(context, t.styles, err);
	json_decref(t.styles);
	free(text);
	return status;
}

int styles_visit(const char *packs, const char *state_dir, style_visit *visit, void *context,
		 struct error *err)
{
	struct reading r = {visit, context};
	return places_visit(packs, state_dir, read_place, &r, err);
}
