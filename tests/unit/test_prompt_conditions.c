/* Weighted prompts through the small packs' encoders, beside what stable-diffusion-webui and ComfyUI make
 * of them; chunks at commas; vectors in the place of words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/half.h"
#include "diffusion/family.h"
#include "diffusion/pack.h"
#include "tests/unit/vector_file.h"

static struct device *device;
static struct pack_info info;
static struct conditioner *conditioner;

static void open_pack(const char *name)
{
	struct error err = {0};
	char folder[128];
	snprintf(folder, sizeof folder, "tests/vectors/%s", name);
	if (pack_info_read_plain(folder, &info, &err) ||
	    conditioner_open(info.family->conditioner, device, &info, &conditioner, &err))
		fail_msg("%s", err.text);
}

static void close_pack(void)
{
	conditioner_close(conditioner);
	pack_info_free(&info);
	assert_int_equal(device->bytes_in_use, 0);
}

static void check(const struct tensor_file *dump, size_t i, const char *what,
		  const struct conditions *said)
{
	char name[32];
	size_t n;
	snprintf(name, sizeof name, "%zu.%s", i, what);
	float *wanted = vector_copy(dump, name, &n);
	const struct condition *c = conditions_get(said, what);
	assert_int_equal(n, said->n * c->rows * c->width);
	double distance = vector_distance(c->values, wanted, n);
	if (!(distance < 1e-5))
		fail_msg("%s: %g from the reference", name, distance);
	free(wanted);
}

static void check_all(const char *facts, const char *tensors, size_t least)
{
	json_t *cases = vector_json_open(facts), *row, *text;
	struct tensor_file *dump = vector_file_open(tensors);
	size_t i, k;
	json_array_foreach(cases, i, row)
	{
		const char *texts[8];
		int times[8];
		struct conditioner_input in = {.texts = texts, .times = times};
		struct conditions said;
		struct error err = {0};
		json_array_foreach(json_object_get(row, "texts"), k, text)
		{
			texts[k] = json_string_value(text);
			times[k] = (int)json_integer_value(
			    json_array_get(json_object_get(row, "times"), k));
			in.n++;
		}
		const char *syntax = json_string_value(json_object_get(row, "syntax"));
		assert_int_equal(prompt_syntax_of(syntax, &in.syntax, &err), 0);
		const char *pack = json_string_value(json_object_get(row, "pack"));
		open_pack(pack);
		if (conditioner_encode(conditioner, &in, &said, &err))
			fail_msg("%s", err.text);
		check(dump, i, CONDITION_TOKENS, &said);
		if (strcmp(pack, "sdxl-tiny") == 0)
			check(dump, i, CONDITION_POOLED, &said);
		conditions_free(&said);
		close_pack();
	}
	assert_true(i >= least);
	tensors_close(dump);
	json_decref(cases);
}

static void test_vectors(void **state)
{
	(void)state;
	check_all("prompts.conditions.json", "prompts.safetensors", 11);
	check_all("compel.conditions.json", "compel.safetensors", 8);
}

/* How many tokens of a chunk are the prompt's. */
static int filled(const struct prompt_chunks *c, int chunk)
{
	const int32_t *row = c->tokens.ids + chunk * c->tokens.length;
	int n = 1;
	while (row[n] != 833)
		n++;
	return n - 1;
}

static void cut(struct tokenizer *t, enum prompt_syntax syntax, const char *text,
		const struct prompt_words *words, struct prompt_chunks *c)
{
	struct error err = {0};
	if (prompt_chunks_make(syntax, text, t, words, 1, c, &err))
		fail_msg("%s: %s", text, err.text);
}

