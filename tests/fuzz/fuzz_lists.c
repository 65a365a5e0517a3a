/* Lists of jobs: what is read twice is the same, and every job of it can be looked at. */
#include <string.h>

#include "cli/lists.h"
#include "cli/when.h"
#include "request/job.h"
#include "tests/fuzz/fuzz.h"

static int count(void *context, json_t *object, long line, struct error *err)
{
	struct job job;
	struct error why = {0};
	fuzz_require(line > 0, "a job has a line");
	char note[WHEN_NOTE_SIZE];
	int status = when_resolve(object, note, &why);
	fuzz_outcome(status, &why);
	if (!status) {
		status = job_parse_object(object, &job, &why);
		fuzz_outcome(status, &why);
	}
	if (!status)
		job_clear(&job);
	json_decref(object);
	(*(long *)context)++;
	(void)err;
	return SUMI_OK;
}

/* The first byte says under which name it comes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"list.txt", "list.csv", "list.json", "list.jsonl", "list"};
	struct list list;
	struct error err = {0};
	long first = 0, second = 0;
	if (size == 0)
		return 0;
	const char *path = fuzz_file(names[data[0] % 5], data + 1, size - 1);
	int status = list_open(path, false, data[0] & 0x80, &list, &err);
	fuzz_outcome(status, &err);
	if (!status) {
		status = list_walk(&list, count, &first, &err);
		fuzz_outcome(status, &err);
		struct error again = {0};
		fuzz_require(list_walk(&list, count, &second, &again) == status && first == second &&
				 strcmp(err.text, again.text) == 0,
			     "a list reads the same twice");
	}
	list_close(&list);
	return 0;
}
