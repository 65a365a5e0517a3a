/* Which precisions a device has beyond the exact one: what OpenCL does not tell of a CPU is asked
 * of the CPU itself, and believed after one trial. */
#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/matrix.h"
#include "backends/opencl/tune.h"

#define LANES_MOST 16

/* What the host's processor has: an OpenCL CPU device computes on it. */
enum {
	HAS_AVX512_BF16 = 1 << 0,
	HAS_AVX512_VNNI = 1 << 1,
	HAS_AVX_VNNI = 1 << 2,
	HAS_ARM_DOTPROD = 1 << 3,
	HAS_ARM_BF16 = 1 << 4,
	HAS_ARM_I8MM = 1 << 5,
	HAS_AMX_BF16 = 1 << 6,
	HAS_AMX_INT8 = 1 << 7,
};

#if defined(__x86_64__)
static unsigned host_has(void)
{
	unsigned eax = 0, ebx, ecx, edx, has = 0;
	if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512bf16"))
		has |= HAS_AVX512_BF16;
	if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
		has |= HAS_AVX512_VNNI;
	/* Its own bit: not every compiler knows it by name. */
	if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && eax >> 4 & 1 &&
	    __builtin_cpu_supports("avx2"))
		has |= HAS_AVX_VNNI;
	if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && edx >> 24 & 1 &&
	    has & HAS_AVX512_BF16)
		has |= (edx >> 22 & 1 ? HAS_AMX_BF16 : 0u) | (edx >> 25 & 1 ? HAS_AMX_INT8 : 0u);
	return has;
}
#elif defined(__aarch64__) && defined(__linux__)
static unsigned host_has(void)
{
	unsigned long bits = getauxval(AT_HWCAP), more = getauxval(AT_HWCAP2);
	return (bits >> 20 & 1 ? HAS_ARM_DOTPROD : 0u) | (more >> 14 & 1 ? HAS_ARM_BF16 : 0u) |
	       (more >> 13 & 1 ? HAS_ARM_I8MM : 0u);
}
#else
static unsigned host_has(void)
{
	return 0;
}
#endif

/* Linux gives a process the registers of tiles when it asks for them, once, for all of its threads.
 */
static bool tiles_permitted(void)
{
#if defined(__x86_64__) && defined(__linux__)
	enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
	static int answer; /* 1: yes, -1: no */
	if (!answer)
		answer = syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0 ? 1 : -1;
	return answer > 0;
#else
	return false;
#endif
}

/* The ways to multiply. Of those that have no word the first one that the host has is taken;
 * SUMI_KERNELS=cpu8-WORD or cpu16-WORD takes those of that word: nobody has run them on a processor
 * that has them. */
static const struct way {
	const char *word;
	int lanes; /* 0: of either width */
	enum cl_products of;
	enum cl_dot dot;
	unsigned needs;
} ways[] = {
    {"", 0, CL_PAIRS, DOT_AVX512, HAS_AVX512_BF16},
    {"", 8, CL_FOURS, DOT_VEX, HAS_AVX_VNNI},
    {"", 0, CL_FOURS, DOT_AVX512, HAS_AVX512_VNNI},
    {"-arm", 8, CL_PAIRS, DOT_ARM, HAS_ARM_BF16},
    {"-arm", 8, CL_FOURS, DOT_ARM, HAS_ARM_I8MM},
    {"-arm-sdot", 8, CL_FOURS, DOT_ARM_SDOT, HAS_ARM_DOTPROD},
    {"-arm-matrix", 8, CL_PAIRS, DOT_ARM_MATRIX, HAS_ARM_BF16},
    {"-arm-matrix", 8, CL_FOURS, DOT_ARM_MATRIX, HAS_ARM_I8MM},
    {"-amx", 16, CL_PAIRS, DOT_AMX, HAS_AMX_BF16},
    {"-amx", 16, CL_FOURS, DOT_AMX, HAS_AMX_INT8},
    {"-amx-split", 16, CL_PAIRS, DOT_AMX_SPLIT, HAS_AMX_BF16},
    {"-amx-split", 16, CL_FOURS, DOT_AMX, HAS_AMX_INT8},
};

/* Of what stands in SUMI_KERNELS behind "cpu", "cpu8" or "cpu16": how many bytes there are without
 * "-emulated", which it may end with. */
static size_t word_size(const char *word, bool *emulated)
{
	static const char tail[] = "-emulated";
	size_t n = strlen(word), t = sizeof tail - 1;
	*emulated = n >= t && strcmp(word + n - t, tail) == 0;
	return *emulated ? n - t : n;
}

bool cl_dot_word_known(const char *word, int lanes)
{
	bool emulated;
	size_t size = word_size(word, &emulated);
	for (int i = 0; i < CL_COUNT(ways); i++)
		if (strlen(ways[i].word) == size && strncmp(ways[i].word, word, size) == 0 &&
		    (!ways[i].lanes || !lanes || ways[i].lanes == lanes))
			return true;
	return false;
}

/* That word. */
static const char *forced_word(size_t *size, bool *emulated)
{
	const char *forced = getenv("SUMI_KERNELS");
	bool cpu = forced && strncmp(forced, "cpu", 3) == 0;
	const char *word = cpu ? forced + strcspn(forced, "-") : "";
	*size = word_size(word, emulated);
	return word;
}

