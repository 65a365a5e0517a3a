/* SHA-256 (FIPS 180-4), by OpenSSL's libcrypto. */
#ifndef SUMI_BASE_HASH_H
#define SUMI_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#define SHA256_HEX_SIZE 65 /* 64 lower-case hex digits and the terminator */

/* Hashes memory; NULL is fine where size is 0. */
void sha256_hex(const void *data, size_t size, char out[SHA256_HEX_SIZE]);

/* Whether a text is a SHA-256 in hexadecimal, with or without "sha256:" before it; then name has it
 * in lower case and alone. */
bool sha256_is_name(const char *text, char name[SHA256_HEX_SIZE]);

/* Hashes a file in constant memory. SUMI_NOTFOUND, SUMI_IO. */
int sha256_file(const char *path, char out[SHA256_HEX_SIZE], struct error *err);

#endif
