/* What PEFT trained an adapter with, which diffusers writes into its file beside the tensors: alphas stand there,
 * and no tensor says them. */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "weights/adapter_internal.h"

static const char KEY[] = "lora_adapter_metadata"; /* of the file's own metadata: JSON as a text */

/* In front of each member, one config for each part of a model; none in files of one part. */
static const struct {
	unsigned part;
	const char *front;
} parts[] = {
    {ADAPTER_DENOISER, "unet."},
    {ADAPTER_TEXT, "text_encoder."},
    {ADAPTER_TEXT_2, "text_encoder_2."},
    {ADAPTER_DENOISER | ADAPTER_TEXT | ADAPTER_TEXT_2, ""},
};

int adapter_config_read(const struct weights *files, json_t **out, struct error *err)
{
	const char *text = json_string_value(json_object_get(weights_metadata(files), KEY));
	*out = NULL;
	if (!text)
		return SUMI_OK;
	int status = json_read_text(text, strlen(text), KEY, out, err);
	if (!status && !json_is_object(*out))
		status = error_set(err, SUMI_INVALID, "%s is no JSON object", KEY);
	return status ? error_prefix(err, "%s", weights_folder(files)) : SUMI_OK;
}

static const json_t *member(const struct adapter *a, const struct module *m, const char *name)
{
	char key[64];
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (!(parts[i].part & m->part))
			continue;
		snprintf(key, sizeof key, "%s%s", parts[i].front, name);
		const json_t *found = json_object_get(a->config, key);
		if (found)
			return found;
	}
	return NULL;
}

/* Whether a module's name ends with what a pattern says, at a dot. A pattern is a regular expression there: names
 * alone are read, in which a dot is any character. -1: it is more than a name. */
static int ends_with(const char *name, const char *pattern)
{
	if (strpbrk(pattern, "\\^$*+?()[]{}|"))
		return -1;
	size_t n = strlen(name), p = strlen(pattern);
	if (!p || p > n || (p < n && name[n - p - 1] != '.'))
		return 0;
	for (size_t i = 0; i < p; i++)
		if (pattern[i] != '.' && pattern[i] != name[n - p + i])
			return 0;
	return 1;
}

int adapter_config_scale(const struct adapter *a, const struct module *m, double *scale, struct error *err)
{
	const json_t *alpha = member(a, m, "lora_alpha"), *value;
	const char *pattern;
	json_object_foreach((json_t *)(uintptr_t)member(a, m, "alpha_pattern"), pattern, value) {
		int ends = ends_with(m->name, pattern);
		if (ends < 0)
			return error_set(err, SUMI_UNSUPPORTED, "%s: alpha_pattern '%.60s' in its %s is more than a name",
					 weights_folder(a->files), pattern, KEY);
		if (!ends)
			continue;
		alpha = value;
		break;
	}
	if (!alpha || !m->rank)
		return SUMI_OK;
	double says = json_number_value(alpha);
	if (!json_is_number(alpha) || !isfinite(says))
		return error_set(err, SUMI_INVALID, "%s: an alpha in its %s is no number", weights_folder(a->files), KEY);
	*scale = says / (json_is_true(member(a, m, "use_rslora")) ? sqrt(m->rank) : m->rank);
	return SUMI_OK;
}
