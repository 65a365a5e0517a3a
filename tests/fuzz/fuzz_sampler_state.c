/* A saved sampler: any bytes are refused or go on to finite latents. The first two bytes say
 * which sampler and how many steps. */
#include <string.h>

#include "diffusion/sampler.h"
#include "tests/fuzz/fuzz.h"

enum { LATENTS = 4 };

static struct sampler_config config;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	return sampler_config_read("tests/vectors/sd1-tiny/scheduler/scheduler_config.json",
				   &config, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sampler *sampler = NULL;
	struct error err = {0};
	struct rng rng;
	float x[LATENTS] = {0}, output[LATENTS] = {0};
	if (size < 2)
		return 0;
	int status = sampler_new(sampler_name_at(data[0] % 32), &config, 1 + data[1] % 12, &sampler,
				 &err);
	fuzz_outcome(status, &err);
	if (status)
		return 0;
	struct bytes_reader r = {.data = data + 2, .size = size - 2};
	status = sampler_restore(sampler, &r, &err);
	fuzz_outcome(status, &err);
	rng_init(&rng, RNG_TORCH, 1);
	int call = sampler_done(sampler);
	fuzz_require(call >= 0 && call <= sampler_calls(sampler), "a position within the run");
	if (!status && call < sampler_calls(sampler))
		fuzz_outcome(sampler_step(sampler, call, output, x, LATENTS, &rng, &err), &err);
	sampler_free(sampler);
	return 0;
}
