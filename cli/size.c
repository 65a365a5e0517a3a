/* The size of a picture as people write it. */
#include "cli/size.h"

#include <stdbool.h>
#include <string.h>

int cli_size_agrees(const json_t *fields, const struct param *p, const json_t *value, struct error *err)
{
	const json_t *before = json_object_get(fields, p->name);
	bool side = strcmp(p->name, "width") == 0 || strcmp(p->name, "height") == 0;
	if (!side || !json_is_integer(before) || !json_is_integer(value) || json_equal(before, value))
		return SUMI_OK;
	return error_set(err, SUMI_INVALID,
			 "%s is given as %" JSON_INTEGER_FORMAT " and as %" JSON_INTEGER_FORMAT
			 ": size or width and height, not both",
			 p->name, json_integer_value(before), json_integer_value(value));
}

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
		if (status)
			break;
		status = cli_size_agrees(fields, param_find(names[i]), value, err);
		json_object_set_new(fields, names[i], value);
	}
	return status;
}