static void test_chunks(void **state)
{
	/* "cat" is one token. A comma at 54 is 20 tokens from the end, one at 53 too far. */
	static const struct {
		enum prompt_syntax syntax;
		int before, behind, first, second;
	} rows[] = {
	    {PROMPT_A1111, 60, 20, 61, 20},	{PROMPT_A1111, 55, 30, 56, 30},
	    {PROMPT_A1111, 54, 30, 75, 10},	{PROMPT_A1111, 74, 5, 75, 5},
	    {PROMPT_A1111, 75, 5, 75, 6},	{PROMPT_DIFFUSERS, 60, 20, 75, 6},
	    {PROMPT_COMFY, 60, 20, 75, 6},	{PROMPT_A1111, 30, 10, 41, 0},
	};
	struct tokenizer *t;
	(void)state;
	assert_int_equal(tokenizer_open("tests/vectors/sd1-tiny/tokenizer", &t, NULL), 0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[1024] = "";
		for (int k = 0; k < rows[i].before; k++)
			strcat(text, " cat");
		strcat(text, ",");
		for (int k = 0; k < rows[i].behind; k++)
			strcat(text, " cat");
		struct prompt_chunks c;
		bool plain;
		cut(t, rows[i].syntax, text, NULL, &c);
		assert_null(c.weights);
		assert_int_equal(filled(&c, 0), rows[i].first);
		assert_int_equal(c.tokens.chunks, rows[i].second ? 2 : 1);
		if (rows[i].second)
			assert_int_equal(filled(&c, 1), rows[i].second);
		prompt_chunks_free(&c);
		assert_int_equal(prompt_chunks_plain(rows[i].syntax, text, t, NULL, &plain, NULL), 0);
		assert_int_equal(plain, !rows[i].second || rows[i].first == 75);
	}
	/* ComfyUI: five weighted tokens move as a whole, nine are cut. */
	char text[1024] = "";
	struct prompt_chunks c;
	for (int k = 0; k < 72; k++)
		strcat(text, "cat ");
	char *end = text + strlen(text);
	strcpy(end, "(cat cat cat cat cat:1.2)");
	cut(t, PROMPT_COMFY, text, NULL, &c);
	assert_int_equal(filled(&c, 0), 72);
	assert_int_equal(filled(&c, 1), 5);
	prompt_chunks_free(&c);
	strcpy(end, "(cat cat cat cat cat cat cat cat cat:1.2)");
	cut(t, PROMPT_COMFY, text, NULL, &c);
	assert_int_equal(filled(&c, 0), 75);
	assert_int_equal(filled(&c, 1), 6);
	assert_true(c.weights[77 + 1] == 1.2f && c.weights[76] == 1 && c.weights[75] == 1.2f);
	prompt_chunks_free(&c);
	tokenizer_close(t);
}

/* Where vectors stand, from 1 on; 0: nowhere. */
static int vector_at(const struct prompt_chunks *c, int row)
{
	return c->vectors ? c->vectors[row] : 0;
}

static void test_words(void **state)
{
	static const struct prompt_word rows[] = {{"ab", 2, 0}, {"abc", 3, 2}, {"Red-Hat", 9, 5}};
	static const struct prompt_words words = {rows, 3};
	static const struct {
		enum prompt_syntax syntax;
		const char *text;
		int at, vector, tokens; /* the first row with a vector, which one, tokens in all */
	} cases[] = {
	    {PROMPT_A1111, "cat AB cat", 2, 1, 4},
	    {PROMPT_A1111, "cat abc", 2, 3, 4},
	    {PROMPT_A1111, "(red-hat:1.2)", 1, 6, 9},
	    {PROMPT_DIFFUSERS, "cat RED-HAT", 2, 6, 10},
	    {PROMPT_COMFY, "embedding:ab", 1, 1, 2},
	    {PROMPT_COMFY, "cat embedding:ABC, cat", 2, 3, 6},
	    {PROMPT_COMFY, "cat (embedding:abc.pt:1.3)", 2, 3, 4},
	    {PROMPT_COMFY, "cat\nembedding:ab.safetensors cat", 2, 1, 4},
	    {PROMPT_COMFY, "ab", 0, 0, 0},
	    {PROMPT_COMFY, "catembedding:ab", 0, 0, 0},
	};
	struct tokenizer *t;
	(void)state;
	assert_int_equal(tokenizer_open("tests/vectors/sd1-tiny/tokenizer", &t, NULL), 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct prompt_chunks c;
		cut(t, cases[i].syntax, cases[i].text, &words, &c);
		int at = 0;
		while (c.vectors && !c.vectors[at])
			at++;
		assert_int_equal(at, cases[i].at);
		assert_int_equal(vector_at(&c, at), cases[i].vector);
		if (cases[i].tokens)
			assert_int_equal(c.tokens.count, cases[i].tokens);
		prompt_chunks_free(&c);
	}
	/* One that does not fit begins the next chunk. */
	char text[1024] = "";
	struct prompt_chunks c;
	for (int k = 0; k < 70; k++)
		strcat(text, "cat ");
	strcat(text, "red-hat");
	cut(t, PROMPT_A1111, text, &words, &c);
	assert_int_equal(c.tokens.chunks, 2);
	assert_int_equal(vector_at(&c, 77 + 1), 6);
	assert_int_equal(vector_at(&c, 77 + 9), 14);
	prompt_chunks_free(&c);
	static const struct prompt_word large[] = {{"ab", 76, 0}};
	static const struct prompt_words too_large = {large, 1};
	struct error err = {0};
	assert_int_equal(prompt_chunks_make(PROMPT_A1111, "ab", t, &too_large, 1, &c, &err),
			 SUMI_INVALID);
	assert_non_null(strstr(err.text, "a chunk has room for 75"));
	tokenizer_close(t);
}

