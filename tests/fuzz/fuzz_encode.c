/* A prompt, by the tokenizer of a pack in the box. */
#include "networks/tokenizer.h"
#include "tests/fuzz/fuzz.h"

static struct tokenizer *tokenizer;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	return tokenizer_open("models/ink/tokenizer", &tokenizer, NULL);
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
	return 0;
}
