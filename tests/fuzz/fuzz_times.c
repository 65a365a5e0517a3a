/* Times, durations, windows and intervals, as jobs and settings write them. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/schedule.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text((struct fuzz_part){data, size}), again[CLOCK_TEXT_SIZE];
	struct error err = {0};
	int64_t ms = 0, back = 0, next = 0;
	int from, to;
	bool open;
	int status = clock_parse(text, &ms, &err);
	fuzz_outcome(status, &err);
	if (status == SUMI_OK && ms > 0 && ms < INT64_C(4102444800000)) {
		clock_text(ms, again);
		fuzz_require(clock_parse(again, &back, NULL) == SUMI_OK && back == ms,
			     "a time reads back");
	}
	fuzz_outcome(clock_parse_duration(text, &ms, &err), &err);
	status = schedule_parse_window(text, &from, &to, &err);
	fuzz_outcome(status, &err);
	if (status == SUMI_OK) {
		fuzz_require(from >= 0 && to <= 1440 && from != to, "a window lies in a day");
		fuzz_outcome(schedule_window_next(text, "UTC", 1, &next, &err), &err);
		fuzz_outcome(schedule_window_open(text, "UTC", next, &open, &err), &err);
		fuzz_require(open, "a window is open when it opens");
	}
	status = schedule_check_every(text, &err);
	fuzz_outcome(status, &err);
	if (status == SUMI_OK) {
		fuzz_outcome(schedule_every_next(text, "UTC", 1000, 2000, &next, &err), &err);
		fuzz_require(next > 2000, "the next occurrence is later than now");
	}
	free(text);
	return 0;
}