static enum cl_dot find_way(struct cl_device *d, enum cl_products of)
{
	size_t size;
	const char *word = forced_word(&size, &d->dot_emulated);
	unsigned has = d->dot_emulated ? ~0u : host_has();
	for (int i = 0; i < CL_COUNT(ways); i++) {
		const struct way *w = &ways[i];
		if (w->of != of || strlen(w->word) != size || strncmp(w->word, word, size) != 0 ||
		    (w->lanes && w->lanes != d->quirks.lanes))
			continue;
		if ((w->needs & has) == w->needs &&
		    (d->dot_emulated || !(w->needs & (HAS_AMX_BF16 | HAS_AMX_INT8)) ||
		     tiles_permitted()))
			return w->dot;
	}
	return DOT_MISSING;
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
	bool (*right)(const float *got, int lanes);
	const char *of, *bits; /* what is multiplied, by what a processor says that it can */
} products[CL_PRODUCTS] = {
    [CL_PAIRS] = {"tile_cpu.cl+matrix_cpu.cl+dot_cpu.cl+dot_probe.cl", "probe_dot", pairs_right,
		  "bfloat16", "AVX512-BF16"},
    [CL_FOURS] = {"tile_cpu.cl+matrix_cpu.cl+dot4_cpu.cl+dot4_probe.cl", "probe_dot4", fours_right,
		  "whole numbers of eight bits", "AVX512-VNNI or AVX-VNNI"},
};

/* What a kernel is built with for the way that stands in d->dot[of]. */
static void way_options(const struct cl_device *d, enum cl_products of, char out[CL_DOT_OPTIONS])
{
	static const char *const options[DOT_WAYS] = {
	    [DOT_VEX] = " -D DOT_VEX",
	    [DOT_ARM] = " -D DOT_ARM",
	    [DOT_ARM_SDOT] = " -D DOT_ARM -D DOT_SDOT",
	    [DOT_ARM_MATRIX] = " -D DOT_ARM -D DOT_MATRIX",
	    [DOT_AMX] = " -D DOT_AMX",
	    [DOT_AMX_SPLIT] = " -D DOT_AMX -D DOT_SPLIT",
	};
	enum cl_dot dot = d->dot[of];
	snprintf(out, CL_DOT_OPTIONS, "%s%s", options[dot] ? options[dot] : "",
		 d->dot_emulated ? " -D DOT_EMULATED" : "");
}

/* As matrix_kernel() makes it, which asks here for the way that is on trial. */
static int probe_kernel(struct cl_device *d, const struct products *p, cl_kernel *kernel)
{
	char options[64 + CL_DOT_OPTIONS], dot[CL_DOT_OPTIONS];
	way_options(d, (enum cl_products)(p - products), dot);
	snprintf(options, sizeof options, "-D ACT=%s%s", cl_dtype_word(DTYPE_F32), dot);
	struct format_kernel k = {.files = p->files,
				  .name = p->kernel,
				  .options = options,
				  .formats = {{"WEIGHT", DTYPE_F32}},
				  .wide = d->quirks.lanes,
				  .columns = matrix_panel(d)};
	return cl_format_kernel(d, &k, kernel, NULL);
}

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
	status = probe_kernel(d, p, &kernel);
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

/* The way that is taken, by a trial when it is first asked for. */
static enum cl_dot way_of(struct cl_device *d, enum cl_products of)
{
	if (d->dot[of] != DOT_UNKNOWN)
		return d->dot[of];
	d->dot[of] = DOT_MISSING;
	if (!d->quirks.cpu_kernels)
		return DOT_MISSING;
	d->dot[of] = find_way(d, of); /* what its kernel is built with */
	if (d->dot[of] == DOT_MISSING || d->dot_emulated)
		return d->dot[of];
	char trial[64 + CL_DOT_OPTIONS],
	    options[CL_DOT_OPTIONS]; /* not to be mixed up with other ways */
	way_options(d, of, options);
	snprintf(trial, sizeof trial, "%s%s", products[of].kernel, options);
	if (!d->base.info.is_cpu || !tune_tried(d, trial, probe, &products[of]))
		d->dot[of] = DOT_MISSING;
	return d->dot[of];
}

void cl_dot_options(struct cl_device *d, enum cl_products of, char out[CL_DOT_OPTIONS])
{
	way_of(d, of);
	way_options(d, of, out);
}

int cl_takes_precision(struct device *base, enum precision precision, struct error *err)
{
	struct cl_device *d = cl_device_of(base);
	enum cl_products of = precision == PRECISION_INT8 ? CL_FOURS : CL_PAIRS;
	if (!d->quirks.cpu_kernels)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "%s stores activations in half already: leave the precision at auto",
		    d->base.info.name);
	enum cl_dot pairs = way_of(d, CL_PAIRS); /* what int8 leaves goes by them, where they are */
	if ((of == CL_PAIRS ? pairs : way_of(d, of)) != DOT_MISSING)
		return SUMI_OK;
	size_t size;
	bool emulated;
	forced_word(&size, &emulated);
	return error_set(err, SUMI_UNSUPPORTED,
			 "%s has no instruction for products of %s (%s%s), or its driver does not "
			 "take it: use precision exact",
			 d->base.info.name, products[of].of, size ? "SUMI_KERNELS=" : "",
			 size ? getenv("SUMI_KERNELS") : products[of].bits);
}
