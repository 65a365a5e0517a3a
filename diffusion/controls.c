#include "diffusion/controls.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/model_file.h"
#include "diffusion/control.h"
#include "diffusion/family.h"
#include "diffusion/pack_internal.h"

int encoders_visit(const char *paths, const char *state_dir, place_file_visit *visit, void *context,
		   struct error *err)
{
	return places_visit_models(ENCODERS_FOLDER, paths, state_dir, visit, context, err);
}

int controls_visit(const char *paths, const char *state_dir, place_file_visit *visit, void *context,
		   struct error *err)
{
	return places_visit_models(CONTROLS_FOLDER, paths, state_dir, visit, context, err);
}

static const struct control_map control_maps[] = {
    {"none", NULL, {NULL}, NULL, CONTROL_KIND_ANY},
    {"canny", "canny", {"canny", NULL}, NULL, 3},
    {"lineart", "lineart", {"lineart", NULL}, NULL, 3},
    {"scribble", "scribble", {"scribble", "sketch", NULL}, NULL, 2},
    {"luminance", "luminance", {"luminance", "brightness", "recolor", NULL}, NULL, CONTROL_KIND_ANY},
    {"blur", "blur", {"blur", "tile", NULL}, NULL, 6},
    {"tile", NULL, {"tile", NULL}, NULL, 6},
    {"depth", NULL, {"depth", NULL}, NULL, 1},
    {"pose", NULL, {"pose", NULL}, NULL, 0},
    {"normal", NULL, {"normal", NULL}, NULL, 4},
    {"segments", NULL, {"seg", NULL}, NULL, 5},
    {"softedge", NULL, {"softedge", "hed", NULL}, NULL, 2},
    {"lines", NULL, {"mlsd", "lines", NULL}, NULL, 3},
    {"like", NULL, {"ip-adapter", "ip_adapter", "ipadapter", NULL}, "face", CONTROL_KIND_ANY},
    {"face", NULL, {"full-face", "plus-face", "full_face", NULL}, NULL, CONTROL_KIND_ANY},
    {NULL, NULL, {NULL}, NULL, CONTROL_KIND_ANY},
};

static const struct control_map several_kinds = {NULL, NULL, {"union", "promax", NULL}, NULL, CONTROL_KIND_ANY};

const struct control_map *control_map(const char *word)
{
	for (const struct control_map *m = control_maps; word && m->word; m++)
		if (strcmp(m->word, word) == 0)
			return m;
	return NULL;
}

/* ---- finding one ---- */

/* Whether a network is for the pack; true where there is none to ask. */
static int is_for(const struct pack_info *info, const char *path, struct error *err)
{
	struct denoiser *denoiser = NULL;
	struct control *control = NULL;
	int status = control_open(NULL, path, NULL, &control, err);
	if (!status && info)
		status = denoiser_open(info->family->denoiser, NULL, info,
				       pack_denoiser_part(info, false), &denoiser, err);
	if (!status && info)
		status = denoiser_takes(denoiser, control, err);
	denoiser_close(denoiser);
	control_close(control);
	return status;
}

/* Looks for one of a name, or for a map; names gathers what there is, for messages. */
struct search {
	const char *wanted;            /* a name; NULL: the first for map and pack */
	const struct control_map *map;
	const struct pack_info *info;
	char *name, *path; /* path empty: not found yet */
	char names[PLACES_NAMES_SIZE];
	char unfit[PLACES_LABEL_MAX + 1]; /* the first that has the name and is for another model; or empty */
	char why[sizeof((struct error *)0)->text];
};

static bool is_named(const char *name, const struct control_map *map)
{
	char low[PLACES_LABEL_MAX + 1];
	size_t n = strlen(name);
	for (size_t i = 0; i <= n; i++)
		low[i] = (char)tolower((unsigned char)name[i]);
	for (int i = 0; map->names[i]; i++)
		if (strstr(low, map->names[i]))
			return !(map->without && strstr(low, map->without));
	return false;
}

