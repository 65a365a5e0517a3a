/* What jobs start from, on this host: files that came with a job, and results that later ones were
 * made from. Each is kept for as long as the metadata of an artifact in the store name it in a parameter
 * for files (init), so that the artifact can be made again. */
#ifndef SUMI_STORAGE_BLOBS_H
#define SUMI_STORAGE_BLOBS_H

#include "request/result_name.h"
#include "storage/storage.h"

/* Where a file with these bytes lies here, a blob or an artifact; its bytes have been looked at.
 * SUMI_NOTFOUND. */
int store_blob_find(struct store *s, const char *sha256, char path[FILES_PATH_MAX],
		    struct error *err);

/* Keeps bytes whose SHA-256 this is: written, synced, renamed, as artifacts are. Repeating it is
 * harmless, and makes the blob young for store_collect(). SUMI_FULL. */
int store_blob_put(struct store *s, const char *sha256, const void *data, size_t size,
		   char path[FILES_PATH_MAX], struct error *err);

/* A result by the id of its job (the first of it), by ID-2 (its second variant) or ID-2-frame-3, as
 * its file is called. Only what is visible. SUMI_NOTFOUND; the caller frees *a with
 * store_artifact_free(). */
int store_result_find(struct store *s, const char *name, struct store_artifact *a,
		      struct error *err);

/* Whether either of them finds something: name is a SHA-256 or that of a result. */
int store_has(struct store *s, const char *name, bool *there, struct error *err);

#endif
