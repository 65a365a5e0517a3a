/* A run whose latents are wider than the model's window; see run_window.c. */
#ifndef SUMI_DIFFUSION_RUN_WINDOW_H
#define SUMI_DIFFUSION_RUN_WINDOW_H

#include "diffusion/run_internal.h"

/* SUMI_INVALID where window and overlap do not fit the run. */
int window_check(const struct pack_info *info, const struct run_params *p, struct error *err);

/* Sets run->window from the parameters; the run's own sizes must stand. */
int window_new(struct run *run, const struct run_params *p, struct error *err);
void window_free(struct window *win); /* what it points to, not win */

/* run->model_in [h, w, c] → run->model_out [h, w, c], guidance applied. */
int window_predict(struct run *run, int call, struct error *err);

/* latents [h, w, c] → out [h·scale, w·scale, 3], about −1 … 1. */
int window_decode(struct run *run, const float *latents, float *out, struct error *err);

/* picture [h·scale, w·scale, 3] → mean and deviation [h, w, c]. */
int window_encode(struct run *run, const float *picture, float *mean, float *deviation,
		  struct error *err);

#endif
