/* A tokenizer's folder: vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json,
 * and a text for it. */
#include "networks/tokenizer.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"vocab.json", "merges.txt", "tokenizer_config.json",
					    "special_tokens_map.json"};
	struct fuzz_part rest = {data, size};
	struct tokenizer *tokenizer = NULL;
	struct tokens tokens = {0};
	struct error err = {0};
	for (int i = 0; i < 4; i++) {
		struct fuzz_part part = fuzz_next(&rest);
		fuzz_file(names[i], part.data, part.size);
	}
	int status = tokenizer_open(fuzz_folder(), &tokenizer, &err);
	fuzz_outcome(status, &err);
	if (!status) {
		status = tokenizer_encode(tokenizer, (const char *)rest.data, rest.size, 1, &tokens,
					  &err);
		fuzz_outcome(status, &err);
		for (int i = 0; !status && i < tokens.chunks * tokens.length; i++)
			fuzz_require(tokens.ids[i] >= 0 &&
					 tokens.ids[i] < tokenizer_vocab_size(tokenizer),
				     "an id is one of the vocabulary");
	}
	tokens_free(&tokens);
	tokenizer_close(tokenizer);
	return 0;
}
