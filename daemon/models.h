/* The packs that a worker keeps on its device between jobs: the least recently used one
 * leaves when memory is needed, any leaves after idle_unload. */
#ifndef SUMI_DAEMON_MODELS_H
#define SUMI_DAEMON_MODELS_H

#include "diffusion/catalogue.h"

struct models;

/* What weights may take of a device when the settings do not say: most of a GPU's memory, half
 * of a CPU's, which is everybody's. The rest is for the steps. */
uint64_t models_budget(const struct device_info *info);

/* device is borrowed. budget: bytes that weights may take; 0: no limit of ours. A pack that is
 * larger is loaded nevertheless, alone. */
int models_new(struct device *device, struct packed_store *store, uint64_t budget,
	       struct models **out, struct error *err);
void models_free(struct models *m); /* NULL is fine */

/* The pack of a folder with those adapters on it (NULL: none), loaded if it is not there yet, again if
 * stamp, what catalogue_stamp() and adapters_stamp() say of them now together, is another one. One that
 * is there with other adapters takes these in their place where it can (pack_adapt()). Borrowed until
 * the next call. */
struct adapter_list;
int models_get(struct models *m, const char *folder, const struct adapter_list *adapters,
	       uint64_t stamp, struct pack **pack, struct error *err);

/* Unloads what was last used before now_ms - idle_ms (monotonic milliseconds). */
void models_unload_idle(struct models *m, int64_t now_ms, int64_t idle_ms);

#endif
