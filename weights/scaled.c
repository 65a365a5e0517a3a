/* Scales of eight-bit weights. */
#include "weights/scaled.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { QUANT_TEXT_MAX = 4096, SCALES_MAX = 1 << 20 };

#define WEIGHT ".weight"

static const char *const scales[] = {".scale_weight", ".weight_scale"};

/* Beside a weight, and not of the model: the scale of the layer's input counts for products of
 * eight bits alone. */
static const char *const others[] = {".scale_input", ".input_scale", ".comfy_quant"};

/* How ComfyUI calls what it scales by a tensor or by rows. */
static const char *const known_formats[] = {"float8_e4m3fn", "float8_e5m2", "int8_tensorwise",
					    "int8_rowwise"};

static bool is_eight_bit(const struct tensor_format *f)
{
	return f->usable && f->elements == 1 && f->bytes == 1;
}

/* NAMEending for the weight NAME.weight, or NULL. */
static const struct tensor_entry *beside(const struct source *s, const struct tensor_entry *weight,
					 const char *ending)
{
	char name[LAYOUT_NAME_MAX];
	size_t n = strlen(weight->name), w = strlen(WEIGHT);
	if (n < w || strcmp(weight->name + n - w, WEIGHT) != 0 ||
	    n - w + strlen(ending) >= sizeof name)
		return NULL;
	memcpy(name, weight->name, n - w);
	strcpy(name + n - w, ending);
	return tensor_list_find(&s->list, name);
}

/* --- what is said of a weight in words --- */

static int check_words(const char *path, const char *name, const json_t *words, struct error *err)
{
	const char *format = json_string_value(json_object_get(words, "format"));
	bool known = !format;
	for (size_t i = 0; format && i < sizeof known_formats / sizeof known_formats[0]; i++)
		known = known || strcmp(known_formats[i], format) == 0;
	if (!known)
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: tensor '%.100s' is quantised as '%.40s', which is not "
				 "supported",
				 path, name, format);
	if (json_is_true(json_object_get(words, "convrot")))
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: tensor '%.100s' is rotated (convrot), which is not supported",
				 path, name);
	return SUMI_OK;
}

/* NAME.comfy_quant holds JSON as numbers of eight bits. */
static int check_quant(const struct source *s, const struct tensor_entry *weight, struct error *err)
{
	char text[QUANT_TEXT_MAX];
	json_t *words = NULL;
	const struct tensor_entry *e = beside(s, weight, ".comfy_quant");
	if (!e || e->bytes > sizeof text || e->strided)
		return SUMI_OK;
	const char *path = tensors_path(source_file(s, e));
	int status = tensors_read(source_file(s, e), e, text, err);
	if (!status)
		status = json_read_text(text, e->bytes, e->name, &words, err);
	if (status)
		return error_prefix(err, "%s", path);
	status = check_words(path, weight->name, words, err);
	json_decref(words);
	return status;
}

/* The same for all layers at once, in the header. */
static int check_metadata(const struct source *s, const struct tensor_entry *weight,
			  struct error *err)
{
	const struct tensor_file *file = source_file(s, weight);
	const char *text =
	    json_string_value(json_object_get(tensors_metadata(file), "_quantization_metadata"));
	json_t *root = NULL;
	if (!text)
		return SUMI_OK;
	int status = json_read_text(text, strlen(text), "_quantization_metadata", &root, err);
	if (status)
		return error_prefix(err, "%s", tensors_path(file));
	char layer[LAYOUT_NAME_MAX];
	size_t n = strlen(weight->name), w = strlen(WEIGHT);
	snprintf(layer, sizeof layer, "%.*s", (int)(n > w ? n - w : n), weight->name);
	status = check_words(tensors_path(file), weight->name,
			     json_object_get(json_object_get(root, "layers"), layer), err);
	json_decref(root);
	return status;
}

/* --- scales --- */

static int read_scales(const struct tensor_entry *weight, struct scale *out, struct error *err)
{
	uint64_t count = tensor_elements(out->entry);
	uint64_t rows = weight->rank > 0 ? (uint64_t)weight->shape[0] : 1;
	char shape[80];
	const struct tensor_entry *e = out->entry;
	if ((count != 1 && count != rows) || count > SCALES_MAX || !e->format->usable ||
	    e->format->elements != 1)
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: tensor '%.100s': a scale of shape %s (%s) for '%.100s': only "
				 "one number or one a row are supported",
				 tensors_path(out->file), e->name,
				 tensor_shape_text(e->shape, e->rank, shape, sizeof shape),
				 e->format->name, weight->name);
	unsigned char *raw = malloc(e->bytes + 1);
	out->values = malloc((size_t)count * sizeof *out->values);
	int status = raw && out->values
			 ? tensors_read(out->file, e, raw, err)
			 : error_set(err, SUMI_NOMEM, "out of memory while loading '%s'", e->name);
	if (!status) {
		tensor_format_floats(e->format, raw, (size_t)count, out->values);
		out->count = (size_t)count;
		out->row = count > 1 ? tensor_elements(weight) / count : 0;
	}
	free(raw);
	return status;
}

int scale_find(const struct source *s, const struct tensor_entry *weight, struct scale *out,
	       struct error *err)
{
	*out = (struct scale){.needed = false};
	if (!is_eight_bit(weight->format))
		return SUMI_OK;
	out->needed = strcmp(weight->format->name, "I8") == 0;
	for (size_t i = 0; i < sizeof scales / sizeof scales[0] && !out->entry; i++)
		out->entry = beside(s, weight, scales[i]);
	if (!out->entry)
		return SUMI_OK;
	out->file = source_file(s, out->entry);
	int status = check_quant(s, weight, err);
	if (!status)
		status = check_metadata(s, weight, err);
	return status ? status : read_scales(weight, out, err);
}

void scale_free(struct scale *scale)
{
	free(scale->values);
	*scale = (struct scale){.needed = false};
}

void scale_apply(const struct scale *scale, float *values, uint64_t at, size_t count)
{
	if (!scale->count)
		return;
	for (size_t i = 0; i < count; i++) {
		size_t row = scale->row ? (size_t)((at + i) / scale->row) : 0;
		values[i] *= scale->values[row < scale->count ? row : scale->count - 1];
	}
}

static bool belongs_to_weight(const struct source *s, const char *name, const char *ending)
{
	char weight[LAYOUT_NAME_MAX];
	size_t n = strlen(name), e = strlen(ending);
	if (n < e || strcmp(name + n - e, ending) != 0 || n - e + strlen(WEIGHT) >= sizeof weight)
		return false;
	snprintf(weight, sizeof weight, "%.*s%s", (int)(n - e), name, WEIGHT);
	const struct tensor_entry *found = tensor_list_find(&s->list, weight);
	return found && is_eight_bit(found->format);
}

bool scale_belongs(const struct source *s, const struct tensor_entry *entry)
{
	const char *dot = strrchr(entry->name, '.');
	/* The mark of a whole file. */
	if (strcmp(dot ? dot + 1 : entry->name, "scaled_fp8") == 0)
		return true;
	for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
		if (belongs_to_weight(s, entry->name, scales[i]))
			return true;
	/* Layers that were left whole may be marked too. */
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		size_t n = strlen(entry->name), e = strlen(others[i]);
		if (n > e && strcmp(entry->name + n - e, others[i]) == 0)
			return true;
	}
	return false;
}
