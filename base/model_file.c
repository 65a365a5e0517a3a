/* How files of tensors are called. */
#include "base/model_file.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

const char *model_file_ending(const char *name)
{
	static const char *const endings[] = {".safetensors", ".sft", ".gguf", ".ckpt",
					      ".pt",	      ".pth", ".bin", ".param"};
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot && i < sizeof endings / sizeof endings[0]; i++)
		if (strcasecmp(dot, endings[i]) == 0)
			return dot;
	return NULL;
}

bool model_file_is_called(const char *name, const char *asked)
{
	const char *ending = model_file_ending(asked);
	size_t n = strlen(name);
	return strcmp(name, asked) == 0 || (ending && asked + n == ending && strncmp(name, asked, n) == 0);
}
