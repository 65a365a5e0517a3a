/* Packed weights kept on disk: what a device made of a component's weights is written to one
 * file and mapped the next time, instead of being made again. Where the device's memory is the
 * host's, the weights are used in the mapping: processes that run the same model share the
 * pages, and the system may drop and read them again.
 *
 * A file is named after the SHA-256 of everything that its bytes depend on: the device's layout
 * and the identity of each weight file (inode, size, times of change, header, samples of the
 * content). It is written beside its place and renamed. All that is read from it is checked
 * first, each weight against a sum over its bytes; what fails is removed and packed anew. No
 * failure in here fails a load.
 *
 * Layout, little-endian: a page with "sumipack", u32 version, key, u64 sizes of file and table,
 * u64 count, SHA-256 of table and of the header before it; each weight at a multiple of 4096
 * with at least WEIGHT_PACKED_SLACK bytes behind it; the table: for each weight u32 length of
 * name, name, u32 dtype, cout, cin, kernel, flags, u64 offset, size, sum. */
#ifndef SUMI_WEIGHTS_PACKED_H
#define SUMI_WEIGHTS_PACKED_H

#include <stdbool.h>
#include <stdint.h>

#include "backends/backend.h"
#include "base/files.h"
#include "weights/weights.h"

/* A folder in which they are kept: of whoever opens models, who passes it on to them. */
struct packed_store;

/* dir: where the files go; limit: how many bytes they may take together, the least recently used ones
 * make room. NULL or 0: *out is NULL, and nothing is kept. Installs the guard (weights/guard.h). The
 * caller closes it after all models. */
int packed_store_open(const char *dir, uint64_t limit, struct packed_store **out,
		      struct error *err);
void packed_store_close(struct packed_store *store); /* NULL is fine */

/* From how many bytes of weights on a load is lean: on a device whose memory is the host's, what was looked
 * through or written leaves the process until it is used. At first 1 GiB. */
void packed_store_lean(struct packed_store *store, uint64_t bytes);

/* What lies there. */
struct packed_usage {
	char dir[FILES_PATH_MAX];
	uint64_t limit, bytes;
	int files;
};

/* SUMI_NOTFOUND for NULL: nothing is kept. */
int packed_usage(const struct packed_store *store, struct packed_usage *out, struct error *err);

struct packed;

/* The packed form of one load: of all weights that are taken from files for `part` ("encoder"
 * of a VAE, or ""), in the store that they name (weights_keep()), which is borrowed until
 * packed_complete(). NULL: nothing is kept for it. Given back with packed_free(). */
struct packed *packed_open(struct device *device, const struct weights *files, const char *part);

/* Sets desc->packed to the kept bytes of the next weight and returns true, or returns false:
 * then the caller fills in desc->data and calls packed_add(). Weights are asked for in the order
 * in which they were added. */
bool packed_find(struct packed *p, const char *name, struct weight_desc *desc);

/* The next weight is not taken from here: those after it are asked for nevertheless. */
void packed_pass(struct packed *p, const char *name);

/* Packs desc->data into the file that is being written and sets desc->packed, if there is one. */
void packed_add(struct packed *p, const char *name, struct weight_desc *desc);

/* All weights were found or added: puts a file that was written to its place. */
void packed_complete(struct packed *p);

/* Whether p or one of those that hang on p->next need not be in memory all at once. NULL is fine. */
bool packed_is_lean(const struct packed *p);

/* Takes the mapped pages of p and of those that hang on p->next out of the process's resident
 * memory; they come back from the page cache when they are read again. NULL is fine. */
void packed_rest(const struct packed *p);

/* What is quantised is that for the room it takes: of what is lean and quantised one half leaves in passes that
 * are not long too. Whether there is any; and that half of p and of those that hang on p->next. */
bool packed_is_tight(const struct packed *p);
void packed_rest_partly(const struct packed *p);

/* Unmaps p and those that hang on p->next. NULL is fine. No weight may use it any more. */
void packed_free(struct packed *p);

/* Puts p before the list and returns p. */
struct packed *packed_link(struct packed *p, struct packed *list);

#endif
