/* The tokenizer against transformers' ids, and against files that contradict themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/json.h"
#include "networks/tokenizer.h"

#define SD1 "tests/vectors/sd1-tiny/tokenizer"
#define SD2 "tests/vectors/sd2-tiny/tokenizer"
#define LEVELS "tests/vectors/levels-tiny/tokenizer"

static struct tokenizer *open_folder(const char *folder)
{
	struct tokenizer *t = NULL;
	struct error err = {0};
	if (tokenizer_open(folder, &t, &err))
		fail_msg("%s", err.text);
	return t;
}

static struct tokens encode(const struct tokenizer *t, const char *text, int min_chunks)
{
	struct tokens tokens;
	struct error err = {0};
	if (tokenizer_encode(t, text, strlen(text), min_chunks, &tokens, &err))
		fail_msg("'%s': %s", text, err.text);
	return tokens;
}

/* ids has both marks; chunks repeat them every length − 2 pieces. */
static void compare_ids(const char *text, const struct tokens *got, const json_t *ids)
{
	size_t n = json_array_size(ids) - 2, room = (size_t)got->length - 2;
	json_int_t bos = json_integer_value(json_array_get(ids, 0));
	json_int_t eos = json_integer_value(json_array_get(ids, n + 1));
	if ((size_t)got->count != n)
		fail_msg("'%s': %d tokens, want %zu", text, got->count, n);
	assert_int_equal(got->chunks, n ? (n + room - 1) / room : 1);
	for (size_t i = 0; i < n; i++) {
		json_int_t want = json_integer_value(json_array_get(ids, i + 1));
		int32_t id = got->ids[i / room * (room + 2) + 1 + i % room];
		if (id != want)
			fail_msg("'%s': token %zu is %d, want %d", text, i, (int)id, (int)want);
	}
	for (int c = 0; c < got->chunks; c++) {
		size_t used = n - (size_t)c * room < room ? n - (size_t)c * room : room;
		const int32_t *row = got->ids + c * got->length;
		assert_int_equal(row[0], bos);
		for (size_t i = used + 1; i < room + 2; i++)
			assert_int_equal(row[i], eos);
	}
}

static void ids_equal_transformers(void **state)
{
	(void)state;
	struct tokenizer *t = open_folder(SD1);
	FILE *file = fopen("tests/vectors/tokens.jsonl", "r");
	char *line = NULL;
	size_t room = 0, lines = 0;
	assert_non_null(file);
	assert_int_equal(tokenizer_length(t), 77);
	for (ssize_t n; (n = getline(&line, &room, file)) > 0; lines++) {
		json_t *row = NULL;
		struct error err = {0};
		struct tokens tokens;
		if (json_read_text(line, (size_t)n, "tokens.jsonl", &row, &err))
			fail_msg("%s", err.text);
		const json_t *text = json_object_get(row, "text");
		if (tokenizer_encode(t, json_string_value(text), json_string_length(text), 0,
				     &tokens, &err))
			fail_msg("'%s': %s", json_string_value(text), err.text);
		compare_ids(json_string_value(text), &tokens, json_object_get(row, "ids"));
		tokens_free(&tokens);
		json_decref(row);
	}
	assert_true(lines >= 200);
	free(line);
	fclose(file);
	tokenizer_close(t);
}

static void packs_have_their_own_marks(void **state)
{
	(void)state;
	struct tokenizer *sd2 = open_folder(SD2), *levels = open_folder(LEVELS);
	struct tokens tokens = encode(sd2, "cat", 0);
	assert_int_equal(tokens.length, 77);
	assert_int_equal(tokens.count, 1);
	assert_int_equal(tokens.ids[2], 833);
	assert_int_equal(tokens.ids[3], 0);
	assert_int_equal(tokens.ids[76], 0);
	tokens_free(&tokens);
	/* The padding is a piece of its own in the text, too. */
	tokens = encode(sd2, "!", 0);
	assert_int_equal(tokens.count, 1);
	assert_int_equal(tokens.ids[1], 0);
	tokens_free(&tokens);
	tokens = encode(levels, "cat", 0);
	assert_int_equal(tokens.length, 32);
	assert_int_equal(tokens.ids[31], 833);
	tokens_free(&tokens);
	assert_true(tokenizer_vocab_size(levels) > 833);
	tokenizer_close(sd2);
	tokenizer_close(levels);
}

