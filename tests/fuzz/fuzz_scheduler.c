/* scheduler_config.json, and the samplers made of it. The first two bytes say which and how many
 * steps. */
#include <math.h>

#include "diffusion/sampler.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sampler_config config = {0};
	struct sampler *sampler = NULL;
	struct error err = {0};
	if (size < 2)
		return 0;
	const char *name = sampler_name_at(data[0] % 32);
	int status = sampler_config_read(fuzz_file("scheduler_config.json", data + 2, size - 2),
					 &config, &err);
	fuzz_outcome(status, &err);
	if (status)
		return 0;
	status = sampler_new(name, &config, 1 + data[1], &sampler, &err);
	fuzz_outcome(status, &err);
	for (int i = 0; !status && i < sampler_calls(sampler); i++)
		fuzz_require(isfinite(sampler_timestep(sampler, i)), "a timestep is a number");
	sampler_free(sampler);
	sampler_config_free(&config);
	return 0;
}
