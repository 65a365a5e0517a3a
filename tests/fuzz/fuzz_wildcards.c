/* Wildcards of names within names: YAML, and with a '{' or '[' first JSON. */
#include <string.h>

#include "base/utf8.h"
#include "modalities/wildcards_tree.h"
#include "tests/fuzz/fuzz.h"

static int take_line(void *context, const char *name, int number, const char *text, size_t size, struct error *err)
{
	size_t *lines = context;
	(void)err;
	fuzz_require(strlen(name) < WILDCARD_TREE_NAME && number >= 0, "a name is short");
	fuzz_require(utf8_valid(text, size), "a line is UTF-8");
	++*lines;
	return SUMI_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	size_t lines = 0;
	bool json = size && (data[0] == '{' || data[0] == '[');
	int status = wildcard_tree_read((const char *)data, size, json ? "w.json" : "w.yaml", take_line, &lines, &err);
	fuzz_outcome(status, &err);
	fuzz_require(lines <= size, "each line has its bytes");
	return 0;
}
