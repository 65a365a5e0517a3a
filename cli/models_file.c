/* What a file of tensors is. */
#include "cli/models_file.h"

#include <stdlib.h>
#include <string.h>

#include "weights/recognise.h"

/* What trainers and programs write about a file, and what it is called here. */
static const struct {
	const char *theirs, *ours;
} notes[] = {
    {"modelspec.title", "title"},
    {"modelspec.architecture", "architecture"},
    {"modelspec.author", "author"},
    {"modelspec.license", "licence"},
    {"modelspec.trigger_phrase", "trigger_words"},
    {"modelspec.prediction_type", "prediction_type"},
    {"ss_output_name", "title"},
    {"ss_base_model_version", "base"},
    {"ss_sd_model_name", "trained_on"},
    {"ss_network_module", "network"},
    {"ss_network_dim", "rank"},
    {"ss_network_alpha", "alpha"},
};

static void add_notes(json_t *o, const json_t *metadata)
{
	for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
		const char *text = json_string_value(json_object_get(metadata, notes[i].theirs));
		if (text && *text && strcmp(text, "None") != 0 && !json_object_get(o, notes[i].ours))
			json_object_set_new(o, notes[i].ours, json_string(text));
	}
}

/* {"F16": tensors, …} */
static json_t *count_formats(const struct tensor_file *file, uint64_t *elements)
{
	json_t *o = json_object();
	for (size_t i = 0; i < tensors_count(file); i++) {
		const struct tensor_entry *e = tensors_at(file, i);
		json_t *n = json_object_get(o, e->format->name);
		json_object_set_new(o, e->format->name, json_integer(json_integer_value(n) + 1));
		*elements += tensor_elements(e);
	}
	return o;
}

int models_file_describe(const char *path, json_t **out, struct error *err)
{
	struct tensor_file *file;
	const struct tensor_entry **entries;
	struct recognition r;
	uint64_t elements = 0;
	int status = tensors_open(path, &file, err);
	*out = NULL;
	if (status)
		return status;
	size_t count = tensors_count(file);
	entries = calloc(count + 1, sizeof *entries);
	if (!entries) {
		status = error_set(err, SUMI_NOMEM, "%s: out of memory", path);
		goto done;
	}
	for (size_t i = 0; i < count; i++)
		entries[i] = tensors_at(file, i);
	recognise(&(struct tensor_list){entries, count}, &r);
	json_t *formats = count_formats(file, &elements);
	*out = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:I, s:I, s:o}", "file", path, "container",
			 tensors_kind(file), "kind", r.kind ? r.kind : "unknown", "family", r.family,
			 "detail", *r.detail ? r.detail : NULL, "tensors",
			 (json_int_t)count, "parameters", (json_int_t)elements, "formats",
			 formats);
	if (*out)
		add_notes(*out, tensors_metadata(file));
	else
		status = error_set(err, SUMI_INVALID, "%s: its name is not valid UTF-8", path);
done:
	free(entries);
	tensors_close(file);
	return status;
}
