/* Kernels of matrix products for CPUs, built for a dtype, a format and the device's way to multiply. */
#include <stdio.h>
#include <string.h>

#include "backends/opencl/matrix.h"

static int kernel_with(struct cl_device *d, const char *files, const char *name, enum dtype act,
		       enum dtype weight, const char *more, cl_kernel *kernel, struct error *err)
{
	char options[64 + CL_DOT_OPTIONS], dot[CL_DOT_OPTIONS] = "";
	if (strstr(files, "dot_cpu.cl"))
		cl_dot_options(d, CL_PAIRS, dot);
	else if (strstr(files, "dot4_cpu.cl"))
		cl_dot_options(d, CL_FOURS, dot);
	snprintf(options, sizeof options, "-D ACT=%s%s%s", cl_dtype_word(act), dot, more);
	struct format_kernel k = {.files = files,
				  .name = name,
				  .options = options,
				  .formats = {{"WEIGHT", weight}},
				  .wide = d->quirks.lanes,
				  .columns = matrix_panel(d)};
	return cl_format_kernel(d, &k, kernel, err);
}

int matrix_kernel(struct cl_device *d, const char *files, const char *name, enum dtype act,
		  enum dtype weight, cl_kernel *kernel, struct error *err)
{
	return kernel_with(d, files, name, act, weight, "", kernel, err);
}

/* Of those that are there, which all have one. */
static enum dtype up_format(const struct linear_beside *b)
{
	int i = 0;
	while (i < b->count - 1 && !b->parts[i].up)
		i++;
	return b->parts[i].up->head.dtype;
}

int matrix_kernel_of(struct cl_device *d, const char *files, const char *name, const struct gemm_job *job,
		     cl_kernel *kernel, struct error *err)
{
	char more[32] = "";
	if (job->beside)
		snprintf(more, sizeof more, " -D UP=%s", cl_dtype_word(up_format(job->beside)));
	else if (job->weight->narrow)
		snprintf(more, sizeof more, " -D NARROW");
	return kernel_with(d, files, name, job->y.dtype, job->weight->head.dtype, more, kernel, err);
}
