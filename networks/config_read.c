/* Reading configs: fields within limits, and those of which one value alone is supported. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "networks/config_internal.h"
#include "weights/checkpoint.h"

static bool is_one_of(const char *value, const char *allowed)
{
	size_t n = strlen(value);
	for (const char *p = allowed; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
		if (strncmp(p, value, n) == 0 && (p[n] == '|' || p[n] == '\0'))
			return true;
	return false;
}

static bool follows(const json_t *value, const char *allowed)
{
	if (json_is_array(value)) { /* one value for each level */
		size_t i;
		const json_t *item;
		json_array_foreach((json_t *)value, i, item)
		{
			if (json_is_array(item) || !follows(item, allowed))
				return false;
		}
		return true;
	}
	if (json_is_string(value))
		return is_one_of(json_string_value(value), allowed);
	if (json_is_boolean(value))
		return is_one_of(json_is_true(value) ? "true" : "false", allowed);
	if (json_is_number(value)) {
		char *end;
		double wanted = strtod(allowed, &end);
		return end != allowed && fabs(json_number_value(value) - wanted) < 1e-12;
	}
	return false;
}

int config_check(const json_t *root, const char *where, const struct config_rule *rules,
		       size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_object_get(root, rules[i].key);
		if (!value || json_is_null(value) || follows(value, rules[i].allowed))
			continue;
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		error_set(err, SUMI_UNSUPPORTED, "%s: field '%s' is %.60s: only %s is supported",
			  where, rules[i].key, text ? text : "?", rules[i].allowed);
		free(text);
		return SUMI_UNSUPPORTED;
	}
	return SUMI_OK;
}

int config_int(const json_t *root, const char *where, const char *key, int min, int max,
		    int *value, struct error *err)
{
	int64_t v = *value;
	int status = json_want_int(root, where, key, min, max, &v, err);
	*value = (int)v;
	return status;
}

int config_levels(const json_t *root, const char *where, const char *key, int min, int max,
		       int fallback, int count, int *out, struct error *err)
{
	const json_t *value = json_object_get(root, key);
	if (!json_is_array(value)) {
		int status = config_int(root, where, key, min, max, &fallback, err);
		for (int i = 0; i < count; i++)
			out[i] = fallback;
		return status;
	}
	if (json_array_size(value) != (size_t)count)
		return error_set(err, SUMI_INVALID, "%s: field '%s' lists %zu values for %d levels",
				 where, key, json_array_size(value), count);
	for (int i = 0; i < count; i++) {
		const json_t *item = json_array_get(value, (size_t)i);
		json_int_t v = json_integer_value(item);
		if (!json_is_integer(item) || v < min || v > max)
			return error_set(err, SUMI_INVALID,
					 "%s: field '%s' must hold whole numbers from %d to %d",
					 where, key, min, max);
		out[i] = (int)v;
	}
	return SUMI_OK;
}

int config_level_list(const json_t *root, const char *where, const char *key,
			   const int *fallback, int fallback_count, int low, int *count, int *out,
			   struct error *err)
{
	const json_t *value = json_object_get(root, key);
	if (!value) {
		*count = fallback_count;
		memcpy(out, fallback, (size_t)fallback_count * sizeof *out);
		return SUMI_OK;
	}
	size_t n = json_array_size(value);
	if (n < 1 || n > CONFIG_LEVELS_MAX)
		return error_set(err, SUMI_INVALID, "%s: field '%s' must list 1 to %d levels",
				 where, key, CONFIG_LEVELS_MAX);
	*count = (int)n;
	return config_levels(root, where, key, low, CONFIG_CHANNELS_MAX, 0, (int)n, out, err);
}

int config_open(const char *folder, char path[FILES_PATH_MAX], json_t **root,
		       struct error *err)
{
	int status = files_path(path, err, "%s/config.json", folder);
	if (!status)
		status = part_json_read(path, CONFIG_FILE_MAX, root, err);
	if (status)
		return status;
	if (json_is_object(*root))
		return SUMI_OK;
	json_decref(*root);
	*root = NULL;
	return error_set(err, SUMI_INVALID, "%s: must hold one JSON object", path);
}
