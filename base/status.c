/* The status table's words and the one-line error messages. */
#include "base/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/formatted.h"
#include "base/utf8.h"

static const struct {
	int status;
	const char *word;
} words[] = {
#define X(name, value, word) {SUMI_##name, word},
    SUMI_STATUS_MAP(X)
#undef X
};

const char *status_word(int status)
{
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (words[i].status == status)
			return words[i].word;
	return "unknown";
}

int error_set(struct error *err, int status, const char *format, ...)
{
	if (!err)
		return status;
	/* The arguments may point into err->text itself. */
	FORMATTED(text, sizeof err->text, format);
	utf8_make_printable(text); /* it may quote strangers, and end in half a character */
	memcpy(err->text, text, sizeof text);
	err->status = status;
	return status;
}

static int status_of_errno(int e)
{
	switch (e) {
	case ENOMEM:
		return SUMI_NOMEM;
	case ENOENT:
	case ENOTDIR:
		return SUMI_NOTFOUND;
	case ENOSPC:
	case EDQUOT:
	case EFBIG: /* a limit on what this process may write */
		return SUMI_FULL;
	case EACCES:
	case EPERM:
	case EROFS:
		return SUMI_PERM;
	case EEXIST:
		return SUMI_EXISTS;
	case ETIMEDOUT:
		return SUMI_TIMEOUT;
	default:
		return SUMI_IO;
	}
}

int error_errno(struct error *err, const char *format, ...)
{
	int saved = errno;
	int status = status_of_errno(saved);
	if (!err)
		return status;
	FORMATTED(text, sizeof err->text, format);
	return error_set(err, status, "%s: %s", text, strerror(saved));
}

int error_prefix(struct error *err, const char *format, ...)
{
	if (!err)
		return SUMI_INTERNAL;
	FORMATTED(prefix, sizeof err->text, format);
	return error_set(err, err->status, "%s: %s", prefix, err->text);
}
