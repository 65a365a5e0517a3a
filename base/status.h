/* Status codes and the error that travels with them.
 *
 * Every function that can fail returns 0 or one of the negative codes below and
 * describes the failure in the caller's `struct error`: one line for a person,
 * naming the file, field or device concerned. Nothing in the library prints,
 * aborts or exits. */
#ifndef SUMI_BASE_STATUS_H
#define SUMI_BASE_STATUS_H

#include <stddef.h>

/* X(name, value, word): the word is stable and may stand in JSON. */
#define SUMI_STATUS_MAP(X)                                                                         \
	X(OK, 0, "ok")                                                                             \
	X(NOMEM, -1, "out_of_memory")                                                              \
	X(INVALID, -2, "invalid")                                                                  \
	X(NOTFOUND, -3, "not_found")                                                               \
	X(IO, -4, "io")                                                                            \
	X(CORRUPT, -5, "corrupt")                                                                  \
	X(UNSUPPORTED, -6, "unsupported")                                                          \
	X(DEVICE, -7, "device")                                                                    \
	X(BUSY, -8, "busy")                                                                        \
	X(EXISTS, -9, "exists")                                                                    \
	X(CANCELLED, -10, "cancelled")                                                             \
	X(LOST, -11, "lease_lost")                                                                 \
	X(CONNECT, -12, "connection")                                                              \
	X(FULL, -13, "disk_full")                                                                  \
	X(TOOBIG, -14, "too_big")                                                                  \
	X(PERM, -15, "permission")                                                                 \
	X(TIMEOUT, -16, "timeout")                                                                 \
	X(INTERNAL, -17, "internal")

enum sumi_status {
#define X(name, value, word) SUMI_##name = (value),
	SUMI_STATUS_MAP(X)
#undef X
};

struct error {
	int status;     /* one of enum sumi_status; SUMI_OK when nothing went wrong */
	char text[480]; /* one line, no newline at the end, valid UTF-8 */
};

/* Fills err (which may be NULL) and returns status, so that a caller can write
 * `return error_set(err, SUMI_INVALID, "%s: …", path);`. Arguments may hold anything: see
 * utf8_make_printable(). */
int error_set(struct error *err, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* error_set with the status that fits errno and ": strerror(errno)" appended. */
int error_errno(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the message that err already holds. Returns err's status. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The stable word of a status, "unknown" for a number that is none. */
const char *status_word(int status);

#endif
