/* What PEFT trained an adapter with: alphas stand there, and no tensor says them. diffusers writes it into its file
 * beside the tensors, PEFT into adapter_config.json beside the file. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "weights/adapter_internal.h"
#include "weights/pattern.h"

static const char KEY[] = "lora_adapter_metadata"; /* of the file's own metadata: JSON as a text */
static const char BESIDE[] = "adapter_config.json";

enum { LIMIT = 1 << 20, PATTERN_WORK = 1 << 21 };

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

/* ---- files in folders ---- */

bool adapter_in_folder(const char *folder, char out[FILES_PATH_MAX])
{
	static const struct {
		const char *file;
		bool config; /* it is one beside its config alone */
	} files[] = {{"adapter_model.safetensors", true},
		     {"adapter_model.bin", true},
		     {"pytorch_lora_weights.safetensors", false},
		     {"pytorch_lora_weights.bin", false}};
	char config[FILES_PATH_MAX];
	struct stat st;
	if (files_path(config, NULL, "%s/%s", folder, BESIDE))
		return false;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		if ((!files[i].config || access(config, F_OK) == 0) &&
		    !files_path(out, NULL, "%s/%s", folder, files[i].file) && stat(out, &st) == 0 && S_ISREG(st.st_mode))
			return true;
	return false;
}

bool adapter_config_path(const char *path, char out[FILES_PATH_MAX])
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	return strncmp(base, "adapter_model.", 14) == 0 &&
	       !files_path(out, NULL, "%.*s%s", (int)(base - path), path, BESIDE) && access(out, F_OK) == 0;
}

/* ---- reading ---- */

/* What makes of an adapter something else than its tensors say: a change of the model's own weights, or of its shape. */
static int check_fields(const json_t *config, struct error *err)
{
	static const char *const others[] = {"layer_replication", "alora_invocation_tokens", "use_qalora", "use_bdlora",
					     "arrow_config", "kasa_config", "monteclora_config", "trainable_token_indices",
					     "target_parameters"};
	static const char *const changing[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};
	const char *begins = json_string_value(json_object_get(config, "init_lora_weights"));
	for (size_t i = 0; begins && i < sizeof changing / sizeof changing[0]; i++)
		if (strncmp(begins, changing[i], strlen(changing[i])) == 0)
			return error_set(err, SUMI_UNSUPPORTED,
					 "init_lora_weights '%.40s' changed the model's own weights in training: save it "
					 "with path_initial_model_for_weight_conversion", begins);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		const json_t *v = json_object_get(config, others[i]);
		bool none = !v || json_is_null(v) || json_is_false(v) || (json_is_object(v) && !json_object_size(v)) ||
			    (json_is_array(v) && !json_array_size(v));
		if (!none)
			return error_set(err, SUMI_UNSUPPORTED, "'%s' is not read", others[i]);
	}
	return SUMI_OK;
}

static int check_beside(const json_t *config, struct error *err)
{
	static const char *const types[] = {"LORA", "LOHA", "LOKR"};
	const char *type = json_string_value(json_object_get(config, "peft_type"));
	if (!type)
		return error_set(err, SUMI_INVALID, "it says no 'peft_type', as PEFT's do");
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strcmp(type, types[i]) == 0)
			return check_fields(config, err);
	return error_set(err, SUMI_UNSUPPORTED, "adapters of the peft_type '%.40s' are not read: LORA, LOHA and LOKR are", type);
}

int adapter_config_read(struct adapter *a, struct error *err)
{
	char path[FILES_PATH_MAX];
	const char *file = weights_folder(a->files);
	const char *text = json_string_value(json_object_get(weights_metadata(a->files), KEY));
	int status = SUMI_OK;
	a->work = PATTERN_WORK;
	if (adapter_config_path(file, path)) {
		a->config_name = BESIDE;
		status = json_read_file(path, LIMIT, &a->config, err);
		if (!status && !json_is_object(a->config))
			status = error_set(err, SUMI_INVALID, "%s: it is no JSON object", path);
		else if (!status && (status = check_beside(a->config, err)))
			error_prefix(err, "%s", path);
		return status;
	}
	a->config_name = KEY;
	if (!text)
		return SUMI_OK;
	status = json_read_text(text, strlen(text), KEY, &a->config, err);
	if (!status && !json_is_object(a->config))
		status = error_set(err, SUMI_INVALID, "%s is no JSON object", KEY);
	return status ? error_prefix(err, "%s", file) : SUMI_OK;
}

static bool is_beside(const struct adapter *a)
{
	return a->config && a->config_name == BESIDE;
}

/* Whether one of the modules that are named, each by the end of its name, is that of the tensor, or holds it. */
static bool is_in(const json_t *modules, const char *name, size_t stem)
{
	size_t i;
	const json_t *module;
	json_array_foreach((json_t *)(uintptr_t)modules, i, module)
	{
		size_t n = json_string_length(module);
		const char *word = json_string_value(module);
		for (size_t end = n; n && end <= stem; end++)
			if ((end == stem || name[end] == '.') && strncmp(name + end - n, word, n) == 0)
				return true;
	}
	return false;
}

