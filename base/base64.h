/* Base64 (RFC 4648), by OpenSSL's libcrypto. */
#ifndef SUMI_BASE_BASE64_H
#define SUMI_BASE_BASE64_H

#include <jansson.h>
#include <stddef.h>

#include "base/status.h"

/* The text of bytes; the caller frees it. NULL: no memory, or more bytes than a text may have. */
char *base64_encode(const void *data, size_t size, size_t *length);
json_t *base64_json(const void *data, size_t size);

/* The bytes of a text, with line ends and without, and with "data:image/png;base64," before it or not. The
 * caller frees *data. SUMI_INVALID. */
int base64_decode(const char *text, size_t length, void **data, size_t *size, struct error *err);

#endif
