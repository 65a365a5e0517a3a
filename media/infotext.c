/* A1111's "parameters" text: writer and parser. */
#include "media/infotext.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* ---- writing ---- */

/* NULL: the place of keys that are not in the table. */
static const char *const field_order[] = {
    "Steps",
    "Sampler",
    "Schedule type",
    "CFG scale",
    "Image CFG scale",
    "Seed",
    "Face restoration",
    "Size",
    "Model hash",
    "Model",
    "VAE hash",
    "VAE",
    "Variation seed",
    "Variation seed strength",
    "Seed resize from",
    "Denoising strength",
    "Conditional mask weight",
    "Clip skip",
    "ENSD",
    "Token merging ratio",
    "Token merging ratio hr",
    "Init image hash",
    "RNG",
    "NGMS",
    "Tiling",
    NULL,
    "Version",
    "User",
};
enum { ORDER_COUNT = sizeof field_order / sizeof field_order[0] };

static int order_of(const char *key)
{
	int unknown = 0;
	for (int i = 0; i < ORDER_COUNT; i++) {
		if (!field_order[i])
			unknown = i;
		else if (strcmp(field_order[i], key) == 0)
			return i;
	}
	return unknown;
}

/* A1111 quotes what holds a comma, colon or newline; what the parser would strip or take for
 * a quoted text needs it too. */
static bool needs_quotes(const char *value)
{
	size_t n = strlen(value);
	return n == 0 || strpbrk(value, ",:\n\r\"") || isspace((unsigned char)value[0]) ||
	       isspace((unsigned char)value[n - 1]);
}

static int put_field(FILE *out, const struct infotext_field *f, bool first, struct error *err)
{
	fprintf(out, "%s%s: ", first ? "" : ", ", f->key);
	if (!needs_quotes(f->value)) {
		fputs(f->value, out);
		return SUMI_OK;
	}
	json_t *string = json_string(f->value);
	char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
	json_decref(string);
	if (!quoted)
		return error_set(err, SUMI_INVALID, "infotext: field '%s' is not valid UTF-8",
				 f->key);
	fputs(quoted, out);
	free(quoted);
	return SUMI_OK;
}

int infotext_write(const struct infotext *text, char **out, struct error *err)
{
	size_t size;
	*out = NULL;
	FILE *f = open_memstream(out, &size);
	if (!f)
		return error_set(err, SUMI_NOMEM, "no memory for the infotext");
	int status = SUMI_OK;
	bool first = true;
	fputs(text->prompt ? text->prompt : "", f);
	if (text->negative_prompt && *text->negative_prompt)
		fprintf(f, "\nNegative prompt: %s", text->negative_prompt);
	for (int place = 0; place < ORDER_COUNT; place++)
		for (size_t i = 0; i < text->count && !status; i++) {
			const struct infotext_field *field = &text->fields[i];
			if (!field->value || order_of(field->key) != place)
				continue;
			if (first)
				fputc('\n', f);
			status = put_field(f, field, first, err);
			first = false;
		}
	if (fclose(f) != 0 && !status)
		status = error_set(err, SUMI_NOMEM, "no memory for the infotext");
	if (status) {
		free(*out);
		*out = NULL;
	}
	return status;
}

/* ---- parsing ---- */

/* A piece of the text that is parsed. */
struct span {
	const char *at, *end;
};

