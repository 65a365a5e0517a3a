/* Comparing an operation's output with the oracle's. The tolerances stand here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "tests/unit/ops_harness.h"

struct tolerance {
	double nmse; /* Σ(got − want)² / Σ want² */
	double most; /* largest |got − want|, in units of want's root mean square */
};

/* float32: rounding of sums, F(4×4) Winograd's loss of about one digit, and the drivers'
 * exp, erf and sin. float16: the output's own rounding (2⁻¹² of the value), and for matrix
 * instructions that of f32 and bf16 weights, and of softmax's, to f16 as well (where there is
 * one output, both together are up to 2⁻¹⁰ of it; a value of six times the root mean square
 * may round to its other neighbour). 0: the bytes. */
static const struct tolerance tolerances[OPS_KINDS][2] = {
    /*                   float32          float16 */
    [OPS_CONV2D] = {{1e-10, 2e-4}, {1e-6, 6e-3}},
    [OPS_LINEAR] = {{1e-11, 5e-5}, {1e-6, 6e-3}},
    [OPS_ATTENTION] = {{1e-11, 5e-5}, {2e-7, 6e-3}},
    [OPS_GROUP_NORM] = {{1e-11, 5e-5}, {2e-7, 4e-3}},
    [OPS_LAYER_NORM] = {{1e-11, 5e-5}, {2e-7, 4e-3}},
    [OPS_AXPBY] = {{1e-13, 5e-6}, {2e-7, 4e-3}},
    [OPS_EMBEDDING] = {{0, 0}, {0, 0}},
    [OPS_TIMESTEP] = {{1e-9, 2e-4}, {2e-7, 1e-3}},
    [OPS_PERMUTE] = {{0, 0}, {0, 0}},
};

/* Products of bfloat16: both factors are rounded to 2⁻⁹ of themselves, which makes 2e-3 of the
 * result's root mean square, and 1e-2 at the worst of some thousands. A score of 5 that is 2e-3
 * off moves its key's weight by 1e-2. Winograd's transforms enlarge it to five times a direct
 * product's. nmse 0: operations that never round so. */
static const struct tolerance half[OPS_KINDS] = {
    [OPS_CONV2D] = {3e-4, 1e-1},
    [OPS_LINEAR] = {2e-5, 4e-2},
    [OPS_ATTENTION] = {2e-5, 6e-2},
};

/* Whole numbers of eight bits: with x rounded likewise there remain those of x that stand between two
 * of them, one in some thousands; without (f16), rounding makes up to 1e-2 of the root mean square. */
static const struct tolerance eight[2] = {{2e-7, 1e-2}, {1e-4, 8e-2}};

static double value_at(const struct ops_result *r, size_t i)
{
	if (r->y.dtype == DTYPE_F32) {
		float value;
		memcpy(&value, r->bytes + i * 4, 4);
		return (double)value;
	}
	uint16_t bits;
	memcpy(&bits, r->bytes + i * 2, 2);
	return (double)half_to_float(bits);
}

/* Every byte that is not y's must be what it was. */
static bool surroundings_kept(const struct ops_result *r, char *text, size_t size)
{
	const struct tensor *y = &r->y;
	size_t rows = y->rows, unit = dtype_size(y->dtype);
	size_t at = 0;
	for (size_t row = 0; row <= rows; row++) {
		size_t begin = (y->offset + row * (size_t)y->ld) * unit;
		size_t end = row < rows ? begin : r->size;
		for (; at < end; at++)
			if (r->bytes[at] != r->before[at]) {
				snprintf(text, size,
					 "wrote outside of y: byte %zu, before row %zu of %zu", at,
					 row, rows);
				return false;
			}
		at = begin + (size_t)y->c * unit;
	}
	return true;
}

bool ops_compare(enum ops_kind kind, enum precision precision, bool quantised,
		 const struct ops_result *got, const struct ops_result *want, char *text, size_t size)
{
	const struct tensor *y = &got->y;
	const struct tolerance *limit = &tolerances[kind][y->dtype == DTYPE_F32 ? 0 : 1];
	if (quantised)
		limit = &eight[y->dtype == DTYPE_F32 ? 0 : 1];
	else if (precision != PRECISION_EXACT && half[kind].nmse > 0)
		limit = &half[kind];
	double error = 0, energy = 0, most = 0;
	size_t worst = 0, rows = y->rows, c = (size_t)y->c;
	for (size_t i = 0; i < rows * c; i++) {
		size_t at = y->offset + i / c * (size_t)y->ld + i % c;
		double g = value_at(got, at), w = value_at(want, at), apart = fabs(g - w);
		if (!isfinite(g) || !isfinite(w)) {
			snprintf(text, size, "row %zu channel %zu is %g, should be %g", i / c,
				 i % c, g, w);
			return false;
		}
		error += apart * apart;
		energy += w * w;
		if (apart > most) {
			most = apart;
			worst = i;
		}
	}
	double rms = sqrt(energy / (double)(rows * c));
	if (error > limit->nmse * energy || most > limit->most * rms) {
		size_t at = y->offset + worst / c * (size_t)y->ld + worst % c;
		snprintf(text, size,
			 "NMSE %.2g (limit %.2g), worst %.2g of rms %.3g (limit %.2g) at row %zu "
			 "channel %zu: %.9g, should be %.9g",
			 energy > 0 ? error / energy : INFINITY, limit->nmse,
			 rms > 0 ? most / rms : INFINITY, rms, limit->most, worst / c, worst % c,
			 value_at(got, at), value_at(want, at));
		return false;
	}
	return surroundings_kept(got, text, size);
}

void ops_result_free(struct ops_result *r)
{
	free(r->bytes);
	free(r->before);
	*r = (struct ops_result){0};
}

void ops_describe(const struct ops_case *c, const struct ops_variant *v, char *out, size_t size)
{
	snprintf(
	    out, size,
	    "[%d,%d,%d] %d->%d kernel %d stride %d heads %d keys %d groups %d d %d act %d weight "
	    "%s flags %#x, activations %s%s",
	    c->n, c->h, c->w, c->cin, c->cout ? c->cout : c->cin, c->kernel, c->stride, c->heads,
	    c->keys, c->groups, c->d, (int)c->act, format_info(c->weight)->name, c->flags,
	    format_info(v->dtype)->name,
	    v->slices ? ", slices" : "");
}
