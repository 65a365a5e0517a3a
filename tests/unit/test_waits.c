/* No operation waits for the device: of the calls that block, only the harness's own read of
 * the result comes after the first launch. The calls are counted on their way to the OpenCL
 * loader, in its place. */
#define _GNU_SOURCE
#include <CL/cl.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/ops_harness.h"

static int launches, waits; /* waits: since the first launch */

static void count_wait(cl_bool blocking)
{
	if (blocking && launches)
		waits++;
}

/* The loader's function that one of the following stands in front of. */
#define LOADER(name) __typeof__(&name) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

cl_int clFinish(cl_command_queue queue)
{
	LOADER(clFinish);
	count_wait(CL_TRUE);
	return next(queue);
}

cl_int clWaitForEvents(cl_uint count, const cl_event *events)
{
	LOADER(clWaitForEvents);
	count_wait(CL_TRUE);
	return next(count, events);
}

cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset,
			   size_t size, void *to, cl_uint count, const cl_event *events,
			   cl_event *event)
{
	LOADER(clEnqueueReadBuffer);
	count_wait(blocking);
	return next(queue, mem, blocking, offset, size, to, count, events, event);
}

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, size_t offset,
			    size_t size, const void *from, cl_uint count, const cl_event *events,
			    cl_event *event)
{
	LOADER(clEnqueueWriteBuffer);
	count_wait(blocking);
	return next(queue, mem, blocking, offset, size, from, count, events, event);
}

void *clEnqueueMapBuffer(cl_command_queue queue, cl_mem mem, cl_bool blocking, cl_map_flags flags,
			 size_t offset, size_t size, cl_uint count, const cl_event *events,
			 cl_event *event, cl_int *code)
{
	LOADER(clEnqueueMapBuffer);
	count_wait(blocking);
	return next(queue, mem, blocking, flags, offset, size, count, events, event, code);
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dims,
			      const size_t *offset, const size_t *global, const size_t *local,
			      cl_uint count, const cl_event *events, cl_event *event)
{
	LOADER(clEnqueueNDRangeKernel);
	launches++;
	return next(queue, kernel, dims, offset, global, local, count, events, event);
}

/* Runs the first small case of every operation on kernels of this shape. */
static void check_kernels(const char *kernels)
{
	const struct ops_variant variant = {.dtype = DTYPE_F16};
	struct device *d = NULL;
	struct error err;
	setenv("SUMI_KERNELS", kernels, 1);
	if (device_open("opencl:0", &d, &err) != SUMI_OK)
		skip(); /* no OpenCL device here */
	for (int k = 0; k < OPS_KINDS; k++) {
		const struct ops_table *table = &ops_tables[k];
		struct ops_result result;
		int i = 0;
		while (!(table->cases[i].flags & OPS_SMALL))
			i++;
		launches = waits = 0;
		if (ops_run((enum ops_kind)k, &table->cases[i], &variant, d, &result, &err))
			fail_msg("%s: %s", table->name, err.text);
		ops_result_free(&result);
		if (launches == 0 || waits != 1)
			fail_msg("%s %s: %d launches, %d waits instead of the read alone",
				 table->name, kernels, launches, waits);
	}
	device_close(d);
}

static void test_gpu_kernels_do_not_wait(void **state)
{
	(void)state;
	check_kernels("gpu");
}

static void test_winograd_does_not_wait(void **state)
{
	(void)state;
	check_kernels("gpu-winograd");
}

static void test_cpu_kernels_do_not_wait(void **state)
{
	(void)state;
	check_kernels("cpu");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gpu_kernels_do_not_wait),
	    cmocka_unit_test(test_winograd_does_not_wait),
	    cmocka_unit_test(test_cpu_kernels_do_not_wait),
	};
	char cache[256];
	const char *build = getenv("BUILD");
	snprintf(cache, sizeof cache, "%.200s/test-cache", build ? build : "build");
	setenv("SUMI_CACHE_DIR", cache, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
