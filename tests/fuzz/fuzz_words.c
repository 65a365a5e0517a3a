/* What a pack says that it can paint, and a theme: a story that can be read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modalities/script.h"
#include "request/story.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct pack_info info = {.name = "x"};
	const uint8_t *cut = memchr(data, FUZZ_CUT, size);
	size_t n = cut ? (size_t)(cut - data) : size;
	char *theme = strndup(cut ? (const char *)cut + 1 : "sea", cut ? size - n - 1 : 3), *text = NULL;
	struct script_order order = {.theme = theme, .scenes = 5, .video = &info};
	json_t *story = NULL;
	fuzz_file("words.json", data, n);
	snprintf(info.path, sizeof info.path, "%s", fuzz_folder());
	int status = theme ? script_write(&order, &text, &err) : SUMI_OK;
	if (theme)
		fuzz_outcome(status, &err);
	if (!status && text && story_read(text, strlen(text), "x", &story, &err))
		fuzz_outcome(err.status, &err);
	json_decref(story);
	free(text);
	free(theme);
	return 0;
}
