/* What the fuzz targets share. A target is one file, fuzz_NAME.c, with libFuzzer's entry; it
 * hands the bytes to one parser and holds it to two promises beside those of the sanitizers: a
 * failure has a message of one line, and what is read once reads back the same. */
#ifndef SUMI_TESTS_FUZZ_H
#define SUMI_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/files.h"
#include "base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* A folder of this process's own, in memory where there is /dev/shm; gone with the process. */
const char *fuzz_folder(void);

/* Puts bytes into a file of that folder ("unet/config.json": folders are made). The path stays
 * valid; nobody else may remove the file. */
const char *fuzz_file(const char *name, const void *data, size_t size);

/* A link NAME in the folder to a path of the checkout. */
void fuzz_link(const char *target, const char *name);

/* Aborts where a promise is broken: a failure without a status or message, or with a message
 * that holds control characters; a success that is told as a failure. */
void fuzz_outcome(int status, const struct error *err);

/* Aborts with the words. */
void fuzz_require(bool condition, const char *words);

/* Takes the next part off the input: all up to FUZZ_CUT or the end. A seed of several files is
 * these files with that byte between them. */
#define FUZZ_CUT 0x1E
struct fuzz_part {
	const uint8_t *data;
	size_t size;
};
struct fuzz_part fuzz_next(struct fuzz_part *rest);

/* The same as a string, owned by the caller. */
char *fuzz_text(struct fuzz_part part);

#endif
