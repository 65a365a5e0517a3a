/* multipart/form-data (RFC 7578): a form with files, taken apart in place. */
#ifndef SUMI_GATEWAY_MULTIPART_H
#define SUMI_GATEWAY_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { MULTIPART_MAX = 64, MULTIPART_NAME_SIZE = 64 };

struct multipart_part {
	char name[MULTIPART_NAME_SIZE];
	bool file;        /* it has a filename */
	const char *data; /* borrowed from the body */
	size_t size;
};

struct multipart {
	struct multipart_part parts[MULTIPART_MAX];
	size_t count;
};

/* Whether a Content-Type is one of such a form. */
bool multipart_is(const char *content_type);

/* SUMI_INVALID says what is wrong with it. */
int multipart_parse(const char *content_type, const char *body, size_t size, struct multipart *out,
		    struct error *err);

/* The part of a name, or NULL; of several the first, and *count how many there are. */
const struct multipart_part *multipart_find(const struct multipart *form, const char *name,
					    size_t *count);

#endif
