/* What is to be fetched of a model: found out from a hub before a byte of it comes.
 *
 *     owner/name              of Hugging Face: the parts that sumi needs
 *     owner/name:FILE         one file of it, or the only one whose name has these letters in it (q8_0)
 *     owner/name@REVISION     a branch, tag or commit
 *     civitai:ID[@VERSION]    of Civitai, by the numbers in its addresses
 *     https://…               a page of either, or any file */
#ifndef SUMI_HUB_PLAN_H
#define SUMI_HUB_PLAN_H

#include <stdio.h>

#include "hub/transfer.h"

#define PLAN_NAME_MAX 95

struct plan {
	char name[PLAN_NAME_MAX + 1]; /* of the model, as sumi will call it */
	char source[TRANSFER_URL_MAX]; /* what to name to get the same again: with the commit */
	char licence[128];             /* "" where nothing is said */
	char licence_url[TRANSFER_URL_MAX];
	char kind[32];                 /* a hub's word for what it is: "Checkpoint", "LORA"; or "" */
	bool folder;                   /* a pack of several files; else one */
	struct transfer_file *files;   /* path: below the folder, or the file's name */
	size_t count;
	uint64_t bytes; /* of all; 0: unknown */
	char token[256];
	char cache[FILES_PATH_MAX]; /* blobs of Hugging Face's own cache of this model, or "" */
};

/* Finds out what `what` names. The caller calls plan_free(). SUMI_INVALID for a text that names nothing,
 * or several files where one must be chosen: the message lists them. */
int plan_read(const char *what, struct plan *plan, struct error *err);
void plan_free(struct plan *plan);

/* Puts `folder/` before the paths of all files. */
int plan_place(struct plan *plan, const char *folder, struct error *err);

/* Takes what other programs have fetched already: files of the cache are linked, or copied. */
void plan_reuse(const struct plan *plan);

/* ---- for the files that know one hub each ---- */

struct hub {
	/* Whether a text is of this hub. */
	bool (*names)(const char *what);
	int (*read)(const char *what, struct plan *plan, struct error *err);
};
extern const struct hub hub_huggingface, hub_civitai, hub_address;

/* Adds a file; size 0 and hashes "" or NULL where unknown. */
int plan_add(struct plan *plan, const char *path, const char *url, uint64_t size,
	     const char *sha256, const char *git_sha1, struct error *err);

/* A model's name from a file's or repository's: its ending dropped, other characters than names have
 * made '-'. */
void plan_set_name(struct plan *plan, const char *from);
/* The name that somebody asks for, as it is (an ending of model files dropped) or SUMI_INVALID. */
int plan_take_name(struct plan *plan, const char *name, struct error *err);

/* Whether a path of a file stays below where it is put: no "..", no "/" before it, no control
 * characters. */
bool plan_path_is_safe(const char *path);

/* %20 and the like of a piece of an address, in place. */
void plan_unescape(char *text);

/* "6.46 GB" */
void plan_size_text(uint64_t bytes, char out[32]);

#endif
