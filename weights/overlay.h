/* Adapters on the weights of a part of a model. */
#ifndef SUMI_WEIGHTS_OVERLAY_H
#define SUMI_WEIGHTS_OVERLAY_H

#include "weights/adapter.h"
#include "weights/weights.h"

enum { OVERLAYS_MAX = 16 };

/* How much of an adapter has a place. */
struct adapter_fit {
	size_t modules;               /* of the parts that were asked for */
	size_t fit;                   /* of these, those that change a tensor */
	char first[ADAPTER_NAME_MAX]; /* the first that has none; or empty */
};

/* From now on tensors are read as the adapter's modules for those parts (enum adapter_part) change
 * them, after those of earlier calls. a is borrowed until w is closed. Adds to *fit. SUMI_INVALID for
 * a module that has a place whose shape is another. */
int weights_adapt(struct weights *w, const struct adapter *a, unsigned parts,
		  const struct adapter_weight *weight, struct adapter_fit *fit, struct error *err);

/* What lies on a tensor as pairs of thin products, those that count for nothing left out: how many,
 * or −1 where something is none, or the tensor is a table whose rows are looked up. */
int weights_pairs(const struct weight_tensor *tensor, struct adapter_pair out[OVERLAYS_MAX]);

/* Whether all that lies on w is such pairs; adds their numbers, and those of the tensors that they
 * lie on. */
bool weights_are_pairs(const struct weights *w, uint64_t *own, uint64_t *base);

/* What lies on one part, and where its packed weights are kept. */
struct overlays {
	struct {
		const struct adapter *adapter; /* borrowed */
		struct adapter_weight weight;
	} rows[OVERLAYS_MAX];
	int count;
	unsigned parts; /* enum adapter_part: what the part is */
	bool thin;      /* they stay beside the weights (weights/thin.h), which are opened without them */
	bool same;      /* thin: what lies there is of these very adapters, at whatever weights */
	struct packed_store *store; /* borrowed; NULL: nowhere */
};

/* weights_open(), weights_keep() and, unless they stay beside, weights_adapt() of each; on: NULL for
 * none of it. */
int weights_open_with(const char *path, const struct overlays *on, struct weights **out,
		      struct error *err);

#endif
