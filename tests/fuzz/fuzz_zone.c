/* Files of the tz database. */
#include <stdlib.h>

#include "base/schedule.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	return setenv("TZDIR", fuzz_folder(), 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t seconds[] = {0, 1000000000, 1780000000, INT64_C(4102444800)};
	struct error err = {0};
	struct zone *zone = NULL;
	fuzz_file("Fuzz", data, size);
	int status = zone_load("Fuzz", &zone, &err);
	fuzz_outcome(status, &err);
	for (size_t i = 0; !status && i < sizeof seconds / sizeof seconds[0]; i++) {
		int32_t offset = zone_offset(zone, seconds[i]);
		fuzz_require(offset > -27 * 3600 && offset < 27 * 3600, "an offset is of hours");
		zone_moment(zone, seconds[i] / 86400, 150);
	}
	zone_free(zone);
	return 0;
}
