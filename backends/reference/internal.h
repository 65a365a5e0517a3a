/* What the files of the reference device share. */
#ifndef SUMI_BACKENDS_REFERENCE_INTERNAL_H
#define SUMI_BACKENDS_REFERENCE_INTERNAL_H

#include "backends/implement.h"

struct buffer {
	struct buffer_head head; /* first */
	unsigned char data[];
};

struct weight {
	struct weight_head head; /* first */
	float data[];            /* [cout, kernel, kernel, cin] */
};

/* The tensor as a new dense array [rows, c], which the caller frees. */
int reference_unpack(const struct tensor *t, float **out, struct error *err);

/* Writes c values as row of t, rounded to its dtype. */
void reference_store(const struct tensor *t, size_t row, const double *values);

/* A new array of count doubles, which the caller frees. */
int reference_array(size_t count, double **out, struct error *err);

double reference_activate(enum activation act, double x);

/* A vector of channels; NULL gives NULL. */
static inline const float *reference_vector(const struct buffer *b)
{
	return b ? (const float *)(const void *)b->data : NULL;
}

int reference_conv2d(struct device *d, const struct conv2d_args *a, struct error *err);
int reference_linear(struct device *d, const struct linear_args *a, struct error *err);
int reference_attention(struct device *d, const struct attention_args *a, struct error *err);
int reference_group_norm(struct device *d, const struct group_norm_args *a, struct error *err);
int reference_layer_norm(struct device *d, const struct layer_norm_args *a, struct error *err);
int reference_axpby(struct device *d, const struct axpby_args *a, struct error *err);
int reference_embedding(struct device *d, const struct embedding_args *a, struct error *err);
int reference_timestep(struct device *d, const struct timestep_args *a, struct error *err);
int reference_permute(struct device *d, const struct permute_args *a, struct error *err);

#endif
