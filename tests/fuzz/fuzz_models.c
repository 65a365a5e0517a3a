/* The config.json of a model; the first byte says of which kind. */
#include "networks/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	struct text_config text;
	struct unet_config unet = {.levels = 0};
	struct vae_config vae;
	struct motion_config motion;
	int status;
	if (size == 0)
		return 0;
	fuzz_file("config.json", data + 1, size - 1);
	switch (data[0] & 3) {
	case 0:
		status = text_config_read(fuzz_folder(), &text, &err);
		break;
	case 1:
		status = vae_config_read(fuzz_folder(), &vae, &err);
		fuzz_require(status || (vae.levels >= 1 && vae.levels <= CONFIG_LEVELS_MAX),
			     "levels fit");
		break;
	case 2:
		status = unet_config_read("tests/vectors/motion-tiny/unet", &unet, &err);
		fuzz_require(!status, "the UNet of the tests can be read");
		status = motion_config_read(fuzz_folder(), &unet, &motion, &err);
		break;
	default:
		status = unet_config_read(fuzz_folder(), &unet, &err);
		fuzz_require(status || (unet.levels >= 1 && unet.levels <= CONFIG_LEVELS_MAX),
			     "levels fit");
	}
	fuzz_outcome(status, &err);
	return 0;
}
