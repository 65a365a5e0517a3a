/* Wildcards and styles of models folders. */
#include "modalities/wildcards.h"

#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/files.h"
#include "base/utf8.h"
#include "diffusion/places.h"
#include "modalities/styles.h"
#include "modalities/wildcards_tree.h"
#include "request/dynamic.h"
#include "request/lora_tags.h"

enum {
	DEPTH = 5,
	FILE_LIMIT = 4 << 20,
	LINES_MAX = 200000,
	STYLES_MAX = 16,
};

/* ---- files of lines ---- */

/* Looks for a name among the files of folders; never made into a path, so none leads out of them. */
struct search {
	const char *name;
	json_t *lines;
	bool found;
	bool anywhere; /* in whatever folder */
	char names[PLACES_NAMES_SIZE];
	const char *path, *own; /* of the file of names within names that is read, and what a list without one is called */
	struct error trouble;	/* the first of those that is not read; it counts where nothing is found */
};

static int add_line(struct search *s, const char *path, int number, const char *line, size_t size, struct error *err)
{
	while (size && strchr(" \t\r", line[size - 1]))
		size--;
	while (size && strchr(" \t", *line)) {
		line++;
		size--;
	}
	if (!size || *line == '#')
		return SUMI_OK;
	if (!utf8_valid(line, size))
		return error_set(err, SUMI_INVALID, "%s:%d: it is not UTF-8: save the file as UTF-8", path, number);
	if (json_array_size(s->lines) >= LINES_MAX)
		return error_set(err, SUMI_TOOBIG, "wildcard '%.80s': more than %d lines", s->name,
				 LINES_MAX);
	return json_array_append_new(s->lines, json_stringn(line, size))
		   ? error_set(err, SUMI_NOMEM, "out of memory")
		   : SUMI_OK;
}

static int read_lines(struct search *s, const char *path, struct error *err)
{
	char *text;
	size_t size, at = 0;
	int number = 0, status = files_read_regular(path, FILE_LIMIT, &text, &size, err);
	if (status)
		return status;
	if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		at = 3;
	while (at < size && !status) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t n = end ? (size_t)(end - text) - at : size - at;
		status = add_line(s, path, ++number, text + at, n, err);
		at += n + 1;
	}
	free(text);
	return status;
}

static void lower(char *out, const char *text, size_t size)
{
	size_t n = 0;
	for (; text[n] && n + 1 < size; n++)
		out[n] = text[n] >= 'A' && text[n] <= 'Z' ? (char)(text[n] + 32) : text[n];
	out[n] = '\0';
}

static bool is_meant(const struct search *s, const char *name)
{
	char have[FILES_PATH_MAX], want[DYNAMIC_NAME_MAX + 1];
	const char *slash = s->anywhere ? strrchr(name, '/') : NULL;
	lower(have, slash ? slash + 1 : name, sizeof have);
	lower(want, s->name, sizeof want);
	return strpbrk(want, "*?") ? fnmatch(want, have, 0) == 0 : strcmp(want, have) == 0;
}

