/* A file of an upscaler: what its tensors say, and the same loaded. */
#include "networks/upscaler.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct device *device;
	const char *path = fuzz_file("u.safetensors", data, size);
	struct upscaler_info said;
	struct upscaler *u = NULL;
	struct error err = {0};
	if (!device && device_open("reference", &device, &err))
		fuzz_require(false, "the reference device is always there");
	int status = upscaler_read(path, &said, &err);
	fuzz_outcome(status, &err);
	err = (struct error){0};
	int loaded = upscaler_open(device, path, &u, &err);
	fuzz_outcome(loaded, &err);
	fuzz_require(loaded || (!status && upscaler_info(u)->scale == said.scale && said.scale > 0),
		     "what is loaded is what was said");
	upscaler_close(u);
	return 0;
}
