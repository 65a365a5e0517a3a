/* Reference: everything that is not a matrix product. */
#include <math.h>
#include <stdlib.h>

#include "backends/reference/internal.h"

/* Mean and 1/√(variance + ε) of a block of `height` rows, ld apart, `width` wide. */
static void moments(const float *x, size_t height, size_t width, size_t ld, float epsilon,
		    double *mean, double *scale)
{
	double sum = 0, squares = 0, count = (double)(height * width);
	for (size_t r = 0; r < height; r++)
		for (size_t i = 0; i < width; i++)
			sum += (double)x[r * ld + i];
	*mean = sum / count;
	for (size_t r = 0; r < height; r++)
		for (size_t i = 0; i < width; i++) {
			double apart = (double)x[r * ld + i] - *mean;
			squares += apart * apart;
		}
	*scale = 1 / sqrt(squares / count + (double)epsilon);
}

/* Scale and offset of each channel of picture n, as float64: [2, c]. */
static void measure(const struct group_norm_args *a, const float *x, double *factors)
{
	const float *gamma = reference_vector(a->gamma), *beta = reference_vector(a->beta);
	size_t c = (size_t)a->x.c, wide = c / (size_t)a->groups;
	size_t pixels = a->x.rows / (size_t)a->grid.n;
	for (size_t i = 0; i < c; i += wide) {
		double mean, scale;
		moments(x + i, pixels, wide, c, a->epsilon, &mean, &scale);
		for (size_t k = i; k < i + wide; k++) {
			factors[k] = (double)gamma[k] * scale;
			factors[c + k] = (double)beta[k] - mean * factors[k];
		}
	}
}

int reference_group_norm(struct device *d, const struct group_norm_args *a, struct error *err)
{
	(void)d;
	float *x = NULL;
	double *row = NULL, *factors = NULL;
	float *given = a->factors ? (float *)reference_vector(a->factors) : NULL;
	size_t c = (size_t)a->x.c, pixels = a->x.rows / (size_t)a->grid.n;
	int status = reference_unpack(&a->x, &x, err);
	if (!status)
		status = reference_array(c, &row, err);
	if (!status)
		status = reference_array(2 * c, &factors, err);
	for (size_t n = 0; !status && n < (size_t)a->grid.n; n++) {
		if (a->half == NORM_APPLY)
			for (size_t i = 0; i < 2 * c; i++)
				factors[i] = (double)given[n * 2 * c + i];
		else
			measure(a, x + n * pixels * c, factors);
		if (a->half == NORM_MEASURE)
			for (size_t i = 0; i < 2 * c; i++)
				given[n * 2 * c + i] = (float)factors[i];
		for (size_t p = n * pixels; a->half != NORM_MEASURE && p < (n + 1) * pixels; p++) {
			for (size_t i = 0; i < c; i++)
				row[i] = reference_activate(a->act, (double)x[p * c + i] * factors[i] +
									factors[c + i]);
			reference_store(&a->y, p, row);
		}
	}
	free(factors);
	free(row);
	free(x);
	return status;
}

int reference_layer_norm(struct device *d, const struct layer_norm_args *a, struct error *err)
{
	(void)d;
	float *x = NULL;
	double *row = NULL;
	const float *gamma = reference_vector(a->gamma), *beta = reference_vector(a->beta);
	size_t c = (size_t)a->y.c;
	int status = reference_unpack(&a->x, &x, err);
	if (!status)
		status = reference_array(c, &row, err);
	for (size_t r = 0; !status && r < a->y.rows; r++) {
		double mean, scale;
		moments(x + r * c, 1, c, c, a->epsilon, &mean, &scale);
		for (size_t i = 0; i < c; i++)
			row[i] = ((double)x[r * c + i] - mean) * scale * (double)gamma[i] +
				 (double)beta[i];
		reference_store(&a->y, r, row);
	}
	free(row);
	free(x);
	return status;
}

int reference_axpby(struct device *d, const struct axpby_args *a, struct error *err)
{
	(void)d;
	float *x = NULL, *b = NULL;
	double *row = NULL;
	size_t c = (size_t)a->y.c;
	int status = reference_unpack(&a->a, &x, err);
	if (!status && a->b.buffer)
		status = reference_unpack(&a->b, &b, err);
	if (!status)
		status = reference_array(c, &row, err);
	const float *gain = a->gain ? reference_vector(a->gain) : NULL;
	for (size_t r = 0; !status && r < a->y.rows; r++) {
		double factor = (double)a->beta * (gain ? (double)gain[r % (size_t)a->gains] : 1);
		for (size_t i = 0; i < c; i++) {
			double value = (double)a->alpha * (double)x[r * c + i];
			if (b)
				value += factor * (double)b[r * c + i];
			double own = (double)a->alpha * (double)x[r * c + i];
			row[i] = a->act == ACT_GATE ? value * (1 / (1 + exp(-own)) - 0.5)
						    : reference_activate(a->act, value);
		}
		reference_store(&a->y, r, row);
	}
	free(row);
	free(b);
	free(x);
	return status;
}

int reference_embedding(struct device *d, const struct embedding_args *a, struct error *err)
{
	(void)d;
	double *row = NULL;
	size_t c = (size_t)a->y.c, tokens = a->y.rows / (size_t)a->n;
	int status = reference_array(c, &row, err);
	for (size_t r = 0; !status && r < a->y.rows; r++) {
		for (size_t i = 0; i < c; i++) {
			row[i] = (double)a->table->data[(size_t)a->ids[r] * c + i];
			if (a->position)
				row[i] += (double)a->position->data[r % tokens * c + i];
		}
		reference_store(&a->y, r, row);
	}
	free(row);
	return status;
}

int reference_timestep(struct device *d, const struct timestep_args *a, struct error *err)
{
	(void)d;
	double *row = NULL;
	int half = a->y.c / 2, status = reference_array((size_t)a->y.c, &row, err);
	for (size_t n = 0; !status && n < a->y.rows; n++) {
		for (int i = 0; i < half; i++) {
			double exponent = -log(10000) * i / ((double)half - (double)a->freq_shift);
			double angle = (double)a->timesteps[n] * exp(exponent);
			row[a->flip_sin_to_cos ? half + i : i] = sin(angle);
			row[a->flip_sin_to_cos ? i : half + i] = cos(angle);
		}
		reference_store(&a->y, n, row);
	}
	free(row);
	return status;
}

int reference_permute(struct device *d, const struct permute_args *a, struct error *err)
{
	(void)d;
	float *x = NULL;
	double *row = NULL;
	size_t c = (size_t)a->y.c, high = (size_t)a->grid.d;
	size_t wide = (size_t)a->grid.h * (size_t)a->grid.w;
	int status = reference_unpack(&a->x, &x, err);
	if (!status)
		status = reference_array(c, &row, err);
	for (size_t r = 0; !status && r < a->x.rows; r++) {
		size_t block = r / (high * wide), i = r / wide % high, j = r % wide;
		for (size_t k = 0; k < c; k++)
			row[k] = (double)x[r * c + k];
		reference_store(&a->y, block * high * wide + j * high + i, row);
	}
	free(row);
	free(x);
	return status;
}
