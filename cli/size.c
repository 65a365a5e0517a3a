/* The size of a picture as people write it. */
#include "cli/size.h"

#include <string.h>

#include "request/param.h"

int cli_size(const char *text, json_t *fields, struct error *err)
{
	size_t n = strspn(text, "0123456789"), between = strncmp(text + n, "\u00d7", 2) ? 1 : 2;
	const char *height = text[n] ? text + n + between : text;
	const char *const sides[] = {text, height}, *const names[] = {"width", "height"};
	int status = SUMI_OK;
	if (n == 0 || (text[n] && between == 1 && !strchr("xX*,", text[n])) || !*height ||
	    height[strspn(height, "0123456789")])
		return error_set(err, SUMI_INVALID, "size is '%.40s': write it like 512x768", text);
	for (size_t i = 0; i < 2 && !status; i++) {
		json_t *value;
		status = param_from_text(param_find(names[i]), 0, sides[i],
					 strspn(sides[i], "0123456789"), &value, err);
		if (!status)
			json_object_set_new(fields, names[i], value);
	}
	return status;
}