static int is_shown(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Whether a path lies where it says: a link may lead elsewhere. */
static bool lies_within(const char *root, const char *path)
{
	char real_root[PATH_MAX], real[PATH_MAX];
	if (!realpath(root, real_root) || !realpath(path, real))
		return false;
	size_t n = strlen(real_root);
	return strncmp(real, real_root, n) == 0 && real[n] == '/';
}

static int take_tree_line(void *context, const char *name, int number, const char *text, size_t size, struct error *err)
{
	struct search *s = context;
	const char *called = *name ? name : s->own;
	if (!strstr(s->names, called))
		places_gather(s->names, called);
	if (!is_meant(s, called))
		return SUMI_OK;
	s->found = true;
	return add_line(s, s->path, number, text, size, err);
}

/* Names within names, whatever the file is called. */
static int read_tree(struct search *s, const char *path, const char *own, struct error *err)
{
	struct error why = {0};
	char *text = NULL;
	size_t size;
	bool before = s->found;
	s->path = path;
	s->own = own;
	s->found = false;
	int status = files_read_regular(path, FILE_LIMIT, &text, &size, &why);
	if (!status)
		status = wildcard_tree_read(text, size, path, take_tree_line, s, &why);
	free(text);
	bool here = s->found;
	s->found |= before;
	if (status == SUMI_NOMEM || (status && here))
		return error_set(err, status, "%s", why.text);
	if (status && !s->trouble.status)
		s->trouble = why;
	return SUMI_OK;
}

static int search_folder(struct search *s, const char *root, const char *below, int depth,
			 struct error *err)
{
	char folder[FILES_PATH_MAX], path[FILES_PATH_MAX], name[FILES_PATH_MAX];
	struct dirent **entries;
	if (files_path(folder, NULL, "%s/%s", root, below))
		return SUMI_OK;
	int status = SUMI_OK, n = scandir(folder, &entries, is_shown, alphasort);
	for (int i = 0; i < n; i++) {
		struct stat st;
		const char *file = entries[i]->d_name, *dot = strrchr(file, '.');
		bool fine = !status && !files_path(path, NULL, "%s/%s", folder, file) &&
			    stat(path, &st) == 0 && lies_within(root, path);
		if (fine && S_ISDIR(st.st_mode) && depth > 0 &&
		    !files_path(name, NULL, "%s%s/", below, file)) {
			status = search_folder(s, root, name, depth - 1, err);
		} else if (fine && S_ISREG(st.st_mode) && dot && strcasecmp(dot, ".txt") == 0 &&
			   !files_path(name, NULL, "%s%.*s", below, (int)(dot - file), file)) {
			places_gather(s->names, name);
			if (is_meant(s, name)) {
				s->found = true;
				status = read_lines(s, path, err);
			}
		} else if (fine && S_ISREG(st.st_mode) && wildcard_tree_ending(file) &&
			   !files_path(name, NULL, "%s%.*s", below, (int)(dot - file), file)) {
			status = read_tree(s, path, name, err);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return status;
}

static int search_place(void *context, const char *place, bool named, struct error *err)
{
	char root[FILES_PATH_MAX];
	struct search *s = context;
	(void)named;
	/* Of two places with the name the first counts. */
	if (s->found || files_path(root, NULL, "%s/" WILDCARDS_FOLDER, place))
		return SUMI_OK;
	return search_folder(s, root, "", DEPTH, err);
}

/* Where a job's names are looked for, and what was read already: a hundred variants read a file once. */
struct where {
	const char *packs, *state_dir;
	json_t *known; /* lines by name */
	size_t count;  /* of lines in it */
};

/* Of files as large as they may be only some are kept. What cannot be kept is read again. */
static void keep_lines(struct where *w, const char *name, json_t *lines)
{
	if (w->count + json_array_size(lines) <= LINES_MAX && json_object_set(w->known, name, lines) == 0)
		w->count += json_array_size(lines);
}

static int lines_of(void *context, const char *name, json_t **out, struct error *err)
{
	struct where *w = context;
	if ((*out = json_incref(json_object_get(w->known, name))))
		return SUMI_OK;
	struct search s = {.name = name, .lines = json_array()};
	int status = places_visit(w->packs, w->state_dir, search_place, &s, err);
	/* As sd-dynamic-prompts looks for one that its own folder lacks. */
	if (!status && !s.found && !strchr(name, '/')) {
		s.anywhere = true;
		s.names[0] = '\0';
		status = places_visit(w->packs, w->state_dir, search_place, &s, err);
	}
	if (!status && !s.found && s.trouble.status)
		status = error_set(err, s.trouble.status, "%s", s.trouble.text);
	if (!status && !s.found)
		status = error_set(err, SUMI_NOTFOUND,
				   "prompt: there is no wildcard '__%.80s__'; there %s%s (--literal takes "
				   "it as words)",
				   name, s.names[0] ? "are: " : "is none in models/" WILDCARDS_FOLDER,
				   s.names);
	if (status) {
		json_decref(s.lines);
		return status;
	}
	keep_lines(w, name, s.lines);
	*out = s.lines;
	return SUMI_OK;
}

/* ---- styles ---- */

/* A style's two texts, by its name. */
struct style {
	char *prompt, *negative; /* owned */
};

struct style_search {
	const char *name;
	size_t size;
	struct style found;
	bool is_found;
	char names[PLACES_NAMES_SIZE];
};

static int look_style(void *context, const char *name, const char *prompt, const char *negative,
		      struct error *err)
{
	struct style_search *s = context;
	places_gather(s->names, name);
	if (s->is_found || strlen(name) != s->size || strncasecmp(name, s->name, s->size) != 0)
		return SUMI_OK;
	s->is_found = true;
	s->found = (struct style){strdup(prompt), negative ? strdup(negative) : NULL};
	return s->found.prompt && (!negative || s->found.negative)
		   ? SUMI_OK
		   : error_set(err, SUMI_NOMEM, "out of memory");
}

static void style_free(struct style *s)
{
	free(s->prompt);
	free(s->negative);
}

static int find_style(const struct where *w, const char *name, size_t size, struct style *out,
		      struct error *err)
{
	struct style_search s = {.name = name, .size = size};
	int status = styles_visit(w->packs, w->state_dir, look_style, &s, err);
	if (!status && !s.is_found)
		status = error_set(err, SUMI_NOTFOUND, "there is no style '%.*s'; there %s%s",
				   (int)(size < 80 ? size : 80), name,
				   s.names[0] ? "are: " : "is no models/" STYLES_FILE, s.names);
	if (status)
		style_free(&s.found);
	else
		*out = s.found;
	return status;
}

static bool is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

/* A style around a text: in the place of its {prompt}, or before it. Both go; NULL: no memory. */
static char *put_style(char *text, const char *style)
{
	static const char mark[] = "{prompt}";
	if (!style || is_blank(style) || !text)
		return text;
	size_t n = strlen(text), size = strlen(style) + n + 3, marks = 0;
	for (const char *at = style; (at = strstr(at, mark)); at += sizeof mark - 1)
		marks++;
	char *out = malloc(size + marks * n), *to = out;
	if (out && !marks) {
		bool both = !is_blank(text);
		to = stpcpy(stpcpy(to, both ? text : ""), both ? ", " : "");
		strcpy(to, style);
	}
	for (const char *at = style, *next; out && marks; at = next + sizeof mark - 1) {
		next = strstr(at, mark);
		if (!next) {
			strcpy(to, at);
			break;
		}
		memcpy(to, at, (size_t)(next - at));
		to = stpcpy(to + (next - at), text);
	}
	free(text);
	return out;
}

/* Of a list "one, two". */
static int put_styles(const struct where *w, const char *list, char **prompt, char **negative,
		      struct error *err)
{
	int status = SUMI_OK;
	for (int i = 0; list && *list && !status; i++) {
		size_t n = strcspn(list, ","), from = strspn(list, " ");
		size_t end = n;
		while (end > from && list[end - 1] == ' ')
			end--;
		struct style s = {NULL, NULL};
		if (i == STYLES_MAX)
			return error_set(err, SUMI_INVALID, "style: more than %d", STYLES_MAX);
		if (end > from) {
			status = find_style(w, list + from, end - from, &s, err);
			if (!status) {
				*prompt = put_style(*prompt, s.prompt);
				*negative = put_style(*negative, s.negative);
				if (!*prompt || !*negative)
					status = error_set(err, SUMI_NOMEM, "out of memory");
			}
			style_free(&s);
		}
		list += n + (list[n] == ',');
	}
	return status;
}

/* ---- a job ---- */

/* Whether a job's prompts become other texts, and nobody has said yet which. */
static bool is_wanted(const struct job *job)
{
	if (job->literal || json_array_size(job->texts))
		return false;
	return (job->style && *job->style) || (job->prompt && dynamic_is(job->prompt)) ||
	       (job->negative_prompt && dynamic_is(job->negative_prompt));
}

static int draw_one(struct where *w, char **text, uint64_t seed, struct error *err)
{
	const struct dynamic_source source = {lines_of, w};
	char *drawn;
	int status = dynamic_draw(*text, seed, &source, &drawn, err);
	if (status)
		return status;
	free(*text);
	*text = drawn;
	return SUMI_OK;
}

/* What both prompts, with their styles, become for a variant. */
static int draw_variant(struct where *w, const char *const texts[2], bool negated, uint64_t seed,
			json_t **out, struct error *err)
{
	/* So that both do not draw alike. */
	const uint64_t other = UINT64_C(0x6E65676174697665);
	char *prompt = strdup(texts[0]), *negative = strdup(texts[1]);
	int status = prompt && negative ? draw_one(w, &prompt, seed, err)
					: error_set(err, SUMI_NOMEM, "out of memory");
	if (!status)
		status = draw_one(w, &negative, seed ^ other, err);
	if (!status && is_blank(prompt))
		status = error_set(err, SUMI_INVALID, "prompt: nothing is left of it when it is drawn");
	/* A job's LoRAs are those of all its variants, and known before anything is drawn. */
	if (!status && (strstr(prompt, "<lora:") || strstr(prompt, "<lyco:")))
		status = error_set(err, SUMI_INVALID,
				   "prompt: a wildcard brings a LoRA: name that in the prompt itself, in a style, or "
				   "with --loras");
	*out = status ? NULL : json_pack("{s:s}", "prompt", prompt);
	if (*out && (negated || *negative))
		json_object_set_new(*out, "negative_prompt", json_string(negative));
	free(negative);
	free(prompt);
	return status || *out ? status : error_set(err, SUMI_NOMEM, "out of memory");
}

/* LoRAs that a style names go to those of the job; *loras stays NULL where it names none. */
static int take_loras(const struct job *job, char **prompt, json_t **loras, struct error *err)
{
	json_t *fields = json_pack("{s:s, s:O*}", "prompt", *prompt, "loras", job->loras), *taken = NULL;
	int status = fields ? lora_tags_take(fields, &taken, err) : error_set(err, SUMI_NOMEM, "out of memory");
	if (taken) {
		char *left = strdup(json_string_value(json_object_get(taken, "prompt")));
		free(*prompt);
		*prompt = left;
		*loras = json_incref(json_object_get(taken, "loras"));
		status = left ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
	}
	json_decref(taken);
	json_decref(fields);
	return status;
}

/* *out is NULL where the job needs no drawing; *loras: what its LoRAs become, NULL where they stay. */
static int draw_all(const char *packs, const char *state_dir, const struct job *job, json_t **out, json_t **loras,
		    struct error *err)
{
	struct where w = {packs, state_dir, NULL, 0};
	*out = *loras = NULL;
	if (!is_wanted(job))
		return SUMI_OK;
	w.known = json_object();
	char *prompt = strdup(job->prompt ? job->prompt : "");
	char *negative = strdup(job->negative_prompt ? job->negative_prompt : "");
	int status = prompt && negative && w.known ? SUMI_OK
						   : error_set(err, SUMI_NOMEM, "out of memory");
	if (!status && !job->prompt)
		status = error_set(err, SUMI_INVALID, "style: there is no prompt that it goes around");
	if (!status)
		status = put_styles(&w, job->style, &prompt, &negative, err);
	if (!status && job->style)
		status = take_loras(job, &prompt, loras, err);
	*out = json_array();
	for (int k = 0; k < job->n && !status; k++) {
		json_t *one;
		status = draw_variant(&w, (const char *[]){prompt, negative}, job->negative_prompt,
				      job->seed + (uint64_t)k, &one, err);
		if (!status && json_array_append_new(*out, one))
			status = error_set(err, SUMI_NOMEM, "out of memory");
	}
	if (status) {
		json_decref(*out);
		json_decref(*loras);
		*out = *loras = NULL;
	}
	free(negative);
	free(prompt);
	json_decref(w.known);
	return status;
}

int wildcards_resolve(const char *packs, const char *state_dir, struct job *job, size_t most,
		      struct error *err)
{
	json_t *texts, *loras;
	int status = draw_all(packs, state_dir, job, &texts, &loras, err);
	if (!texts)
		return status;
	if (json_dumpb(texts, NULL, 0, JSON_COMPACT) > most) {
		json_decref(texts);
	} else {
		status = job_set(job, "texts", texts, err);
		if (!status && loras)
			status = job_set(job, "loras", json_incref(loras), err);
	}
	json_decref(loras);
	return status;
}

int wildcards_check(const char *packs, const char *state_dir, const struct job *job, json_t **loras,
		    struct error *err)
{
	json_t *texts;
	int status = draw_all(packs, state_dir, job, &texts, loras, err);
	json_decref(texts);
	return status;
}