enum { WIDTH = 32 };

/* The row of a word of one token in the encoder's table. */
static void read_row(const char *word, float out[WIDTH])
{
	struct tensor_file *file;
	struct tokenizer *t;
	int32_t *ids;
	size_t count;
	uint16_t row[WIDTH];
	assert_int_equal(
	    tensors_open("tests/vectors/sd1-tiny/text_encoder/model.safetensors", &file, NULL), 0);
	assert_int_equal(tokenizer_open("tests/vectors/sd1-tiny/tokenizer", &t, NULL), 0);
	assert_int_equal(tokenizer_pieces(t, word, strlen(word), &ids, &count, NULL), 0);
	assert_int_equal(count, 1);
	const struct tensor_entry *table =
	    tensors_find(file, "text_model.embeddings.token_embedding.weight");
	assert_int_equal(tensors_read_part(file, table, (size_t)ids[0] * sizeof row, row, sizeof row,
					   NULL),
			 0);
	for (int i = 0; i < WIDTH; i++)
		out[i] = half_to_float(row[i]);
	free(ids);
	tokenizer_close(t);
	tensors_close(file);
}

static struct conditions say(const char *text, const float *vectors, int count)
{
	const struct prompt_word rows[] = {{"red-hat", count, 0}};
	const struct conditioner_words words = {{rows, 1}, vectors, count};
	struct conditioner_input in = {
	    .texts = &text, .n = 1, .syntax = PROMPT_A1111, .words = vectors ? &words : NULL};
	struct conditions said;
	struct error err = {0};
	if (conditioner_encode(conditioner, &in, &said, &err))
		fail_msg("%s", err.text);
	return said;
}

static double distance(const struct conditions *a, const struct conditions *b)
{
	const struct condition *x = conditions_get(a, CONDITION_TOKENS);
	const struct condition *y = conditions_get(b, CONDITION_TOKENS);
	return vector_distance(x->values, y->values, (size_t)(x->rows * x->width));
}

/* What two words' tokens have anyway gives the same numbers; and another vector others, also where the
 * same ids were encoded last. */
static void test_vectors_in_place(void **state)
{
	float vectors[2 * WIDTH];
	(void)state;
	read_row("cat", vectors);
	read_row("fog", vectors + WIDTH);
	open_pack("sd1-tiny");
	struct conditions plain = say("a cat fog, fog", NULL, 0);
	struct conditions same = say("a Red-Hat, fog", vectors, 2);
	assert_true(distance(&same, &plain) < 1e-6);
	vectors[3] += 0.5f;
	struct conditions other = say("a red-hat, fog", vectors, 2);
	assert_true(distance(&other, &plain) > 1e-3);
	struct conditions word = say("a red-hat, fog", NULL, 0);
	assert_true(distance(&word, &plain) > 1e-3);
	conditions_free(&plain);
	conditions_free(&same);
	conditions_free(&other);
	conditions_free(&word);
	close_pack();
}

static int open_device(void **state)
{
	(void)state;
	return device_open("reference", &device, NULL);
}

static int close_device(void **state)
{
	(void)state;
	device_close(device);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_vectors),
	    cmocka_unit_test(test_chunks),
	    cmocka_unit_test(test_words),
	    cmocka_unit_test(test_vectors_in_place),
	};
	return cmocka_run_group_tests(tests, open_device, close_device);
}