static int look(void *context, const char *name, const char *path, struct error *err)
{
	struct search *s = context;
	struct error ignored;
	places_gather(s->names, name);
	if (s->path[0] || (s->wanted ? !model_file_is_called(name, s->wanted) : !is_named(name, s->map)))
		return SUMI_OK;
	int status = s->wanted ? SUMI_OK : is_for(s->info, path, &ignored);
	if (status && status != SUMI_NOMEM && !s->unfit[0]) {
		snprintf(s->unfit, sizeof s->unfit, "%s", name);
		snprintf(s->why, sizeof s->why, "%s", ignored.text);
	}
	if (status)
		return status == SUMI_NOMEM ? error_set(err, status, "%s", ignored.text) : SUMI_OK;
	strcpy(s->name, name);
	return files_path(s->path, err, "%s", path);
}

static int find_for_map(const char *paths, const char *state_dir, struct search *s, struct error *err)
{
	const struct pack_info *info = s->info;
	if (!s->map->names[0])
		return error_set(err, SUMI_INVALID,
				 "say which network it is for: model, or preprocess (what its picture is a map "
				 "of)");
	int status = controls_visit(paths, state_dir, look, s, err);
	if (status || s->path[0])
		return status;
	/* Else one for several kinds of maps. */
	const struct control_map *wanted = s->map;
	s->map = wanted->kind == CONTROL_KIND_ANY ? wanted : &several_kinds;
	s->names[0] = '\0';
	status = controls_visit(paths, state_dir, look, s, err);
	s->map = wanted;
	if (status || s->path[0])
		return status;
	return error_set(err, SUMI_NOTFOUND, "there is no network for %s%s%s; there %s%s%s%s%s%s", s->map->word,
			 info ? " and model " : "", info ? info->name : "", places_there(s->names), s->names,
			 *s->unfit ? "; " : "", s->unfit, *s->unfit ? " is not for it: " : "", s->why);
}

/* One of a name, for the pack. */
static int find_named(const char *paths, const char *state_dir, struct search *s, struct error *err)
{
	int status = controls_visit(paths, state_dir, look, s, err);
	if (status)
		return status;
	if (!s->path[0])
		return error_set(err, SUMI_NOTFOUND, "there is no control '%.80s'; there %s%s", s->wanted,
				 places_there(s->names), s->names);
	if (!(status = is_for(s->info, s->path, err)))
		return SUMI_OK;
	if (status == SUMI_INVALID && s->info)
		return error_prefix(err, "%s is not for model %s", s->wanted, s->info->name);
	return error_prefix(err, "%s", s->wanted);
}

/* ---- its image encoder ---- */

struct encoder_search {
	const struct ip_config *config;
	char *path; /* empty: not found yet */
	char names[PLACES_NAMES_SIZE];
};

static int look_for_encoder(void *context, const char *name, const char *path, struct error *err)
{
	struct encoder_search *s = context;
	char where[FILES_PATH_MAX];
	places_gather(s->names, name);
	if (s->path[0] || !look_reads(s->config, path, where))
		return SUMI_OK;
	return files_path(s->path, err, "%s", path);
}

/* What lies beside it, else the first that it reads. */
static int find_encoder(const char *paths, const char *state_dir, const struct look *look,
			char out[FILES_PATH_MAX], struct error *err)
{
	char wants[80];
	struct encoder_search s = {.config = &look->config, .path = out};
	if (look->encoder[0])
		return files_path(out, err, "%s", look->encoder);
	int status = encoders_visit(paths, state_dir, look_for_encoder, &s, err);
	if (status || out[0])
		return status;
	return error_set(err, SUMI_NOTFOUND, "its IP-Adapter wants %s; there %s%s",
			 look_wants(&look->config, wants, sizeof wants), places_there(s.names), s.names);
}

