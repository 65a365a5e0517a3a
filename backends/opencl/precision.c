/* Which precisions a device has beyond the exact one: what OpenCL does not tell of a CPU is asked
 * of the CPU itself, and believed after one trial. */
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/matrix.h"
#include "backends/opencl/tune.h"

#define LANES_MOST 16

/* ARM's instructions, by their bits in AT_HWCAP2. Nobody has run them yet: SUMI_KERNELS=cpu8-arm asks
 * for them. */
enum { ARM_I8MM = 13, ARM_BF16 = 14 };

static enum cl_dot host_arm(const struct cl_device *d, int bit)
{
	const char *forced = getenv("SUMI_KERNELS");
	unsigned long bits = 0;
#if defined(__aarch64__) && defined(__linux__)
	bits = getauxval(AT_HWCAP2);
#endif
	return forced && strcmp(forced, "cpu8-arm") == 0 && d->quirks.lanes == 8 && bits >> bit & 1
		   ? DOT_ARM
		   : DOT_MISSING;
}

/* The host is what an OpenCL CPU device computes on. */
static enum cl_dot host_pairs(const struct cl_device *d)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512bw"))
		return DOT_INSTRUCTION;
#endif
	return host_arm(d, ARM_BF16);
}

/* AVX-VNNI, where there may be no AVX-512, is the form for vectors of eight: it has a bit of its own,
 * which not every compiler knows by name. */
static enum cl_dot host_fours(const struct cl_device *d)
{
#if defined(__x86_64__)
	unsigned eax = 0, ebx, ecx, edx;
	bool found = __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx);
	if (d->quirks.lanes == 8 && found && eax >> 4 & 1 && __builtin_cpu_supports("avx2"))
		return DOT_VEX;
	if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl"))
		return DOT_INSTRUCTION;
#endif
	return host_arm(d, ARM_I8MM);
}

/* Sums and products that bfloat16 holds exactly: lane i of probe_dot's two results. */
static bool pairs_right(const float *got, int lanes)
{
	for (int i = 0; i < lanes; i++) {
		float row = 100 + (float)(2 * i * 3) + (float)((2 * i + 1) * 5);
		float up = (float)(i * 3) + (float)(16 * 5) + (float)i;
		if (got[i] < row || got[i] > row || got[lanes + i] < up || got[lanes + i] > up)
			return false;
	}
	return true;
}

/* Lane i of probe_dot4's result. */
static bool fours_right(const float *got, int lanes)
{
	for (int i = 0; i < lanes; i++) {
		float sum = (float)(100000 + 255 * -128 + i * 127 - 2 * i + 128 * 3);
		if (got[i] < sum || got[i] > sum)
			return false;
	}
	return true;
}

static const struct products {
	const char *files, *kernel; /* of a trial: at most two vectors of floats */
	enum cl_dot (*host)(const struct cl_device *d);
	bool (*right)(const float *got, int lanes);
	const char *of, *bits; /* what is multiplied, by what a processor says that it can */
} products[CL_PRODUCTS] = {
    [CL_PAIRS] = {"tile_cpu.cl+dot_cpu.cl+dot_probe.cl", "probe_dot", host_pairs, pairs_right,
		  "bfloat16", "AVX512-BF16"},
    [CL_FOURS] = {"tile_cpu.cl+dot4_cpu.cl+dot4_probe.cl", "probe_dot4", host_fours,
		  fours_right, "whole numbers of eight bits", "AVX512-VNNI or AVX-VNNI"},
};

/* Drivers that do not build the instruction, or build something else, do not have it. */
static enum trial_result probe(struct cl_device *d, const void *how)
{
	const struct products *p = how;
	float got[2 * LANES_MOST] = {0};
	struct buffer *out = NULL;
	cl_kernel kernel;
	size_t bytes = 2 * (size_t)d->quirks.lanes * sizeof(float);
	int status = cl_buffer_new(d, bytes, &out, NULL);
	if (status)
		return TRIAL_FAILED;
	status = matrix_kernel(d, p->files, p->kernel, DTYPE_F32, DTYPE_F32, &kernel, NULL);
	if (!status) {
		struct cl_arg args[] = {arg_buffer(out)};
		struct cl_range range = {.dims = 1, .global = {1}, .local = {1}};
		status = cl_launch(d, kernel, &range, args, 1, NULL);
	}
	if (!status)
		status = cl_buffer_read(d, out, 0, got, bytes, NULL);
	cl_buffer_free(d, out);
	if (status == SUMI_NOMEM)
		return TRIAL_FAILED;
	return !status && p->right(got, d->quirks.lanes) ? TRIAL_RIGHT : TRIAL_WRONG;
}

enum cl_dot cl_dot(struct cl_device *d, enum cl_products of)
{
	const char *forced = getenv("SUMI_KERNELS");
	if (d->dot[of] != DOT_UNKNOWN)
		return d->dot[of];
	bool emulated = forced && strncmp(forced, "cpu", 3) == 0 && strstr(forced, "-emulated");
	d->dot[of] = emulated ? DOT_EMULATED : DOT_MISSING;
	if (!emulated && d->quirks.cpu_kernels && d->base.info.is_cpu) {
		d->dot[of] = products[of].host(d); /* what matrix_kernel() builds with */
		if (d->dot[of] != DOT_MISSING && !tune_tried(d, products[of].kernel, probe, &products[of]))
			d->dot[of] = DOT_MISSING;
	}
	return d->dot[of];
}

int cl_takes_precision(struct device *base, enum precision precision, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	enum cl_products of = precision == PRECISION_INT8 ? CL_FOURS : CL_PAIRS;
	if (!d->quirks.cpu_kernels)
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s stores activations in half already: leave the precision at auto",
				 d->base.info.name);
	enum cl_dot pairs = cl_dot(d, CL_PAIRS); /* what int8 leaves goes by them, where they are */
	if ((of == CL_PAIRS ? pairs : cl_dot(d, of)) != DOT_MISSING)
		return SUMI_OK;
	return error_set(err, SUMI_UNSUPPORTED,
			 "%s has no instruction for products of %s (%s), or its driver does not "
			 "take it: use precision exact",
			 d->base.info.name, products[of].of, products[of].bits);
}
