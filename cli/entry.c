/* Jobs as JSON and as lines for people. */
#include "cli/entry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

void entry_add_waits(json_t *row, const char *why)
{
	if (*why)
		json_object_set_new(row, "waits", json_string(why));
}

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));
	return text ? text : "";
}

void entry_put_text(FILE *out, const char *text, size_t size)
{
	for (size_t n, left = strnlen(text, size); left; text += n, left -= n) {
		uint32_t code = 0;
		n = utf8_decode(text, left, &code);
		if (n && utf8_shows(code))
			fwrite(text, 1, n, out);
		else
			putc(code == '\n' || code == '\t' ? ' ' : '?', out);
		n = n ? n : 1;
	}
}

void entry_print_text(const char *text, size_t size)
{
	entry_put_text(stdout, text, size);
}

/* Counts characters, so that Cyrillic is not cut after half as many. */
static int cut_utf8(const char *text, int characters)
{
	int i = 0;
	while (text[i] && text[i] != '\n' && characters > 0) {
		i++;
		while (((unsigned char)text[i] & 0xC0) == 0x80)
			i++;
		characters--;
	}
	return i;
}

void entry_print_row(const json_t *row)
{
	enum { PROMPT = 60 };
	const char *prompt = text_of(row, "prompt");
	int n = cut_utf8(prompt, PROMPT);
	printf("%s  %-9s %-5s  %.19s  ", text_of(row, "id"), text_of(row, "state"),
	       text_of(row, "modality"), text_of(row, "created"));
	entry_print_text(prompt, (size_t)n);
	printf("%s", prompt[n] ? "…" : "");
	if (*text_of(row, "waits")) {
		printf("  waits: ");
		entry_print_text(text_of(row, "waits"), SIZE_MAX);
	}
	putchar('\n');
}

static double number_of(const json_t *row, const char *key)
{
	return json_number_value(json_object_get(row, key));
}

static void print_artifact(const json_t *a)
{
	printf("%.0f  ", number_of(a, "variant") + 1);
	entry_print_text(text_of(a, "format"), SIZE_MAX);
	if (strcmp(text_of(a, "role"), "main") != 0) {
		putchar(' ');
		entry_print_text(text_of(a, "role"), SIZE_MAX);
	}
	if (number_of(a, "width") > 0)
		printf("  %.0fx%.0f", number_of(a, "width"), number_of(a, "height"));
	if (number_of(a, "duration") > 0)
		printf("  %.1f s", number_of(a, "duration"));
	uint64_t seed = 0;
	param_seed(json_object_get(a, "seed"), &seed);
	printf("  seed %" PRIu64 "  ", seed);
	entry_print_text(text_of(a, "path"), SIZE_MAX);
	printf("%s\n", json_is_false(json_object_get(a, "present")) ? "  (missing)" : "");
}

static void print_attempt(const json_t *a)
{
	static const struct {
		const char *before, *key;
	} parts[] = {{"  ", "outcome"}, {"  ", "started"}, {"  ", "device"}, {" on ", "host"},
		     {"  ", "error"}};
	printf("%.0f", number_of(a, "n"));
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		const char *text = text_of(a, parts[i].key);
		bool time = strcmp(parts[i].key, "started") == 0;
		if (*text)
			printf("%s", parts[i].before);
		entry_print_text(text, time ? 19 : SIZE_MAX);
	}
	putchar('\n');
}

static void print_compact(const json_t *value)
{
	char *text = json_text(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
	printf("%s\n", text ? text : "");
	free(text);
}

/* In a column; a stranger's file may have keys of its own. */
static void print_key(const char *key)
{
	size_t n = strlen(key);
	entry_print_text(key, SIZE_MAX);
	printf("%*s ", n < 16 ? (int)(16 - n) : 0, "");
}

void entry_print_details(const json_t *row)
{
	static const struct {
		const char *key;
		void (*print)(const json_t *item);
	} lists[] = {{"artifacts", print_artifact}, {"attempts", print_attempt}};
	const char *key;
	json_t *value, *item;
	size_t i;
	json_object_foreach((json_t *)row, key, value)
	{
		void (*print)(const json_t *) = NULL;
		for (size_t k = 0; k < sizeof lists / sizeof lists[0]; k++)
			if (strcmp(key, lists[k].key) == 0)
				print = lists[k].print;
		if (json_is_string(value)) {
			/* As in a list, where it says by itself what it is. */
			if (strcmp(key, "waits") == 0)
				printf("waits: ");
			else
				print_key(key);
			entry_print_text(json_string_value(value), SIZE_MAX);
			putchar('\n');
		} else if (json_is_array(value) && print) {
			json_array_foreach(value, i, item)
			{
				print_key(i ? "" : key);
				print(item);
			}
		} else {
			print_key(key);
			print_compact(value);
		}
	}
}