bool adapter_config_saved(const struct adapter *a, const char *name, enum module_tensor *which, bool *bias, size_t *stem)
{
	static const char weight[] = ".weight", own_bias[] = ".bias", wrapped[] = ".base_layer";
	size_t n = strlen(name);
	if (!is_beside(a))
		return false;
	const char *says = json_string_value(json_object_get(a->config, "bias"));
	*which = TENSOR_SAVED;
	*bias = n > strlen(own_bias) && strcmp(name + n - strlen(own_bias), own_bias) == 0;
	if (!*bias && (n <= strlen(weight) || strcmp(name + n - strlen(weight), weight) != 0))
		return false;
	*stem = n - (*bias ? strlen(own_bias) : strlen(weight));
	bool saved = is_in(json_object_get(a->config, "modules_to_save"), name, *stem) ||
		     (*bias && says && strcmp(says, "none") != 0);
	if (*stem > strlen(wrapped) && strncmp(name + *stem - strlen(wrapped), wrapped, strlen(wrapped)) == 0)
		*stem -= strlen(wrapped);
	return saved;
}

unsigned adapter_config_part(const struct adapter *a)
{
	static const struct {
		const char *class;
		unsigned part;
	} classes[] = {{"UNet2DConditionModel", ADAPTER_DENOISER},
		       {"CLIPTextModel", ADAPTER_TEXT},
		       {"CLIPTextModelWithProjection", ADAPTER_TEXT_2}};
	const json_t *mapping = is_beside(a) ? json_object_get(a->config, "auto_mapping") : NULL;
	const char *class = json_string_value(json_object_get(mapping, "base_model_class"));
	for (size_t i = 0; class && i < sizeof classes / sizeof classes[0]; i++)
		if (strcmp(classes[i].class, class) == 0)
			return classes[i].part;
	return 0;
}

/* ---- of one module ---- */

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

/* A module's name as its model has it, which patterns are held against. */
static const char *own_name(const struct module *m)
{
	static const char peft[] = "base_model.model.";
	const char *name = m->name + (strncmp(m->name, peft, strlen(peft)) == 0 ? strlen(peft) : 0);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (strncmp(name, parts[i].front, strlen(parts[i].front)) == 0)
			name += strlen(parts[i].front);
	return name;
}

/* Whether a name, or what stands behind one of its dots, is a pattern. Most of them are names, in which a dot is any
 * character. -1: it is none that is read. */
static int ends_with(struct adapter *a, const char *name, const char *pattern)
{
	if (strpbrk(pattern, "\\^$*+?()[]{}|"))
		return pattern_ends(pattern, name, &a->work);
	size_t n = strlen(name), p = strlen(pattern);
	if (!p || p > n || (p < n && name[n - p - 1] != '.'))
		return 0;
	for (size_t i = 0; i < p; i++)
		if (pattern[i] != '.' && pattern[i] != name[n - p + i])
			return 0;
	return 1;
}

/* A number that the first pattern which fits says, else the field that is for all; left alone where neither does. */
static int pick(struct adapter *a, const struct module *m, const char *patterns, const char *field, double *out,
		struct error *err)
{
	const json_t *says = member(a, m, field), *value;
	const char *pattern, *file = weights_folder(a->files);
	json_object_foreach((json_t *)(uintptr_t)member(a, m, patterns), pattern, value)
	{
		int ends = ends_with(a, own_name(m), pattern);
		if (ends < 0)
			return error_set(err, SUMI_UNSUPPORTED, "%s: %s '%.60s' in its %s is no pattern that is read", file,
					 patterns, pattern, a->config_name);
		if (!ends)
			continue;
		says = value;
		break;
	}
	if (!says)
		return SUMI_OK;
	*out = json_number_value(says);
	if (!json_is_number(says) || !isfinite(*out))
		return error_set(err, SUMI_INVALID, "%s: '%s' in its %s is no number", file, field, a->config_name);
	return SUMI_OK;
}

/* What must go together in a folder of PEFT's, which it checks itself. */
static int check_module(const struct adapter *a, const struct module *m, double rank, struct error *err)
{
	const char *file = weights_folder(a->files);
	bool pair = m->tensors[TENSOR_DOWN] != NULL;
	if (!(rank >= 1) || rank > INT32_MAX || rank != floor(rank))
		return error_set(err, SUMI_INVALID, "%s: 'r' in its %s is no rank", file, BESIDE);
	if (pair && rank != m->rank)
		return error_set(err, SUMI_INVALID, "%s: '%.100s' is of rank %d, its %s says %g", file, m->name, m->rank, BESIDE,
				 rank);
	if (pair && json_is_true(member(a, m, "use_dora")) && !m->tensors[TENSOR_MAGNITUDE])
		return error_set(err, SUMI_INVALID, "%s: '%.100s' has no magnitudes, its %s says use_dora", file, m->name, BESIDE);
	return SUMI_OK;
}

int adapter_config_scale(struct adapter *a, const struct module *m, double *scale, struct error *err)
{
	bool beside = is_beside(a), pair = m->tensors[TENSOR_DOWN] != NULL;
	double alpha = beside ? 8 : NAN, rank = beside ? 8 : m->rank; /* what PEFT takes where nothing is said */
	if (m->kind->whole || (!m->rank && !beside))
		return SUMI_OK;
	int status = pick(a, m, "alpha_pattern", beside && !pair ? "alpha" : "lora_alpha", &alpha, err);
	if (!status && beside)
		status = pick(a, m, "rank_pattern", "r", &rank, err);
	if (!status && beside)
		status = check_module(a, m, rank, err);
	if (status || isnan(alpha))
		return status;
	*scale = alpha / (json_is_true(member(a, m, "use_rslora")) ? sqrt(rank) : rank);
	return SUMI_OK;
}
