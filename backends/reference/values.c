/* What all operations need: tensors moved to dense arrays and back, activations. */
#include <math.h>
#include <stdlib.h>

#include "backends/reference/internal.h"
#include "base/half.h"

int reference_array(size_t count, double **out, struct error *err)
{
	*out = calloc(count, sizeof **out);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for %zu doubles", count);
}

int reference_unpack(const struct tensor *t, float **out, struct error *err)
{
	size_t rows = t->rows, c = (size_t)t->c;
	*out = calloc(rows * c, sizeof **out);
	if (!*out)
		return error_set(err, SUMI_NOMEM, "no memory for %zu floats", rows * c);
	size_t unit = dtype_size(t->dtype);
	for (size_t r = 0; r < rows; r++)
		format_expand(t->dtype, t->buffer->data + (t->offset + r * (size_t)t->ld) * unit, c,
			      *out + r * c);
	return SUMI_OK;
}

void reference_store(const struct tensor *t, size_t row, const double *values)
{
	size_t at = t->offset + row * (size_t)t->ld;
	void *data = t->buffer->data;
	for (int i = 0; i < t->c; i++) {
		float value = (float)values[i];
		if (t->dtype == DTYPE_F32)
			((float *)data)[at + (size_t)i] = value;
		else
			((uint16_t *)data)[at + (size_t)i] = half_from_float(value);
	}
}

double reference_activate(enum activation act, double x)
{
	switch (act) {
	case ACT_SILU:
		return x / (1 + exp(-x));
	case ACT_GELU:
	case ACT_GEGLU: /* of the gate */
		return 0.5 * x * (1 + erf(x * 0.70710678118654752440));
	case ACT_QUICK_GELU:
		return x / (1 + exp(-1.702 * x));
	case ACT_RELU:
		return x > 0 ? x : 0;
	case ACT_TANH3:
		return 3 * tanh(x / 3);
	case ACT_NONE:
	case ACT_PRELU: /* where the slopes are */
	case ACT_GATE:  /* where both numbers are */
		break;
	}
	return x;
}
