/* Base64. */
#include "base/base64.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

char *base64_encode(const void *data, size_t size, size_t *length)
{
	if (size > INT_MAX / 2)
		return NULL;
	char *text = malloc((size + 2) / 3 * 4 + 1);
	if (text)
		*length = (size_t)EVP_EncodeBlock((unsigned char *)text, data, (int)size);
	return text;
}

json_t *base64_json(const void *data, size_t size)
{
	size_t length;
	char *text = base64_encode(data, size, &length);
	json_t *value = text ? json_stringn_nocheck(text, length) : NULL;
	free(text);
	return value;
}

static int digit(unsigned char c)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

int base64_decode(const char *text, size_t length, void **data, size_t *size, struct error *err)
{
	const char *end = text + length, *comma;
	if (length > 5 && memcmp(text, "data:", 5) == 0) {
		comma = memchr(text, ',', length < 256 ? length : 256);
		if (!comma || comma - text < 7 || memcmp(comma - 7, ";base64", 7) != 0)
			return error_set(err, SUMI_INVALID, "a data: URL that is not in base64");
		text = comma + 1;
	}
	unsigned char *out = malloc((size_t)(end - text) / 4 * 3 + 4), *to = out;
	unsigned bits = 0, held = 0, padding = 0;
	if (!out)
		return error_set(err, SUMI_NOMEM, "out of memory");
	for (; text < end; text++) {
		int d = digit((unsigned char)*text);
		if (*text == '\n' || *text == '\r')
			continue;
		padding += *text == '=';
		if (padding > 2 || (d < 0 && *text != '=') || (d >= 0 && padding)) {
			free(out);
			return error_set(err, SUMI_INVALID, "a character that base64 does not have");
		}
		if (d < 0)
			continue;
		held = (held << 6 | (unsigned)d) & 0xFFFF;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*to++ = (unsigned char)(held >> bits);
		}
	}
	*data = out;
	*size = (size_t)(to - out);
	return SUMI_OK;
}
