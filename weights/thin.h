/* Low-rank differences beside the weights of a layer, as two thin products: y = x·Wᵀ + (x·D)·U. The
 * weights stay what they are, shared and mapped; what lies on them comes and goes without them.
 *
 * A set of weights that adapts has a place for them beside each of its matrices; a layer points to its
 * own. Layers made of several stacked ones share the first product, and have a second for each. */
#ifndef SUMI_WEIGHTS_THIN_H
#define SUMI_WEIGHTS_THIN_H

#include "backends/backend.h"
#include "weights/overlay.h"

/* Rows of a layer that are one tensor of the files. */
struct thin_part {
	char name[WEIGHT_NAME_MAX]; /* of the tensor */
	int first, cout;            /* channels of the layer's output */
	int first_rank, ranks;      /* 0: nothing lies on it */
	struct weight *up;          /* [cout, ranks] */
	int pairs;                  /* of those that lie on it */
};

struct thin {
	int cin, kernel;
	int ranks;           /* of all parts together, filled up; 0: nothing lies on it */
	struct weight *down; /* [ranks, cin(, kernel, kernel)], rows scaled by what they count */
	struct adapter_pair *pairs; /* owned: those of all parts, one part's after the other's; what they
				       borrow is not looked at */
	int count;
	struct thin_part parts[];
};

/* The places of a set of weights. All-zero: none. */
struct thin_set {
	struct thin **at; /* owned, as are they */
	size_t count;
};

/* A place for count parts whose names and channels the caller fills in; NULL: no memory. */
struct thin *thin_new(struct thin_set *set, int count);

/* Lets lie on the set's layers what `on` says of the part whose weights are at path, instead of what
 * lay there before; on->count 0: nothing. All of it must be pairs (weights_pairs()). Where on->same says so,
 * a layer on which the same lies at other weights has those changed alone. After a failure nothing lies there. */
int thin_put(struct thin_set *set, struct device *device, const char *path,
	     const struct overlays *on, struct error *err);

/* Takes away what lies there, and the places too. */
void thin_set_clear(struct thin_set *set, struct device *device);

#endif
