/* The arguments that kernels of matrix products share. */
#include <string.h>

#include "backends/opencl/matrix.h"

static struct cl_arg arg_int8(const int v[8])
{
	struct cl_arg arg = {.size = sizeof(cl_int8)};
	memcpy(&arg.v, v, sizeof(cl_int8));
	return arg;
}

static void find_geometry(const struct gemm_job *job, int geometry[8])
{
	const struct grid *in = &job->in;
	const int values[8] = {job->side, job->stride,      job->padding,     job->up,
			       in->w,     in->h << job->up, in->w << job->up, job->out.w};
	memcpy(geometry, values, sizeof values);
}

struct cl_arg *gemm_tail(const struct gemm_job *job, struct cl_arg *args)
{
	const struct tensor tensors[] = {job->add, job->residual, job->y};
	*args++ = arg_buffer(job->weight->scales);
	*args++ = arg_buffer(job->bias);
	*args++ = arg_int(job->act);
	for (int i = 0; i < CL_COUNT(tensors); i++) {
		*args++ = arg_buffer(tensors[i].buffer);
		*args++ = arg_ulong(tensors[i].offset);
		*args++ = arg_int(tensors[i].ld);
	}
	return args;
}

struct cl_arg *gemm_row_tail(const struct gemm_job *job, struct cl_arg *args)
{
	args = gemm_tail(job, args);
	*args++ = arg_int(job->add_row);
	return args;
}

struct cl_arg *gemm_head(const struct gemm_job *job, struct cl_arg *args)
{
	const struct tensor *x = &job->x;
	int geometry[8];
	find_geometry(job, geometry);
	*args++ = arg_buffer(x->buffer);
	*args++ = arg_ulong(x->offset);
	*args++ = arg_int(x->ld);
	*args++ = arg_ulong((size_t)job->in.h * (size_t)job->in.w * (size_t)x->ld);
	*args++ = arg_int8(geometry);
	*args++ = arg_int(job->out.h * job->out.w);
	return args;
}
