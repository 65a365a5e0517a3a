/* Which precisions a device has beyond the exact one: what OpenCL does not tell of a CPU is asked
 * of the CPU itself, and believed after one trial. */
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/matrix.h"

#define LANES_MOST 16

/* The host is what an OpenCL CPU device computes on. */
static bool host_has_dot(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512bw");
#else
	return false;
#endif
}

/* Sums and products that bfloat16 holds exactly: lane i of probe_dot's three results. */
static bool probe_right(const float *got, int lanes)
{
	for (int i = 0; i < lanes; i++) {
		float row = 100 + (float)(2 * i * 3) + (float)((2 * i + 1) * 5);
		float up = (float)(i * 3) + (float)(16 * 5) + (float)i;
		if (got[i] < row || got[i] > row || got[lanes + i] < up || got[lanes + i] > up)
			return false;
	}
	return true;
}

/* Drivers that do not build the instruction, or build something else, do not have it. */
static bool probe(struct cl_device *d)
{
	float got[2 * LANES_MOST] = {0};
	struct buffer *out = NULL;
	cl_kernel kernel;
	bool right = false;
	size_t bytes = 2 * (size_t)d->quirks.lanes * sizeof(float);
	if (cl_buffer_new(d, bytes, &out, NULL) == SUMI_OK &&
	    matrix_kernel(d, "tile_cpu.cl+dot_cpu.cl+dot_probe.cl", "probe_dot", DTYPE_F32,
			  DTYPE_F32, &kernel, NULL) == SUMI_OK) {
		struct cl_arg args[] = {arg_buffer(out)};
		struct cl_range range = {.dims = 1, .global = {1}, .local = {1}};
		right = cl_launch(d, kernel, &range, args, 1, NULL) == SUMI_OK &&
			cl_buffer_read(d, out, 0, got, bytes, NULL) == SUMI_OK &&
			probe_right(got, d->quirks.lanes);
	}
	cl_buffer_free(d, out);
	return right;
}

enum cl_dot cl_dot(struct cl_device *d)
{
	const char *forced = getenv("SUMI_KERNELS");
	if (d->dot != DOT_UNKNOWN)
		return d->dot;
	bool emulated = forced && strncmp(forced, "cpu", 3) == 0 && strstr(forced, "-emulated");
	d->dot = emulated ? DOT_EMULATED : DOT_MISSING;
	if (!emulated && d->quirks.cpu_kernels && d->base.info.is_cpu &&
	    d->quirks.takes_assembler && host_has_dot()) {
		d->dot = DOT_INSTRUCTION; /* what matrix_kernel() builds with */
		if (!probe(d))
			d->dot = DOT_MISSING;
	}
	return d->dot;
}

int cl_takes_precision(struct device *base, enum precision precision, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	if (!d->quirks.cpu_kernels)
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s stores activations in half already: leave the precision at auto",
				 d->base.info.name);
	if (precision == PRECISION_HALF && cl_dot(d) != DOT_MISSING)
		return SUMI_OK;
	return error_set(err, SUMI_UNSUPPORTED,
			 "%s has no instruction for products of bfloat16 (AVX512-BF16), or its "
			 "driver does not take it: use precision exact",
			 d->base.info.name);
}