static struct span strip(struct span s)
{
	while (s.at < s.end && isspace((unsigned char)*s.at))
		s.at++;
	while (s.at < s.end && isspace((unsigned char)s.end[-1]))
		s.end--;
	return s;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* The end of a quoted text at s.at that a comma or the end of the line follows; NULL if there
 * is none. */
static const char *quoted_end(struct span s)
{
	const char *p = s.at + 1;
	while (p < s.end && *p != '"')
		p += *p == '\\' && p + 1 < s.end ? 2 : 1;
	if (p >= s.end || p == s.at + 1)
		return NULL;
	p++;
	return p == s.end || *p == ',' ? p : NULL;
}

/* The end of the JSON object or list at s.at that a comma or the end of the line follows; NULL if there
 * is none. */
static const char *json_end(struct span s)
{
	int depth = 0;
	bool quoted = false;
	for (const char *p = s.at; p < s.end; p++) {
		if (quoted) {
			if (*p == '\\' && p + 1 < s.end)
				p++;
			else if (*p == '"')
				quoted = false;
			continue;
		}
		if (*p == '"')
			quoted = true;
		else if (*p == '{' || *p == '[')
			depth++;
		else if ((*p == '}' || *p == ']') && --depth == 0)
			return p + 1 == s.end || p[1] == ',' ? p + 1 : NULL;
	}
	return NULL;
}

/* What of a line is left to be parsed. Where JSON has no end, none is looked for any more. */
struct rest {
	struct span left;
	bool no_json;
};

/* The next pair of A1111's expression  \s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)
 * in *rest, which moves behind it. */
static bool next_pair(struct rest *rest, struct span *key, struct span *value)
{
	struct span *line = &rest->left;
	while (line->at < line->end) {
		if (!is_word(*line->at)) {
			line->at++;
			continue;
		}
		const char *p = line->at + 1;
		while (p < line->end && (is_word(*p) || *p == ' ' || *p == '-' || *p == '/'))
			p++;
		if (p == line->end || *p != ':' || p - line->at < 2) {
			line->at = p; /* no key begins inside this run either */
			continue;
		}
		*key = (struct span){line->at, p};
		value->at = p + 1;
		while (value->at < line->end && isspace((unsigned char)*value->at))
			value->at++;
		value->end = NULL;
		if (value->at < line->end && *value->at == '"')
			value->end = quoted_end((struct span){value->at, line->end});
		else if (value->at < line->end && strchr("{[", *value->at) && !rest->no_json) {
			value->end = json_end((struct span){value->at, line->end});
			rest->no_json = !value->end;
		}
		if (!value->end)
			value->end = memchr(value->at, ',', (size_t)(line->end - value->at));
		if (!value->end)
			value->end = line->end;
		line->at = value->end < line->end ? value->end + 1 : line->end;
		return true;
	}
	return false;
}

static char *unquote(struct span s)
{
	size_t n = (size_t)(s.end - s.at);
	char *text = NULL;
	if (n >= 2 && s.at[0] == '"' && s.end[-1] == '"') {
		json_t *string = json_loadb(s.at, n, JSON_DECODE_ANY, NULL);
		if (json_is_string(string))
			text = strdup(json_string_value(string));
		json_decref(string);
	}
	return text ? text : strndup(s.at, n);
}

/* Takes both strings. */
static int set_field(struct infotext *text, char *k, char *v, struct error *err)
{
	int status = SUMI_OK;
	if (!text->fields)
		text->fields = calloc(INFOTEXT_MAX_FIELDS, sizeof *text->fields);
	if (!k || !v || !text->fields) {
		status = error_set(err, SUMI_NOMEM, "no memory for the infotext");
		goto fail;
	}
	for (size_t i = 0; i < text->count; i++)
		if (strcmp(text->fields[i].key, k) == 0) {
			free(text->fields[i].value);
			text->fields[i].value = v;
			free(k);
			return SUMI_OK;
		}
	if (text->count == INFOTEXT_MAX_FIELDS) {
		status = error_set(err, SUMI_TOOBIG, "infotext: more than %d fields",
				   INFOTEXT_MAX_FIELDS);
		goto fail;
	}
	text->fields[text->count++] = (struct infotext_field){k, v};
	return SUMI_OK;
fail:
	free(k);
	free(v);
	return status;
}

static int add_field(struct infotext *text, struct span key, struct span value, struct error *err)
{
	return set_field(text, strndup(key.at, (size_t)(key.end - key.at)), unquote(value), err);
}

int infotext_set(struct infotext *text, const char *key, const char *value, struct error *err)
{
	return set_field(text, strdup(key), strdup(value), err);
}

int infotext_set_prompt(struct infotext *text, bool negative, const char *prompt, struct error *err)
{
	char **to = negative ? &text->negative_prompt : &text->prompt;
	if (*to && **to)
		return SUMI_OK;
	free(*to);
	*to = strdup(prompt);
	return *to ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for the infotext");
}

/* A copy without blanks at its ends and without carriage returns before line ends; lines keep theirs. */
static char *prompt_of(struct span s)
{
	s = strip(s);
	char *out = malloc((size_t)(s.end - s.at) + 1), *to = out;
	for (const char *p = s.at; out && p < s.end; p++)
		if (*p != '\r' || p + 1 == s.end || p[1] != '\n')
			*to++ = *p;
	if (out)
		*to = '\0';
	return out;
}

/* Splits the lines before the parameters at the first that begins with "Negative prompt:". */
static int split_prompts(struct span lines, struct infotext *text, struct error *err)
{
	static const char mark[] = "Negative prompt:";
	const size_t length = sizeof mark - 1;
	struct span positive = lines, negative = {lines.end, lines.end};
	for (const char *p = lines.at; p < lines.end;) {
		const char *newline = memchr(p, '\n', (size_t)(lines.end - p));
		struct span line = strip((struct span){p, newline ? newline : lines.end});
		if ((size_t)(line.end - line.at) >= length && memcmp(line.at, mark, length) == 0) {
			positive.end = p;
			negative.at = line.at + length;
			break;
		}
		p = newline ? newline + 1 : lines.end;
	}
	text->prompt = prompt_of(positive);
	text->negative_prompt = prompt_of(negative);
	return text->prompt && text->negative_prompt
		   ? SUMI_OK
		   : error_set(err, SUMI_NOMEM, "no memory for the infotext");
}

static struct span last_line(struct span all)
{
	const char *at = all.end;
	while (at > all.at && at[-1] != '\n')
		at--;
	return (struct span){at, all.end};
}

/* A1111 takes a line for parameters where it has three pairs or more. */
static bool has_pairs(struct span line)
{
	struct span key, value;
	int pairs = 0;
	for (struct rest rest = {.left = line}; next_pair(&rest, &key, &value);)
		pairs++;
	return pairs >= 3;
}

/* What sd-dynamic-prompts writes in lines of their own behind the parameters: what the prompts were made of. */
static const char *const template_keys[] = {"Template", "Negative Template"};
enum { TEMPLATES = 2 };

/* Whether `line` begins with one of their keys; *value: behind it. */
static bool is_template(struct span line, int which, const char **value)
{
	size_t n = strlen(template_keys[which]);
	bool is = (size_t)(line.end - line.at) > n + 1 && memcmp(line.at, template_keys[which], n) == 0 &&
		  line.at[n] == ':' && line.at[n + 1] == ' ';
	*value = line.at + n + 2;
	return is;
}

/* Cuts them off the end of *all; templates[] are empty where there are none. */
static void cut_templates(struct span *all, struct span templates[TEMPLATES])
{
	struct span line = *all, found[TEMPLATES] = {{NULL, NULL}, {NULL, NULL}};
	const char *end = all->end, *value;
	bool any = false;
	for (; line.end > all->at; line.end = line.at - 1) {
		line = last_line((struct span){all->at, line.end});
		bool taken = false;
		for (int i = 0; i < TEMPLATES && !taken; i++)
			if (!found[i].at && (taken = is_template(line, i, &value))) {
				found[i] = strip((struct span){value, end});
				end = line.at;
				any = true;
			}
		if (!taken && has_pairs(line)) {
			if (any && strncmp(line.at, "Steps: ", 7) == 0) {
				all->end = line.end;
				memcpy(templates, found, sizeof found);
			}
			return;
		}
		if (line.at == all->at)
			return;
	}
}

static int parse_lines(const char *in, size_t size, struct infotext *text, struct error *err)
{
	struct span all = strip((struct span){in, in + size}), key, value, templates[TEMPLATES] = {{NULL, NULL}, {NULL, NULL}};
	cut_templates(&all, templates);
	all = strip(all);
	struct span last = last_line(all);
	if (!has_pairs(last))
		last.at = last.end;
	struct span lines = {all.at, last.at};
	int status = SUMI_OK;
	struct rest rest = {.left = last};
	while (!status && next_pair(&rest, &key, &value))
		status = add_field(text, key, value, err);
	for (int i = 0; i < TEMPLATES && !status; i++)
		if (templates[i].at)
			status = add_field(text, (struct span){template_keys[i], template_keys[i] + strlen(template_keys[i])},
					   templates[i], err);
	if (!status)
		status = split_prompts(lines, text, err);
	if (status)
		infotext_free(text);
	return status;
}

/* exiftool prints a text with a full stop for each line end, after the name of what it prints: those
 * before the two marks become line ends again. A new string, NULL where it is no such text. */
static char *break_lines(const char *in, size_t size)
{
	static const char *const marks[] = {".Steps: ", ".Negative prompt:"};
	if (memchr(in, '\n', size))
		return NULL;
	char *text = strndup(in, size), *found = text;
	for (size_t i = 0; found && i < sizeof marks / sizeof marks[0]; i++) {
		char *last = NULL;
		for (char *p = text; (p = strstr(p, marks[i])); p++)
			last = p;
		if (i == 0)
			found = last;
		for (char *p = last; p && p >= text && *p == '.'; p--)
			*p = '\n';
	}
	if (!found) {
		free(text);
		return NULL;
	}
	if (strncmp(text, "Parameters ", 11) == 0 && strchr(text, ':')) {
		size_t name = strcspn(text, ":") + 1;
		memset(text, ' ', name);
	}
	return text;
}

int infotext_parse(const char *in, size_t size, struct infotext *text, struct error *err)
{
	*text = (struct infotext){0};
	if (memchr(in, '\0', size))
		return error_set(err, SUMI_CORRUPT, "infotext: holds a NUL byte");
	char *lines_again = break_lines(in, size);
	if (lines_again) {
		int status = parse_lines(lines_again, size, text, err);
		free(lines_again);
		return status;
	}
	return parse_lines(in, size, text, err);
}
void infotext_free(struct infotext *text)
{
	for (size_t i = 0; i < text->count; i++) {
		free(text->fields[i].key);
		free(text->fields[i].value);
	}
	free(text->fields);
	free(text->prompt);
	free(text->negative_prompt);
	*text = (struct infotext){0};
}

const char *infotext_get(const struct infotext *text, const char *key)
{
	for (size_t i = 0; i < text->count; i++)
		if (strcmp(text->fields[i].key, key) == 0)
			return text->fields[i].value;
	return NULL;
}
