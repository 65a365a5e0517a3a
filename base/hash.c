/* SHA-256 by libcrypto. */
#include "base/hash.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static void to_hex(const unsigned char digest[32], char out[SHA256_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < 32; i++) {
		out[2 * i] = digits[digest[i] >> 4];
		out[2 * i + 1] = digits[digest[i] & 15];
	}
	out[64] = '\0';
}

void sha256_hex(const void *data, size_t size, char out[SHA256_HEX_SIZE])
{
	unsigned char digest[32] = {0};
	EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL);
	to_hex(digest, out);
}

int sha256_file(const char *path, char out[SHA256_HEX_SIZE], struct error *err)
{
	int status = SUMI_OK;
	unsigned char buffer[65536], digest[32];
	FILE *f = fopen(path, "rb");
	if (!f)
		return error_errno(err, "%s", path);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (!ctx) {
		status = error_set(err, SUMI_NOMEM, "out of memory while hashing %s", path);
		goto close;
	}
	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	size_t n;
	while ((n = fread(buffer, 1, sizeof buffer, f)) > 0)
		EVP_DigestUpdate(ctx, buffer, n);
	if (ferror(f))
		status = error_errno(err, "%s", path);
	EVP_DigestFinal_ex(ctx, digest, NULL);
	EVP_MD_CTX_free(ctx);
	to_hex(digest, out);
close:
	fclose(f);
	return status;
}

bool sha256_is_name(const char *text, char name[SHA256_HEX_SIZE])
{
	if (strncmp(text, "sha256:", 7) == 0)
		text += 7;
	if (strlen(text) != SHA256_HEX_SIZE - 1 ||
	    strspn(text, "0123456789abcdefABCDEF") != SHA256_HEX_SIZE - 1)
		return false;
	for (int i = 0; i < SHA256_HEX_SIZE; i++)
		name[i] = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] + 'a' - 'A' : text[i]);
	return true;
}
