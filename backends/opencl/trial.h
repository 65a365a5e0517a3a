/* Operands for the tuner's trials (tune.h): a trial_new each. */
#ifndef SUMI_BACKENDS_OPENCL_TRIAL_H
#define SUMI_BACKENDS_OPENCL_TRIAL_H

#include "backends/opencl/matrix.h"
#include "backends/opencl/tune.h"

/* The class of job's sizes, as if it had so many pictures. */
int gemm_class(const struct gemm_job *job, int pictures);

/* Jobs are struct gemm_job, a linear layer's and a 3×3 convolution's. */
int trial_gemm(struct cl_device *d, enum dtype dtype, int class, struct trial **out,
	       struct error *err);
int trial_conv(struct cl_device *d, enum dtype dtype, int class, struct trial **out,
	       struct error *err);

/* Jobs are struct attention_args, always f16. */
int trial_attention(struct cl_device *d, enum dtype dtype, int class, struct trial **out,
		    struct error *err);

#endif
