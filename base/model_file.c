/* How files of tensors are called. */
#include "base/model_file.h"

#include <string.h>
#include <strings.h>

/* How many of the first n bytes stand before the ending that they end with; n where they have none. */
static size_t without_ending(const char *name, size_t n)
{
	static const char *const endings[] = {".safetensors", ".sft", ".gguf", ".ckpt",
					      ".pt",	      ".pth", ".bin", ".param"};
	for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
		size_t length = strlen(endings[i]);
		if (length <= n && strncasecmp(name + n - length, endings[i], length) == 0)
			return n - length;
	}
	return n;
}

const char *model_file_ending(const char *name)
{
	size_t n = strlen(name), stem = without_ending(name, n);
	return stem < n ? name + stem : NULL;
}

size_t model_name_length(const char *called)
{
	size_t n = strlen(called), stem;
	while ((stem = without_ending(called, n)) && stem < n)
		n = stem;
	return n;
}

bool model_file_is_called(const char *name, const char *asked)
{
	const char *ending = model_file_ending(asked);
	size_t n = strlen(name);
	return strcmp(name, asked) == 0 || (ending && asked + n == ending && strncmp(name, asked, n) == 0);
}
