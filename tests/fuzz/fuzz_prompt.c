/* A prompt in each of its syntaxes: parts, texts that change, weights. What is read has a text for every
 * evaluation and weights that are numbers; what is plain is one segment of its own words. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/prompt.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS = 7 };

static void read_segments(enum prompt_syntax syntax, const char *text)
{
	struct prompt_segments s = {0};
	struct error err = {0};
	int status = prompt_segments_read(syntax, text, &s, &err);
	fuzz_outcome(status, &err);
	for (size_t i = 0; i < s.count; i++)
		fuzz_require(s.rows[i].text && isfinite(s.rows[i].weight),
			     "a segment has words and a weight");
	prompt_segments_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text((struct fuzz_part){data, size < 8192 ? size : 8192});
	for (int k = 0; k < 2 * PROMPT_SYNTAXES; k++) {
		enum prompt_syntax syntax = k / 2;
		struct prompt p = {0};
		struct error err = {0};
		int status = prompt_read(syntax, text, k % 2, STEPS, &p, &err);
		fuzz_outcome(status, &err);
		bool plain;
		fuzz_require(prompt_tell_plain(syntax, text, k % 2, &plain, &err) == SUMI_OK,
			     "whether it is plain can be told");
		fuzz_require(!plain || (!status && p.count == 1 && p.parts[0].count == 1),
			     "a plain prompt is one text");
		for (int i = 0; i < p.count; i++) {
			for (int step = 0; step < STEPS; step++)
				fuzz_require(p.parts[i].at[step] >= 0 &&
						 p.parts[i].at[step] < p.parts[i].count,
					     "every evaluation has a text");
			for (int t = 0; t < p.parts[i].count; t++)
				read_segments(syntax, p.parts[i].texts[t]);
		}
		prompt_free(&p);
	}
	free(text);
	return 0;
}
