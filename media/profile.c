#include "media/profile.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "media/exif.h"
#include "media/xmp.h"

static const char FRONT[] = "Raw profile type ";
static const char XMP_OF_JPEG[] = "http://ns.adobe.com/xap/1.0/"; /* a NUL behind it */

bool profile_is(const char *keyword)
{
	return strncmp(keyword, FRONT, sizeof FRONT - 1) == 0;
}

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* The bytes that its digits are, new; NULL: they are none, or fewer than it says. */
static unsigned char *unpack(const char *text, size_t *size)
{
	char *end;
	text += strspn(text, "\n");
	text += strcspn(text, "\n");
	unsigned long long says = strtoull(text, &end, 10);
	if (end == text || says > strlen(end) / 2)
		return NULL;
	unsigned char *out = malloc((size_t)says + 1);
	for (*size = 0; out && *size < says; end++) {
		if (isspace((unsigned char)*end))
			continue;
		int high = digit(end[0]), low = high < 0 ? -1 : digit(end[1]);
		if (low < 0) {
			free(out);
			return NULL;
		}
		out[(*size)++] = (unsigned char)(16 * high + low);
		end++;
	}
	return out;
}

int profile_read(const char *keyword, const char *text, struct file_texts *texts, struct error *err)
{
	const char *name = keyword + sizeof FRONT - 1;
	bool app1 = strcasecmp(name, "APP1") == 0;
	size_t size = 0;
	if (!app1 && strcasecmp(name, "exif") != 0 && strcasecmp(name, "xmp") != 0)
		return SUMI_OK;
	unsigned char *bytes = unpack(text, &size), *at = bytes;
	if (!bytes)
		return error_set(err, SUMI_CORRUPT, "PNG: '%.40s' holds no bytes in digits", keyword);
	bool jpeg = size >= sizeof XMP_OF_JPEG && memcmp(bytes, XMP_OF_JPEG, sizeof XMP_OF_JPEG) == 0;
	at += jpeg ? sizeof XMP_OF_JPEG : 0;
	size -= jpeg ? sizeof XMP_OF_JPEG : 0;
	int status = jpeg || strcasecmp(name, "xmp") == 0 ? xmp_read((const char *)at, size, texts, err)
							  : exif_read(at, size, texts, err);
	free(bytes);
	return status;
}