static void chunks_are_padded_apart(void **state)
{
	(void)state;
	struct tokenizer *t = open_folder(LEVELS);
	char text[400] = "";
	for (int i = 0; i < 61; i++)
		strcat(text, "1 ");
	struct tokens tokens = encode(t, text, 0), one = encode(t, "1", 0);
	assert_int_equal(tokens.count, 61);
	assert_int_equal(tokens.chunks, 3);
	for (int c = 0; c < 3; c++) {
		const int32_t *row = tokens.ids + 32 * c;
		int used = c < 2 ? 30 : 1;
		assert_int_equal(row[0], one.ids[0]);
		for (int i = 1; i <= used; i++)
			assert_int_equal(row[i], one.ids[1]);
		assert_int_equal(row[used + 1], 833);
	}
	tokens_free(&tokens);
	tokens_free(&one);
	tokens = encode(t, "", 4);
	assert_int_equal(tokens.chunks, 4);
	assert_int_equal(tokens.count, 0);
	for (int c = 0; c < 4; c++)
		assert_memory_equal(tokens.ids, tokens.ids + 32 * c, 32 * sizeof *tokens.ids);
	tokens_free(&tokens);
	tokenizer_close(t);
}

static void bad_utf8_names_its_byte(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t size;
		const char *where;
	} bad[] = {
	    {"\xff", 1, "byte 0 (0xff)"},      {"cat \xc3", 5, "byte 4"},
	    {"ab\xc0\x80", 4, "byte 2"},       {"\xed\xa0\x80", 3, "byte 0"},
	    {"\xf4\x90\x80\x80", 4, "byte 0"}, {"\xd0\xba\x80", 3, "byte 2"},
	    {"\xf0\x9f\x90", 3, "byte 0"},
	};
	struct tokenizer *t = open_folder(SD1);
	struct tokens tokens;
	struct error err = {0};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(tokenizer_encode(t, bad[i].text, bad[i].size, 0, &tokens, &err),
				 SUMI_INVALID);
		if (!strstr(err.text, bad[i].where))
			fail_msg("'%s' does not say '%s'", err.text, bad[i].where);
		assert_null(tokens.ids);
	}
	/* A NUL is a character like others. */
	assert_int_equal(tokenizer_encode(t, "a\0b", 3, 0, &tokens, &err), SUMI_OK);
	assert_int_equal(tokens.count, 3);
	tokens_free(&tokens);
	tokenizer_close(t);
}

static void long_words_are_quick(void **state)
{
	(void)state;
	struct tokenizer *t = open_folder(SD1);
	char *text = malloc(TOKENIZER_TEXT_MAX + 1);
	struct tokens tokens;
	struct error err = {0};
	assert_non_null(text);
	memset(text, 'a', TOKENIZER_TEXT_MAX + 1);
	assert_int_equal(tokenizer_encode(t, text, TOKENIZER_TEXT_MAX + 1, 0, &tokens, &err),
			 SUMI_TOOBIG);
	assert_int_equal(tokenizer_encode(t, text, TOKENIZER_TEXT_MAX, 0, &tokens, &err), SUMI_OK);
	assert_true(tokens.count > 1000);
	tokens_free(&tokens);
	free(text);
	tokenizer_close(t);
}

/* ---- folders made for one test ---- */

static char folder[64];