/* What a job says of a picture that is seen as one with that before it. */
static int check_joined(const json_t *job, const struct control *control, const struct control_list *list, int index,
			struct error *err)
{
	if (!json_is_true(json_object_get(job, "joined")))
		return SUMI_OK;
	if (!control->look || index == 0 || strcmp(list->rows[index].path, list->rows[index - 1].path) != 0)
		return error_set(err, SUMI_INVALID, "joined: there is no picture of the same IP-Adapter before it");
	const json_t *strength = json_object_get(job, "strength");
	double end = json_number_value(json_object_get(job, "end"));
	if (json_object_get(job, "mask") || (strength && json_number_value(strength) != 1) ||
	    json_number_value(json_object_get(job, "start")) != 0 || (end != 0 && end != 1))
		return error_set(err, SUMI_INVALID,
				 "joined: strength, start, end and mask are those of the picture before it");
	return SUMI_OK;
}

/* The rest of a row whose network is found: what the job says of it, and what it needs besides. */
static int complete(const char *paths, const char *state_dir, const json_t *job, const struct control_map *map,
		    struct control_list *list, int index, struct error *err)
{
	struct control *control = NULL;
	struct vision_config seen_by;
	char where[FILES_PATH_MAX], *encoder = list->rows[index].encoder;
	int status = control_open(NULL, list->rows[index].path, NULL, &control, err);
	if (!status)
		status = control_check_use(control, json_is_true(json_object_get(job, "guess")),
					   json_object_get(job, "mask") != NULL, map->kind, err);
	if (!status)
		status = check_joined(job, control, list, index, err);
	if (!status && control->look) {
		status = find_encoder(paths, state_dir, control->look, encoder, err);
		if (!status && look_reads(&control->look->config, encoder, where) &&
		    !(status = vision_config_read(where, &seen_by, err)))
			list->rows[index].side = seen_by.side;
	}
	if (!status)
		list->rows[index].multiple = control_multiple(control);
	control_close(control);
	return status;
}

int controls_check_size(const struct control_list *list, int width, int height, struct error *err)
{
	for (int i = 0; list && i < list->count; i++) {
		int of = list->rows[i].multiple;
		if (of && (width % of || height % of))
			return error_set(err, SUMI_INVALID,
					 "controls, entry %d: %.80s wants sides that are multiples of %d, not %dx%d", i + 1,
					 list->rows[i].name, of, width, height);
	}
	return SUMI_OK;
}

int controls_find(const char *paths, const char *state_dir, const json_t *controls,
		  const struct pack_info *info, struct control_list **out, struct error *err)
{
	*out = NULL;
	int status;
	struct control_list *list = places_list(controls, "controls", RUN_CONTROLS_MAX, sizeof *list, &status, err);
	for (size_t i = 0; list && i < json_array_size(controls) && !status; i++) {
		const json_t *o = json_array_get(controls, i);
		const struct control_map *map =
		    control_map(json_string_value(json_object_get(o, "preprocess")));
		struct search s = {.wanted = json_string_value(json_object_get(o, "model")),
				   .map = map ? map : control_maps,
				   .info = info,
				   .name = list->rows[i].name,
				   .path = list->rows[i].path};
		status = s.wanted ? find_named(paths, state_dir, &s, err)
				  : find_for_map(paths, state_dir, &s, err);
		if (!status)
			status = complete(paths, state_dir, o, s.map, list, (int)i, err);
		if (status)
			error_prefix(err, "controls, entry %zu", i + 1);
		list->count++;
	}
	if (status)
		controls_free(list);
	else
		*out = list;
	return status;
}

void controls_free(struct control_list *list)
{
	if (list)
		json_decref(list->named);
	free(list);
}

uint64_t controls_stamp(const struct control_list *list)
{
	uint64_t stamp = 0;
	for (int i = 0; list && i < list->count; i++)
		stamp = pack_stamp_add(pack_stamp_add(stamp, list->rows[i].path), list->rows[i].encoder);
	return stamp;
}
