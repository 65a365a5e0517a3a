/* Adapters on the weights of a part of a model. */
#ifndef SUMI_WEIGHTS_OVERLAY_H
#define SUMI_WEIGHTS_OVERLAY_H

#include "weights/adapter.h"
#include "weights/weights.h"

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

enum { OVERLAYS_MAX = 16 };

/* What lies on one part, and where its packed weights are kept. */
struct overlays {
	struct {
		const struct adapter *adapter; /* borrowed */
		struct adapter_weight weight;
	} rows[OVERLAYS_MAX];
	int count;
	unsigned parts; /* enum adapter_part: what the part is */
	struct packed_store *store; /* borrowed; NULL: nowhere */
};

/* weights_open(), weights_keep() and weights_adapt() of each; on: NULL for none of it. */
int weights_open_with(const char *path, const struct overlays *on, struct weights **out,
		      struct error *err);

#endif
