/* Kernel launches, and OpenCL's error codes as words. */
#include "backends/opencl/cache.h"
#include "backends/opencl/internal.h"

/* clang-format off */
#define CL_CODES(X)                                                                                \
	X(CL_DEVICE_NOT_FOUND) X(CL_DEVICE_NOT_AVAILABLE) X(CL_COMPILER_NOT_AVAILABLE)             \
	X(CL_MEM_OBJECT_ALLOCATION_FAILURE) X(CL_OUT_OF_RESOURCES) X(CL_OUT_OF_HOST_MEMORY)        \
	X(CL_PROFILING_INFO_NOT_AVAILABLE) X(CL_MEM_COPY_OVERLAP) X(CL_BUILD_PROGRAM_FAILURE)      \
	X(CL_MAP_FAILURE) X(CL_MISALIGNED_SUB_BUFFER_OFFSET)                                       \
	X(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST) X(CL_COMPILE_PROGRAM_FAILURE)              \
	X(CL_LINKER_NOT_AVAILABLE) X(CL_LINK_PROGRAM_FAILURE) X(CL_INVALID_VALUE)                  \
	X(CL_INVALID_DEVICE_TYPE) X(CL_INVALID_PLATFORM) X(CL_INVALID_DEVICE)                      \
	X(CL_INVALID_CONTEXT) X(CL_INVALID_QUEUE_PROPERTIES) X(CL_INVALID_COMMAND_QUEUE)           \
	X(CL_INVALID_HOST_PTR) X(CL_INVALID_MEM_OBJECT) X(CL_INVALID_BINARY)                       \
	X(CL_INVALID_BUILD_OPTIONS) X(CL_INVALID_PROGRAM) X(CL_INVALID_PROGRAM_EXECUTABLE)         \
	X(CL_INVALID_KERNEL_NAME) X(CL_INVALID_KERNEL_DEFINITION) X(CL_INVALID_KERNEL)             \
	X(CL_INVALID_ARG_INDEX) X(CL_INVALID_ARG_VALUE) X(CL_INVALID_ARG_SIZE)                     \
	X(CL_INVALID_KERNEL_ARGS) X(CL_INVALID_WORK_DIMENSION) X(CL_INVALID_WORK_GROUP_SIZE)       \
	X(CL_INVALID_WORK_ITEM_SIZE) X(CL_INVALID_GLOBAL_OFFSET) X(CL_INVALID_EVENT_WAIT_LIST)     \
	X(CL_INVALID_EVENT) X(CL_INVALID_OPERATION) X(CL_INVALID_BUFFER_SIZE)                      \
	X(CL_INVALID_GLOBAL_WORK_SIZE) X(CL_INVALID_PROPERTY) X(CL_INVALID_COMPILER_OPTIONS)       \
	X(CL_INVALID_LINKER_OPTIONS)
/* clang-format on */

const char *cl_error_name(cl_int code)
{
	switch (code) {
#define X(name)                                                                                    \
	case name:                                                                                 \
		return #name;
		CL_CODES(X)
#undef X
	case -1001: /* cl_khr_icd: not in cl.h */
		return "CL_PLATFORM_NOT_FOUND_KHR";
	case -9999: /* NVIDIA's driver after a fault inside a kernel */
		return "CL_NVIDIA_ILLEGAL_MEMORY_ACCESS";
	default:
		return "an OpenCL error without a name";
	}
}

int cl_fail(struct error *err, const char *call, const char *what, cl_int code)
{
	bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY;
	return error_set(err, memory ? SUMI_NOMEM : SUMI_DEVICE, "%s(%s): %s", call, what,
			 cl_error_name(code));
}

static int fail_kernel(struct error *err, const char *call, cl_kernel kernel, cl_int code)
{
	char name[64] = "?";
	clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
	return cl_fail(err, call, name, code);
}

int cl_kernel_items(const struct cl_device *d, cl_kernel kernel, size_t *items, struct error *err)
{
	size_t sizes[3] = {0};
	cl_int code = clGetKernelWorkGroupInfo(kernel, d->id, CL_KERNEL_COMPILE_WORK_GROUP_SIZE,
					       sizeof sizes, sizes, NULL);
	*items = sizes[0] * sizes[1] * sizes[2];
	return code ? fail_kernel(err, "clGetKernelWorkGroupInfo", kernel, code) : SUMI_OK;
}

/* Whether this kernel has not run in these sizes before: then a driver may compile or load it only
 * now. A full table says no: there are a few hundred in practice. */
static bool is_first(struct cl_device *d, cl_kernel kernel, const struct cl_range *range)
{
	uint64_t key = (uint64_t)(uintptr_t)kernel;
	for (int i = 0; i < range->dims; i++)
		key = (key ^ range->global[i]) * 0x9E3779B97F4A7C15u ^ range->local[i] ^ key >> 29;
	key += !key;
	for (size_t i = 0; i < CL_LAUNCHES; i++) {
		uint64_t *slot = &d->launched[(key + i) % CL_LAUNCHES];
		if (*slot == key)
			return false;
		if (*slot == 0) {
			*slot = key;
			return true;
		}
	}
	return false;
}

int cl_launch(struct cl_device *d, cl_kernel kernel, const struct cl_range *range,
	      const struct cl_arg *args, int count, struct error *err)
{
	for (int i = 0; i < range->dims; i++)
		if (range->global[i] == 0)
			return SUMI_OK;
	for (int i = 0; i < count; i++) {
		cl_int code = clSetKernelArg(kernel, (cl_uint)i, args[i].size,
					     args[i].local ? NULL : (const void *)&args[i].v);
		if (code) {
			int status = fail_kernel(err, "clSetKernelArg", kernel, code);
			return status ? error_prefix(err, "argument %d", i) : status;
		}
	}
	if (is_first(d, kernel, range))
		cl_cache_enter();
	cl_event event = NULL;
	cl_int code =
	    clEnqueueNDRangeKernel(d->queue, kernel, (cl_uint)range->dims, NULL, range->global,
				   range->local[0] ? range->local : NULL, 0, NULL, cl_mark_due(d->marks) ? &event : NULL);
	if (!code && event)
		cl_mark(d->marks, event);
	return code ? fail_kernel(err, "clEnqueueNDRangeKernel", kernel, code) : SUMI_OK;
}
