/* styles.csv of models folders. */
#include "modalities/styles.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* A row: name, prompt, negative prompt (or as old files have it, text alone). */
static int read_row(struct reading *r, const char *text, size_t size, size_t *at, struct error *err)
{
	char *fields[3] = {NULL, NULL, NULL};
	bool last = false;
	int count = 0, status = SUMI_OK;
	while (!last && *at <= size && !status) {
		char *field = next_field(text, size, at, &last);
		if (!field)
			status = error_set(err, SUMI_NOMEM, "out of memory");
		else if (count < 3)
			fields[count++] = field;
		else
			free(field);
	}
	bool heading = count > 0 && strcmp(fields[0], "name") == 0;
	if (!status && count > 1 && !heading && *fields[0])
		status = r->visit(r->context, fields[0], fields[1], fields[2], err);
	for (int i = 0; i < 3; i++)
		free(fields[i]);
	return status;
}

static int read_place(void *context, const char *place, bool named, struct error *err)
{
	char path[FILES_PATH_MAX], *text;
	size_t size, at = 0;
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
	while (at < size && !status)
		status = read_row(context, text, size, &at, err);
	free(text);
	return status;
}

int styles_visit(const char *packs, const char *state_dir, style_visit *visit, void *context,
		 struct error *err)
{
	struct reading r = {visit, context};
	return places_visit(packs, state_dir, read_place, &r, err);
}
