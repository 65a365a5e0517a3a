/* Files over HTTP: several at once, gone on with after a cut, checked before they have their name.
 *
 * A file is written beside its place as PATH.part; what is there of an earlier try is gone on with. It
 * gets its name when its size and hash are right, and not before. Proxies are those of the environment
 * (https_proxy, no_proxy). */
#ifndef SUMI_HUB_TRANSFER_H
#define SUMI_HUB_TRANSFER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/files.h"
#include "base/hash.h"
#include "base/status.h"

#define TRANSFER_URL_MAX 2048

struct transfer_file {
	char url[TRANSFER_URL_MAX];
	char path[FILES_PATH_MAX];    /* its place; the folder is made */
	uint64_t size;                /* 0: unknown */
	char sha256[SHA256_HEX_SIZE]; /* "": unknown */
	char git_sha1[41];            /* of a git blob, where that is what is known; or "" */
	const char *token;            /* for the host of url alone; borrowed, NULL or "": none */
};

struct transfer_watch {
	/* Bytes that are there, of all files together, and how many files are whole, a few times a
	 * second; NULL: nobody looks. */
	void (*progress)(void *context, uint64_t done, size_t files);
	void *context;
};

/* The JSON of a page of at most limit bytes; the caller releases *answer. token: sent to the host of url alone; NULL for
 * none. SUMI_NOTFOUND, SUMI_PERM, SUMI_CONNECT by what was answered; SUMI_CORRUPT says what came in the place of JSON. */
int transfer_json(const char *url, const char *token, size_t limit, json_t **answer, struct error *err);

/* Fetches all. Those that are there already and right are left alone. SUMI_CORRUPT where what came is
 * not what was promised, after a second try from the beginning. */
int transfer_files(const struct transfer_file *files, size_t count, const struct transfer_watch *watch,
		   struct error *err);

/* Whether the file at f->path is as f says: size, then hash. SUMI_NOTFOUND, SUMI_CORRUPT. */
int transfer_check(const struct transfer_file *f, struct error *err);

#endif
