/* A device that counts on its way to the reference. */
#include "tests/unit/counted_pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "backends/backend.h"

struct pack *pack;
struct unet *pack_unet;
struct counted_pass passes[COUNTED_PASSES];
int pass_count;

static struct device *device;
static const struct device_ops *real_ops;
static struct device_ops counting_ops;

/* The timesteps of its latents are the first that a pass asks for. */
static int count_timestep(struct device *d, const struct timestep_args *a, struct error *err)
{
	assert_true(pass_count < COUNTED_PASSES);
	passes[pass_count++] = (struct counted_pass){.batch = (int)a->y.rows};
	return real_ops->timestep(d, a, err);
}

static int count_conv2d(struct device *d, const struct conv2d_args *a, struct error *err)
{
	if (pass_count > 0)
		passes[pass_count - 1].convolutions++;
	return real_ops->conv2d(d, a, err);
}

int counted_setup(void **state)
{
	struct error err = {0};
	(void)state;
	if (device_open("reference", &device, &err) ||
	    pack_open(device, "tests/vectors/sd1-tiny", &pack, &err) ||
	    unet_open(device, "tests/vectors/sd1-tiny/unet", &pack_unet, &err)) {
		print_error("%s\n", err.text);
		return 1;
	}
	real_ops = device->ops;
	counting_ops = *real_ops;
	counting_ops.timestep = count_timestep;
	counting_ops.conv2d = count_conv2d;
	device->ops = &counting_ops;
	return 0;
}

int counted_teardown(void **state)
{
	(void)state;
	unet_close(pack_unet);
	pack_close(pack);
	device->ops = real_ops;
	device_close(device);
	return 0;
}
