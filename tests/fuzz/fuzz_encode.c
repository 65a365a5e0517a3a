/* A prompt, by the tokenizer of a pack in the box: as it is, and cut and weighed in each syntax with words that
 * stand for vectors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/prompt_chunks.h"
#include "diffusion/prompt_terms.h"
#include "tests/fuzz/fuzz.h"

static struct tokenizer *tokenizer;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	return tokenizer_open("models/ink/tokenizer", &tokenizer, NULL);
}

static void cut(enum prompt_syntax syntax, const char *text)
{
	static const struct prompt_word rows[] = {{"a", 2, 0}, {"a b", 9, 2}, {"Red-Hat", 1, 11}};
	static const struct prompt_words words = {rows, 3};
	enum { VECTORS = 12 };
	struct prompt_chunks c;
	struct error err = {0};
	int status = prompt_chunks_make(syntax, text, tokenizer, &words, 2, &c, &err);
	fuzz_outcome(status, &err);
	fuzz_require(status || c.tokens.chunks >= 2, "there are as many chunks as there must be");
	for (int i = 0; !status && i < c.tokens.chunks * c.tokens.length; i++) {
		fuzz_require(c.tokens.ids[i] >= 0 && c.tokens.ids[i] < tokenizer_vocab_size(tokenizer),
			     "an id is one of the vocabulary");
		fuzz_require(!c.weights || isfinite(c.weights[i]), "a weight is a number");
		fuzz_require(!c.vectors || (c.vectors[i] >= 0 && c.vectors[i] <= VECTORS),
			     "a vector is one of the list");
	}
	prompt_chunks_free(&c);
}

static void add_up(const char *text)
{
	struct prompt_terms t;
	struct error err = {0};
	int status = prompt_terms_make(text, tokenizer, NULL, 2, &t, &err);
	fuzz_outcome(status, &err);
	fuzz_require(status || (t.count > 0 && t.chunks >= 2), "there is something of it, and as many chunks as there must be");
	for (size_t i = 0; i < t.count && !status; i++)
		fuzz_require(t.rows[i].at >= 0 && t.rows[i].at + t.rows[i].chunks.tokens.chunks <= t.chunks &&
				 isfinite(t.rows[i].factor),
			     "a term has a place");
	prompt_terms_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tokens tokens = {0};
	struct error err = {0};
	int status = tokenizer_encode(tokenizer, (const char *)data, size, 1, &tokens, &err);
	fuzz_outcome(status, &err);
	for (int i = 0; !status && i < tokens.chunks * tokens.length; i++)
		fuzz_require(tokens.ids[i] >= 0 && tokens.ids[i] < tokenizer_vocab_size(tokenizer),
			     "an id is one of the vocabulary");
	tokens_free(&tokens);
	char *text = fuzz_text((struct fuzz_part){data, size < 4096 ? size : 4096});
	for (int k = 0; k < PROMPT_SYNTAXES; k++)
		cut(k, text);
	add_up(text);
	free(text);
	return 0;
}
