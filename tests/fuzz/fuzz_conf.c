/* sumi.conf. */
#include "base/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	struct error err = {0};
	fuzz_outcome(config_load(fuzz_file("sumi.conf", data, size), &config, &err), &err);
	return 0;
}
