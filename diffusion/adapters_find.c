/* Adapters by the names that people have for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/model_file.h"
#include "base/nearest.h"
#include "diffusion/adapters.h"
#include "diffusion/places.h"

/* PEFT's folder is one adapter, with what its trainer left in it; diffusers' file may lie among others. */
static enum place_within within(const char *folder, char out[FILES_PATH_MAX])
{
	char config[FILES_PATH_MAX];
	return !adapter_in_folder(folder, out)	    ? WITHIN_NONE
	       : adapter_config_path(out, config) ? WITHIN_WHOLE
						  : WITHIN_FILE;
}

int adapters_visit(const char *paths, const char *state_dir, adapter_visit *visit, void *context,
		   struct error *err)
{
	return places_visit_within(ADAPTERS_FOLDER, paths, state_dir, within, visit, context, err);
}

/* How well a name fits a file; of two that fit as well the first counts. */
enum fit { FIT_NAME, FIT_ENDING, FIT_PATH, FIT_ALIAS, FIT_NOT };

/* Looks for one of a name; names gathers what there is, for messages. */
struct search {
	char name[ADAPTER_LABEL_MAX + 1]; /* '/' between folders */
	enum fit fit;
	char *path, *label; /* [FILES_PATH_MAX], [ADAPTER_LABEL_MAX + 1] */
	bool twice; /* two files have it as their alias */
	char names[PLACES_NAMES_SIZE];
	struct nearest nearest;
	char near[ADAPTER_LABEL_MAX + 1];
};

/* Whether path, without what `less` of it is, ends with a name behind a slash. */
static bool path_ends(const char *path, size_t less, const char *name)
{
	size_t n = strlen(path) - less, length = strlen(name);
	return n > length && path[n - length - 1] == '/' && strncmp(path + n - length, name, length) == 0;
}

/* "styles/ink", with the file's ending or without, as ComfyUI has it; of a folder that is one adapter its own. */
static bool is_path(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/'), *ending = model_file_ending(slash ? slash + 1 : path);
	if (path_ends(path, 0, name) || (ending && path_ends(path, strlen(ending), name)))
		return true;
	return slash && strchr(name, '/') && path_ends(path, strlen(slash), name);
}

static enum fit fit_of(const char *wanted, const char *name, const char *path)
{
	if (strcmp(wanted, name) == 0)
		return FIT_NAME;
	if (model_file_is_called(name, wanted))
		return FIT_ENDING;
	return is_path(path, wanted) ? FIT_PATH : FIT_NOT;
}

static int look(void *context, const char *name, const char *path, struct error *err)
{
	struct search *s = context;
	enum fit fit = fit_of(s->name, name, path);
	nearest_try(&s->nearest, name);
	if (s->nearest.best == name)
		s->nearest.best = strcpy(s->near, name);
	places_gather(s->names, name);
	if (fit >= s->fit)
		return SUMI_OK;
	s->fit = fit;
	strcpy(s->label, name);
	return files_path(s->path, err, "%s", path);
}

/* By what kohya's trainer called it, which AUTOMATIC1111 takes too where no file has the name. */
static int look_inside(void *context, const char *name, const char *path, struct error *err)
{
	struct search *s = context;
	struct tensor_file *file;
	if (tensors_open(path, &file, NULL))
		return SUMI_OK;
	const char *alias = json_string_value(json_object_get(tensors_metadata(file), "ss_output_name"));
	bool is_it = alias && strcmp(alias, s->name) == 0;
	tensors_close(file);
	if (!is_it || (s->fit == FIT_ALIAS && strcmp(s->label, name) == 0))
		return SUMI_OK;
	if (s->fit == FIT_ALIAS)
		return error_set(err, SUMI_INVALID, "two LoRAs call themselves '%.80s' (their ss_output_name): name '%.80s' or '%.80s'",
				 s->name, s->label, name);
	s->fit = FIT_ALIAS;
	strcpy(s->label, name);
	return files_path(s->path, err, "%s", path);
}

static int find_one(const char *paths, const char *state_dir, const char *name, char label[ADAPTER_LABEL_MAX + 1],
		    char *path, struct error *err)
{
	struct search s = {.fit = FIT_NOT, .path = path, .label = label, .nearest = nearest_to(name)};
	snprintf(s.name, sizeof s.name, "%s", name);
	for (char *p = s.name; (p = strchr(p, '\\'));) /* Windows' */
		*p = '/';
	path[0] = label[0] = '\0';
	int status = adapters_visit(paths, state_dir, look, &s, err);
	if (!status && s.fit == FIT_NOT && *s.name)
		status = adapters_visit(paths, state_dir, look_inside, &s, err);
	if (status || path[0])
		return status;
	return error_set(err, SUMI_NOTFOUND, "there is no LoRA '%.80s'%s%s%s; there %s%s", name,
			 s.nearest.best ? " (did you mean '" : "", s.nearest.best ? s.near : "",
			 s.nearest.best ? "'?)" : "", places_there(s.names), s.names);
}

int adapters_find(const char *paths, const char *state_dir, const json_t *loras,
		  struct adapter_list **out, struct error *err)
{
	*out = NULL;
	int status;
	struct adapter_list *list = places_list(loras, "loras", OVERLAYS_MAX, sizeof *list, &status, err);
	for (size_t i = 0; list && i < json_array_size(loras) && !status; i++) {
		const json_t *o = json_array_get(loras, i), *te = json_object_get(o, "te_weight");
		const char *name = json_string_value(json_object_get(o, "name"));
		struct adapter_weight *w = &list->rows[i].weight;
		w->denoiser = json_number_value(json_object_get(o, "weight"));
		w->text = te ? json_number_value(te) : w->denoiser;
		w->ranks = (int)json_integer_value(json_object_get(o, "dyn"));
		status = find_one(paths, state_dir, name ? name : "", list->rows[i].name, list->rows[i].path, err);
		list->count++;
	}
	if (status)
		free(list);
	else
		*out = list;
	return status;
}

uint64_t adapters_stamp(const struct adapter_list *list)
{
	uint64_t stamp = 0;
	for (int i = 0; list && i < list->count; i++) {
		char config[FILES_PATH_MAX];
		stamp = pack_stamp_add(stamp, list->rows[i].path);
		if (adapter_config_path(list->rows[i].path, config))
			stamp = pack_stamp_add(stamp, config);
	}
	return stamp;
}

bool adapters_equal(const struct adapter_list *a, const struct adapter_list *b)
{
	int count = a ? a->count : 0;
	if (count != (b ? b->count : 0))
		return false;
	for (int i = 0; i < count; i++) {
		const struct adapter_weight *x = &a->rows[i].weight, *y = &b->rows[i].weight;
		if (strcmp(a->rows[i].path, b->rows[i].path) != 0 || x->denoiser != y->denoiser ||
		    x->text != y->text || x->ranks != y->ranks)
			return false;
	}
	return true;
}