static void put(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int make_folder(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/sumi-tokenizer-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	static const char *const names[] = {"vocab.json", "merges.txt", "tokenizer_config.json",
					    "special_tokens_map.json"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[128];
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

#define VOCAB                                                                                      \
	"{\"a\": 0, \"b\": 1, \"a</w>\": 2, \"b</w>\": 3, \"ab\": 4, \"ab</w>\": 5, "              \
	"\"<|startoftext|>\": 6, \"<|endoftext|>\": 7}"
#define MERGES "#version: 0.2\na b\na b</w>\n"

static void bad_folders_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *vocab, *merges, *config, *map;
		const char *word;
	} bad[] = {
	    {"[]", MERGES, "{}", "{}", "vocab.json"},
	    {"{}", MERGES, "{}", "{}", "vocab.json"},
	    {"{\"a\": 0, \"a\": 1}", MERGES, "{}", "{}", "vocab.json"},
	    {"{\"a\": 0, \"b\": 0}", MERGES, "{}", "{}", "taken twice"},
	    {"{\"a\": -1}", MERGES, "{}", "{}", "'a'"},
	    {"{\"a\": 99999999}", MERGES, "{}", "{}", "'a'"},
	    {"{\"a\": \"0\"}", MERGES, "{}", "{}", "'a'"},
	    {"{\"a\": 0", MERGES, "{}", "{}", "vocab.json"},
	    {"{\"a\": 0}", "", "{}", "{}", "<|startoftext|>"},
	    {VOCAB, "a c\n", "{}", "{}", "merges.txt:1: token 'c'"},
	    {VOCAB, "#version\nb a\n", "{}", "{}", "merges.txt:2: the merged token 'ba'"},
	    {VOCAB, "a b\na b\n", "{}", "{}", "merges.txt:2: the same"},
	    {VOCAB, "ab\n", "{}", "{}", "merges.txt:1"},
	    {VOCAB, "a b c\n", "{}", "{}", "merges.txt:1"},
	    {VOCAB, " a\n", "{}", "{}", "merges.txt:1"},
	    {VOCAB, "a \n", "{}", "{}", "merges.txt:1"},
	    {VOCAB, MERGES, "{\"model_max_length\": 2}", "{}", "model_max_length"},
	    {VOCAB, MERGES, "{\"model_max_length\": 1000000}", "{}", "model_max_length"},
	    {VOCAB, MERGES, "[]", "{}", "tokenizer_config.json"},
	    {VOCAB, MERGES, "{}", "nonsense", "special_tokens_map.json"},
	    {VOCAB, MERGES, "{\"eos_token\": 5}", "{}", "eos_token"},
	    {VOCAB, MERGES, "{}", "{\"pad_token\": \"<pad>\"}", "pad_token"},
	    {VOCAB, MERGES, "{}", "{\"bos_token\": {\"content\": \"<s>\"}}", "bos_token"},
	    {VOCAB, MERGES, "{}", "{\"bos_token\": {\"content\": 7}}", "content"},
	    {VOCAB, MERGES, "{\"added_tokens_decoder\": []}", "{}", "added_tokens_decoder"},
	    {VOCAB, MERGES, "{\"added_tokens_decoder\": {\"x\": {\"content\": \"q\"}}}", "{}",
	     "'x'"},
	    {VOCAB, MERGES, "{\"added_tokens_decoder\": {\"9\": {}}}", "{}", "'9'"},
	    {VOCAB, MERGES, "{\"added_tokens_decoder\": {\"9\": {\"content\": \"a\"}}}", "{}",
	     "id 0"},
	    {VOCAB, MERGES, "{\"added_tokens_decoder\": {\"9\": {\"content\": \"\"}}}", "{}",
	     "empty"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct tokenizer *t = NULL;
		struct error err = {0};
		put("vocab.json", bad[i].vocab);
		put("merges.txt", bad[i].merges);
		put("tokenizer_config.json", bad[i].config);
		put("special_tokens_map.json", bad[i].map);
		int status = tokenizer_open(folder, &t, &err);
		if (!status || !strstr(err.text, bad[i].word))
			fail_msg("case %zu: status %d, '%s' does not say '%s'", i, status, err.text,
				 bad[i].word);
		assert_null(t);
	}
}

static void missing_files(void **state)
{
	(void)state;
	struct tokenizer *t = NULL;
	struct error err = {0};
	assert_int_equal(tokenizer_open(folder, &t, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "vocab.json"));
	put("vocab.json", VOCAB);
	assert_int_equal(tokenizer_open(folder, &t, &err), SUMI_NOTFOUND);
	assert_non_null(strstr(err.text, "merges.txt"));
	put("merges.txt", MERGES);
	if (tokenizer_open(folder, &t, &err))
		fail_msg("%s", err.text);
	assert_int_equal(tokenizer_length(t), 77);
	/* "abab" → "ab" and "ab</w>"; what the vocabulary lacks is the unknown token. */
	struct tokens tokens = encode(t, "ABab z", 0);
	assert_int_equal(tokens.count, 3);
	assert_int_equal(tokens.ids[1], 4);
	assert_int_equal(tokens.ids[2], 5);
	assert_int_equal(tokens.ids[3], 7);
	tokens_free(&tokens);
	tokenizer_close(t);
}

/* Newer folders list their tokens with flags; those marked "normalized" are found after
 * lower-casing, and CRLF in merges.txt does no harm. */
static void added_tokens(void **state)
{
	(void)state;
	put("vocab.json", VOCAB);
	put("merges.txt", "a b\r\na b</w>\r\n");
	put("tokenizer_config.json",
	    "{\"pad_token\": \"<p>\", \"model_max_length\": 8, \"added_tokens_decoder\": {"
	    "\"8\": {\"content\": \"<p>\", \"special\": true, \"normalized\": false},"
	    "\"9\": {\"content\": \"<Thing>\", \"special\": false, \"normalized\": true}}}");
	put("special_tokens_map.json", "{\"pad_token\": {\"content\": \"<|endoftext|>\"}}");
	struct tokenizer *t = open_folder(folder);
	struct tokens tokens = encode(t, "b<THING>ab<p>", 0);
	const int32_t want[8] = {6, 3, 9, 5, 8, 7, 8, 8};
	assert_int_equal(tokenizer_vocab_size(t), 10);
	assert_int_equal(tokens.chunks, 1);
	assert_memory_equal(tokens.ids, want, sizeof want);
	tokens_free(&tokens);
	tokenizer_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ids_equal_transformers),
	    cmocka_unit_test(packs_have_their_own_marks),
	    cmocka_unit_test(chunks_are_padded_apart),
	    cmocka_unit_test(bad_utf8_names_its_byte),
	    cmocka_unit_test(long_words_are_quick),
	    cmocka_unit_test_setup_teardown(bad_folders_are_refused, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(missing_files, make_folder, remove_folder),
	    cmocka_unit_test_setup_teardown(added_tokens, make_folder, remove_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
