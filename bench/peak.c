/* The device's peak rates, measured by launches of kernels/peak.cl. */
#include "bench/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/internal.h"

#define ROUNDS 4096
#define CPU_CHAINS 12 /* with two operands 14 of AVX2's 16 registers */
#define DOT_CHAINS 24 /* with two operands 26 of AVX-512's 32: pairs' latency is longer */
#define GPU_CHAINS 4

/* What is multiplied in each precision, on CPUs: operations of a lane's instruction. */
static const struct rate {
	const char *files, *kernel;
	int chains;
	double flops;
} rates[PRECISIONS] = {
    [PRECISION_EXACT] = {"peak.cl", "peak_fma", CPU_CHAINS, 2},
    [PRECISION_HALF] = {"tile_cpu.cl+matrix_cpu.cl+dot_cpu.cl+peak_dot.cl", "peak_dot", DOT_CHAINS, 4},
    [PRECISION_INT8] = {"tile_cpu.cl+matrix_cpu.cl+dot4_cpu.cl+peak_dot4.cl", "peak_dot4", CPU_CHAINS, 8},
};
#define COPY_VECTORS ((size_t)4 << 20) /* 128 MiB: beyond any last-level cache */

struct launch {
	struct cl_device *device;
	cl_kernel kernel;
	struct cl_range range;
	struct cl_arg args[4];
};

struct peak {
	struct device *device;
	struct buffer *x, *y;
	struct launch fma, copy;
	double flops; /* of one launch */
};

static int run_launch(void *user, struct error *err)
{
	const struct launch *l = user;
	return cl_launch(l->device, l->kernel, &l->range, l->args, CL_COUNT(l->args), err);
}

static void plan_launches(struct peak *p, int chains)
{
	struct cl_device *d = cl_device_of(p->device);
	bool cpu = d->quirks.cpu_kernels;
	size_t items = (size_t)p->device->info.compute_units * (cpu ? 16 : 1024);
	p->fma.device = p->copy.device = d;
	p->fma.range = p->copy.range = (struct cl_range){1, {items}, {cpu ? 1 : 64}};
	p->fma.args[0] = arg_buffer(p->y);
	p->fma.args[1] = p->fma.args[2] = arg_float(0.5f);
	p->fma.args[3] = arg_int(ROUNDS);
	p->copy.args[0] = arg_buffer(p->x);
	p->copy.args[1] = arg_buffer(p->y);
	p->copy.args[2] = arg_ulong(COPY_VECTORS);
	p->copy.args[3] = arg_int(cpu);
	p->flops = rates[p->device->precision].flops * d->quirks.lanes * chains * ROUNDS * (double)items;
}

int peak_open(struct device *d, struct peak **out, struct error *err)
{
	char options[64 + CL_DOT_OPTIONS], dot[CL_DOT_OPTIONS] = "";
	*out = NULL;
	if (strncmp(d->info.selector, "opencl:", 7) != 0)
		return error_set(err, SUMI_UNSUPPORTED, "%s: only OpenCL devices have a peak",
				 d->info.name);
	struct peak *p = calloc(1, sizeof *p);
	if (!p)
		return error_set(err, SUMI_NOMEM, "no memory for the peak's launches");
	*out = p;
	const struct rate *r = &rates[d->precision];
	int chains = cl_device_of(d)->quirks.cpu_kernels ? r->chains : GPU_CHAINS;
	if (d->precision != PRECISION_EXACT)
		cl_dot_options(cl_device_of(d),
			       d->precision == PRECISION_INT8 ? CL_FOURS : CL_PAIRS, dot);
	snprintf(options, sizeof options, "-D CHAINS=%d -D ACT=f32 -D WEIGHT=f32%s", chains, dot);
	p->device = d;
	int status = device_buffer_new(d, COPY_VECTORS * 32, &p->x, err);
	if (!status)
		status = device_buffer_new(d, COPY_VECTORS * 32, &p->y, err);
	if (!status)
		status = cl_kernel_get(cl_device_of(d), r->files, r->kernel, options,
				       &p->fma.kernel, err);
	if (!status)
		status = cl_kernel_get(cl_device_of(d), "peak.cl", "peak_copy", options,
				       &p->copy.kernel, err);
	if (status)
		return status;
	plan_launches(p, chains);
	double first; /* the buffers' pages come with their first use */
	return peak_gbytes(p, 0, &first, err);
}

void peak_close(struct peak *p)
{
	if (!p)
		return;
	device_buffer_free(p->device, p->y);
	device_buffer_free(p->device, p->x);
	cl_pool_trim(cl_device_of(p->device));
	free(p);
}

int peak_gflops(struct peak *p, double seconds, double *rate, struct error *err)
{
	struct meter_time best;
	int status = meter_best(p->device, run_launch, &p->fma, false, seconds, &best, err);
	*rate = status ? 0 : p->flops / best.busy * 1e-9;
	return status;
}

int peak_gbytes(struct peak *p, double seconds, double *rate, struct error *err)
{
	struct meter_time best;
	int status = meter_best(p->device, run_launch, &p->copy, false, seconds, &best, err);
	*rate = status ? 0 : 64.0 * (double)COPY_VECTORS / best.busy * 1e-9;
	return status;
}
