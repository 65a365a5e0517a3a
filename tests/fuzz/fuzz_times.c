/* Times, durations, windows and intervals, as jobs and settings write them. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/schedule.h"
#include "cli/when.h"
#include "tests/fuzz/fuzz.h"

/* What people type: what is understood of windows and recurrences reads as itself. */
static void as_people_write(const char *text)
{
	struct error err = {0};
	int64_t ms;
	bool skipped;
	char note[WHEN_NOTE_SIZE];
	static const char *const fields[] = {"window", "every"};
	const int64_t now = INT64_C(1796416200000);
	fuzz_outcome(when_parse(text, "Europe/Berlin", now, now, &ms, &skipped, &err), &err);
	fuzz_outcome(when_parse_past(text, "Europe/Berlin", now, &ms, &err), &err);
	fuzz_outcome(when_parse_length(text, &ms, &err), &err);
	for (size_t i = 0; i < 2; i++) {
		json_t *o = json_pack("{s:s}", fields[i], text);
		if (!o) /* no UTF-8 */
			return;
		fuzz_outcome(when_resolve(o, note, &err), &err);
		const char *read = json_string_value(json_object_get(o, fields[i]));
		int from, to, status = i ? schedule_check_every(read, &err)
					 : schedule_parse_window(read, &from, &to, &err);
		if (strcmp(read, text) != 0 && status) /* 22-22 never opens, 5s is too often: told as such */
			fuzz_require(strstr(err.text, "never opens") || strstr(err.text, "less than"),
				     "a time that was read is one");
		json_decref(o);
	}
}

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
	as_people_write(text);
	free(text);
	return 0;
}
