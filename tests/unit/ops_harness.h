/* The harness of test_ops.c: one case of one operation, run on a device from the same
 * seeded data, and the comparison of its output with the oracle's. */
#ifndef SUMI_TESTS_UNIT_OPS_HARNESS_H
#define SUMI_TESTS_UNIT_OPS_HARNESS_H

#include "backends/backend.h"

enum ops_kind {
	OPS_CONV2D,
	OPS_LINEAR,
	OPS_ATTENTION,
	OPS_GROUP_NORM,
	OPS_LAYER_NORM,
	OPS_AXPBY,
	OPS_EMBEDDING,
	OPS_TIMESTEP,
	OPS_PERMUTE,
	OPS_KINDS
};

enum ops_flag {
	OPS_BIAS = 1,
	OPS_ADD = 2,      /* conv2d: a value per picture and channel; linear: the output's shape */
	OPS_RESIDUAL = 4, /* axpby: with b */
	OPS_IN_PLACE = 8, /* y is x; with OPS_RESIDUAL of matrix operations: y is the residual */
	OPS_UPSAMPLE = 16,
	OPS_PAD_END = 32,
	OPS_CAUSAL = 64,
	OPS_FAR_MEAN = 128, /* norms: a mean 50 times the deviation */
	OPS_BESIDE = 256,   /* axpby: a and y are slices of one concatenation */
	OPS_FLIP = 512,     /* timestep: cos first */
	OPS_SMALL = 1024,   /* also run under oclgrind */
	OPS_OTHER_B = 2048, /* axpby: a and b have the other dtype */
	OPS_SCALES = 8192,  /* matrix operations: rows of the weight have factors */
	OPS_GAIN = 16384,   /* axpby: rows of b have factors */
	OPS_FORMAT = 4096,  /* one of many formats of weights: with some kernels only, once */
};

/* Fields that an operation does not use are 0. */
struct ops_case {
	int n, d, h, w;  /* of x (q of attention); d 0: 1 */
	int cin, cout;   /* channels of x and y; cout 0: as cin */
	int kernel;      /* conv2d */
	int stride;      /* conv2d; 0: 1 */
	int heads, keys; /* attention; keys 0: as many as queries */
	int groups;      /* group_norm */
	enum activation act;
	enum dtype weight;
	unsigned flags;
};

/* What every case is repeated for. */
struct ops_variant {
	enum dtype dtype; /* of activations */
	bool slices;      /* every tensor at an odd offset with ld > c */
	int quantised;    /* x of a product is rounded to whole numbers times a factor of so many
			     neighbours, as int8 does; 0: it is not */
};

struct ops_result {
	unsigned char *bytes, *before; /* the output buffer after and before, malloc'ed */
	size_t size;
	struct tensor y; /* where in it the output lies */
};

struct ops_table {
	const char *name;
	const struct ops_case *cases;
	int count;
};

extern const struct ops_table ops_tables[OPS_KINDS];

/* The neighbours that int8 gives one factor where it multiplies whole numbers in that case; else 0. */
int ops_quantised(enum ops_kind kind, const struct ops_case *c);

/* Runs a case; the caller frees the result with ops_result_free(). */
int ops_run(enum ops_kind kind, const struct ops_case *c, const struct ops_variant *v,
	    struct device *d, struct ops_result *out, struct error *err);
void ops_result_free(struct ops_result *r);

/* One line that tells a case from the others of its table. */
void ops_describe(const struct ops_case *c, const struct ops_variant *v, char *out, size_t size);

/* Compares a result with the oracle's: values by the tolerance of the kind, precision and dtype,
 * everything outside of y by the byte. quantised: in whole numbers, of which x of the oracle's was too
 * where it is float32. false with the reason in text. */
bool ops_compare(enum ops_kind kind, enum precision precision, bool quantised,
		 const struct ops_result *got,
		 const struct ops_result *want, char *text, size_t size);

#endif
