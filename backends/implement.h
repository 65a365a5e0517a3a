/* What every implementation of backend.h shares with the checked wrappers of device.c and
 * with nobody else: the first fields of its buffers and weights. */
#ifndef SUMI_BACKENDS_IMPLEMENT_H
#define SUMI_BACKENDS_IMPLEMENT_H

#include "backends/backend.h"

/* struct buffer of every implementation begins with this one. */
struct buffer_head {
	size_t bytes; /* as asked for */
};

/* struct weight of every implementation begins with this one; a copy of the desc's. */
struct weight_head {
	enum dtype dtype;
	int cout, cin, kernel;
	bool geglu, table;
};

/* One piece of work more is done, see device_done(). */
static inline void device_did(struct device *d)
{
	atomic_fetch_add_explicit(&d->pieces, 1, memory_order_relaxed);
}

static inline const struct buffer_head *buffer_head(const struct buffer *b)
{
	return (const struct buffer_head *)b;
}

static inline const struct weight_head *weight_head(const struct weight *w)
{
	return (const struct weight_head *)w;
}

#endif
