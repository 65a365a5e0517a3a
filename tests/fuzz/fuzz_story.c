/* Stories: read, and planned without a pack. */
#include "modalities/film_plan.h"
#include "request/story_travel.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	json_t *story = NULL, *jobs = NULL;
	int status = story_read_any((const char *)data, size, "x.txt", &story, &err);
	fuzz_outcome(status, &err);
	if (!status) {
		struct film_order order = {.story = story, .id = "x"};
		fuzz_outcome(film_plan(&order, &jobs, &err), &err);
	}
	json_decref(jobs);
	json_decref(story);
	return 0;
}
