/* Lists of jobs as texts: a prompt a line, or stable-diffusion-webui's "prompts from file". */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"
#include "cli/lists.h"

/* The next word of a line as a shell reads it, unquoted in place; NULL at the end. *open: a quote
 * is never closed. */
static char *next_word(char **at, bool *open)
{
	char *p = *at + strspn(*at, " \t"), *out = p, *start = p, quote = 0;
	if (!*p)
		return NULL;
	for (; *p && (quote || !strchr(" \t", *p)); p++) {
		if (quote && *p == quote)
			quote = 0;
		else if (!quote && (*p == '"' || *p == '\''))
			quote = *p;
		else if (*p == '\\' && p[1] && (!quote || (quote == '"' && strchr("\"\\", p[1]))))
			*out++ = *++p;
		else
			*out++ = *p;
	}
	*open = quote != 0;
	*at = *p ? p + 1 : p;
	*out = '\0';
	return start;
}

/* What is not a value, but begins the next name. */
static bool is_name(const char *text)
{
	return strncmp(text, "--", 2) == 0;
}

/* "--prompt a cat --seed 7": a text goes on to the next name. Fills value. */
static bool take_value(char **at, bool text, char *value, size_t size, bool *open)
{
	size_t used = 0;
	*value = '\0';
	while (!*open) {
		char *rest = *at + strspn(*at, " \t");
		if (!*rest || is_name(rest))
			break;
		const char *word = next_word(at, open);
		used += (size_t)snprintf(value + used, size - used, "%s%s", used ? " " : "", word);
		if (used >= size)
			return false;
		if (!text)
			break;
	}
	return true;
}

/* Pictures of a batch times batches. */
static int multiply(json_t *object, const char *text, struct error *err)
{
	long n, times;
	int end = 0;
	if (sscanf(text, "%ld%n", &n, &end) != 1 || text[end] || n < 1 || n > 64)
		return error_set(err, SUMI_INVALID, "a number of pictures is '%.20s': 1 to 64",
				 text);
	const json_t *before = json_object_get(object, "n");
	times = before ? (long)json_integer_value(before) : 1;
	json_object_set_new(object, "n", json_integer(times * n));
	return SUMI_OK;
}

static int put_option(struct list *l, json_t *object, const char *name, const char *value,
		      struct error *err)
{
	if (strcmp(name, "batch_size") == 0 || strcmp(name, "n_iter") == 0)
		return multiply(object, value, err);
	const struct param *p = param_named(name);
	if (!*value && (!p || p->type == PARAM_BOOL)) /* what is left out needs none */
		value = "true";
	if (!*value)
		return error_set(err, SUMI_INVALID, "--%.40s needs a value", name);
	return list_put(l, object, name, value, err);
}

/* Of two values one would be left out in silence; lists take as many as there are. */
static int note_given(json_t *given, const struct param *p, const char *name, struct error *err)
{
	const char *key = p ? p->name : name;
	bool list = p && (p->type == PARAM_OBJECT_LIST || p->type == PARAM_TEXT_LIST || p->type == PARAM_ID_LIST);
	if (!list && json_object_get(given, key))
		return error_set(err, SUMI_INVALID, "--%.40s stands there twice", name);
	json_object_set_new(given, key, json_true());
	return SUMI_OK;
}

static int read_options(struct list *l, char *line, json_t *object, json_t *given, struct error *err)
{
	char value[8 * PARAM_KIB + 1];
	bool open = false;
	int status = SUMI_OK;
	while (!status) {
		char *name = next_word(&line, &open);
		if (!name)
			return SUMI_OK;
		if (!is_name(name))
			return error_set(err, SUMI_INVALID,
					 "'%.40s' belongs to no name: a line begins with -- and "
					 "names each value",
					 name);
		name += 2;
		char *equals = strchr(name, '=');
		if (equals)
			*equals = '\0';
		const struct param *p = param_named(name);
		bool text = p && p->type == PARAM_TEXT;
		size_t length = equals ? strlen(equals + 1) : 0;
		if (equals && length < sizeof value)
			memcpy(value, equals + 1, length + 1);
		else if (equals || !take_value(&line, text, value, sizeof value, &open))
			return error_set(err, SUMI_TOOBIG, "--%.40s is too long", name);
		if (open)
			return error_set(err, SUMI_INVALID,
					 "a quote is opened and never closed");
		status = note_given(given, p, name, err);
		if (!status)
			status = put_option(l, object, name, value, err);
	}
	return status;
}

static int read_line(struct list *l, char *line, json_t *object, struct error *err)
{
	if (is_name(line)) {
		json_t *given = json_object();
		int status = read_options(l, line, object, given, err);
		json_decref(given);
		return status;
	}
	json_t *prompt = json_string(line);
	return !prompt || json_object_set_new(object, "prompt", prompt)
		   ? error_set(err, SUMI_INVALID, "is not valid UTF-8")
		   : SUMI_OK;
}

int text_walk(struct list *l, char *text, list_sink sink, void *context, struct error *err)
{
	int status = SUMI_OK;
	long number = 0;
	for (char *at = text, *next; at && !status; at = next) {
		number++;
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		size_t n = strlen(at);
		while (n && isspace((unsigned char)at[n - 1]))
			at[--n] = '\0';
		at += strspn(at, " \t");
		if (!*at || *at == '#')
			continue;
		json_t *object = json_object();
		status = read_line(l, at, object, err);
		if (status)
			json_decref(object);
		else
			status = sink(context, object, number, err);
		if (status)
			error_prefix(err, "%s:%ld", l->shown, number);
	}
	return status;
}
