/* Prompts of which parts are drawn: what comes is UTF-8 where the text is, the same by the same seed, and no
 * longer than it may be. A line of the wildcard is the second part of the input. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "request/dynamic.h"
#include "tests/fuzz/fuzz.h"

static int lines(void *context, const char *name, json_t **out, struct error *err)
{
	if (strlen(name) % 3 == 0)
		return error_set(err, SUMI_NOTFOUND, "no wildcard");
	*out = json_array();
	json_array_append_new(*out, json_string("one"));
	if (context)
		json_array_append_new(*out, json_string(context));
	return SUMI_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_part rest = {data, size < 8192 ? size : 8192};
	char *text = fuzz_text(fuzz_next(&rest)), *line = fuzz_text(rest), *first, *second;
	bool fine = utf8_valid(text, strlen(text)) && utf8_valid(line, strlen(line));
	struct dynamic_source source = {lines, fine ? line : NULL};
	struct error err = {0};
	int status = dynamic_draw(text, size, &source, &first, &err);
	fuzz_outcome(status, &err);
	if (!status) {
		fuzz_require(strlen(first) <= DYNAMIC_TEXT_MAX, "what comes is not too long");
		fuzz_require(!fine || utf8_valid(first, strlen(first)), "what comes is UTF-8");
		fuzz_require(dynamic_draw(text, size, &source, &second, &err) == 0 &&
				 strcmp(first, second) == 0,
			     "a seed gives one text");
		fuzz_require(dynamic_is(text) || strchr(text, '\\') || strcmp(first, text) == 0,
			     "what is not drawn stays");
		free(second);
	}
	free(first);
	free(line);
	free(text);
	return 0;
}
