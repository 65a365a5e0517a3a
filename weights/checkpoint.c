/* Parts of one file, and the documents that a folder would have for them. */
#include "weights/checkpoint.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/nearest.h"
#include "weights/derive.h"
#include "weights/parts.h"
#include "weights/recognise.h"

enum { SIDE_LIMIT = 1 << 20 };

#define INDEX "model_index.json"

/* --- components and parts --- */

/* The name of a component's part. An open_clip encoder in front of the others is the second one of
 * a pair whose first is missing (SDXL's refiner). */
static const char *part_of(const struct component *all, int count, int index)
{
	const struct component *c = &all[index];
	int place = c->kind == COMPONENT_TEXT && strcmp(c->prefix, "conditioner.embedders.0.model.") == 0;
	for (int i = 0; i < count && c->kind == COMPONENT_TEXT; i++)
		place += all[i].kind == COMPONENT_TEXT && strcmp(all[i].prefix, c->prefix) < 0;
	return file_part_at(c->kind, place)->name;
}

/* Keeps those that are chosen, releases the others. Returns how many are left. */
static int keep(struct component *all, int count, const char *part)
{
	bool chosen[LAYOUT_COMPONENTS_MAX];
	/* An encoder that is alone in its file may be taken for either of a pair. */
	const struct file_part *wanted = file_part_named(part);
	bool alone = count == 1 && wanted && wanted->kind == COMPONENT_TEXT && all[0].kind == COMPONENT_TEXT;
	int kept = 0;
	for (int i = 0; i < count; i++)
		chosen[i] = alone || strcmp(part_of(all, count, i), part) == 0;
	for (int i = 0; i < count; i++)
		if (chosen[i])
			all[kept++] = all[i];
		else
			component_free(&all[i]);
	return kept;
}

/* Whether all are one part: an autoencoder may be named as two. */
static bool is_one_part(const struct component *all, int count)
{
	for (int i = 1; i < count; i++)
		if (strcmp(part_of(all, count, i), part_of(all, count, 0)) != 0)
			return false;
	return count > 0;
}

int checkpoint_components(const struct source *s, const char *path,
			  struct component out[LAYOUT_COMPONENTS_MAX], int *count,
			  struct error *err)
{
	const char *part = s->part;
	if (strncmp(part, CHECKPOINT_XL "/", strlen(CHECKPOINT_XL "/")) == 0)
		part += strlen(CHECKPOINT_XL "/");
	*count = components_find(&s->list, out, LAYOUT_COMPONENTS_MAX);
	if (*count < 0) {
		*count = 0;
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	}
	if (*part || !is_one_part(out, *count))
		*count = keep(out, *count, part);
	if (*part && *count == 0)
		return error_set(err, SUMI_NOTFOUND, "%s: the file holds no such part", path);
	return SUMI_OK;
}

/* --- documents --- */

void checkpoint_side_file(const char *file, char out[FILES_PATH_MAX])
{
	const char *slash = strrchr(file, '/'), *dot = strrchr(file, '.');
	size_t stem = dot && (!slash || dot > slash + 1) ? (size_t)(dot - file) : strlen(file);
	if (files_path(out, NULL, "%.*s.sumi.json", (int)stem, file) || access(out, F_OK) != 0)
		out[0] = '\0';
}

static int add_side(json_t *documents, const char *file, struct error *err)
{
	char path[FILES_PATH_MAX];
	json_t *side = NULL;
	checkpoint_side_file(file, path);
	if (!*path)
		return SUMI_OK;
	int status = json_read_file(path, SIDE_LIMIT, &side, err);
	if (!status && !json_is_object(side))
		status = error_set(err, SUMI_INVALID, "%s: must hold one JSON object", path);
	if (status)
		json_decref(side);
	else
		json_object_set_new(documents, "sumi.json", side);
	return status;
}

/* Configs have many fields, so one that the told ones lack is no fault by itself; one that is nearly one of them is. */
static int note_typos(json_t *documents, const char *part, const json_t *told, const json_t *fields)
{
	const char *key, *known;
	json_t *ignored, *typos = json_object_get(documents, CHECKPOINT_TYPOS);
	int failed = 0;
	json_object_foreach((json_t *)fields, key, ignored)
	{
		char place[128];
		json_t *same;
		struct nearest near = nearest_to(key);
		json_object_foreach((json_t *)told, known, same)
			nearest_try(&near, known);
		if (json_object_get(told, key) || !near.best)
			continue;
		if (!typos) {
			failed |= json_object_set_new(documents, CHECKPOINT_TYPOS, json_object());
			typos = json_object_get(documents, CHECKPOINT_TYPOS);
		}
		snprintf(place, sizeof place, "%.40s: %.60s", part, key);
		failed |= json_object_set_new(typos, place, json_string(near.best));
	}
	return failed;
}

/* Fields of "config" in the file beside replace those that were told, or, where they name a class,
 * all of them. */
static int replace_fields(json_t *documents, struct error *err)
{
	const json_t *side = json_object_get(documents, "sumi.json"), *config = json_object_get(side, "config");
	const char *part;
	json_t *fields;
	if (config && !json_is_object(config))
		return error_set(err, SUMI_INVALID,
				 "field 'config' must be an object with an object for each part, as in {\"unet\": {…}}");
	if (json_object_get(side, "prediction_type")) /* without a word it would be another picture */
		return error_set(err, SUMI_INVALID, "field 'prediction_type' is the scheduler's: write \"config\": "
						    "{\"scheduler\": {\"prediction_type\": …}}");
	json_object_foreach((json_t *)config, part, fields)
	{
		char path[96];
		bool index = strcmp(part, "model_index") == 0;
		snprintf(path, sizeof path, "%.60s%s", part,
			 index                            ? ".json"
			 : strcmp(part, "scheduler") == 0 ? "/scheduler_config.json"
							  : "/config.json");
		json_t *document = json_object_get(documents, path);
		if (!document || !json_is_object(fields))
			return error_set(
			    err, SUMI_INVALID,
			    "field 'config' names '%.60s', which is no part of the file, "
			    "or gives no fields for it",
			    part);
		if (json_object_get(fields, "_class_name"))
			json_object_clear(document); /* it is all there */
		else if (note_typos(documents, part, document, fields))
			return error_set(err, SUMI_NOMEM, "out of memory");
		if (json_object_update(document, fields))
			return error_set(err, SUMI_NOMEM, "out of memory");
	}
	return SUMI_OK;
}

static json_t *derive(enum component_kind kind, const struct part_names *names,
		      const struct derived *model, const char *part)
{
	switch (kind) {
	case COMPONENT_UNET:
		return derive_unet(names, model);
	case COMPONENT_VAE:
		return derive_vae(names, model);
	case COMPONENT_TINY_VAE:
		return derive_tiny_vae(names);
	case COMPONENT_CONTROL_NET:
		return derive_controlnet(names);
	case COMPONENT_T2I_ADAPTER:
		return derive_t2i_adapter(names);
	case COMPONENT_IP_ADAPTER:
		return derive_ip_adapter(names);
	case COMPONENT_IMAGE:
		return derive_image_encoder(names);
	default:
		return derive_text(names, file_part_named(part)->place > 0);
	}
}

static int put(json_t *documents, const char *name, json_t *document, struct error *err)
{
	if (!document || json_object_set_new(documents, name, document))
		return error_set(err, SUMI_NOMEM, "out of memory while reading a checkpoint");
	return SUMI_OK;
}

/* A part's tensors and the kind of its first component; *names NULL: the file has no such part. */
static int open_part(struct source *s, const char *part, struct part_names **names,
		     enum component_kind *kind, struct error *err)
{
	struct component all[LAYOUT_COMPONENTS_MAX];
	struct error own = {0};
	int count;
	*names = NULL;
	snprintf(s->part, sizeof s->part, "%s", part);
	int status = checkpoint_components(s, part, all, &count, &own);
	s->part[0] = '\0';
	if (status == SUMI_NOTFOUND)
		return SUMI_OK;
	if (status)
		return error_set(err, status, "%s", own.text);
	*kind = all[0].kind;
	status = part_names_new(&s->list, all, count, names, err);
	for (int i = 0; i < count; i++)
		component_free(&all[i]);
	return status;
}

/* The config of one part, as for a model of that kind. */
static int add_part(json_t *documents, struct source *s, const char *part, const char *below,
		    const struct derived *model, struct error *err)
{
	struct part_names *names;
	enum component_kind kind = COMPONENT_UNET;
	char path[96];
	int status = open_part(s, part, &names, &kind, err);
	if (status || !names)
		return status;
	snprintf(path, sizeof path, "%s%s/config.json", below, part);
	status = put(documents, path, derive(kind, names, model, part), err);
	part_names_free(names);
	return status;
}

/* What the UNet says of the whole; *found false: there is none. */
static int read_model(struct source *s, struct derived *model, bool *found, struct error *err)
{
	struct part_names *names;
	enum component_kind kind;
	*model = (struct derived){.context = 0};
	int status = open_part(s, "unet", &names, &kind, err);
	*found = names != NULL;
	if (!status && names)
		status = derive_model(s, names, model, err);
	part_names_free(names);
	return status;
}

/* What only a whole model has. */
static int add_whole(json_t *documents, struct derived *model, struct error *err)
{
	static const char vae[] = "vae/config.json", tiny[] = "AutoencoderTiny";
	const char *class =
	    json_string_value(json_object_get(json_object_get(documents, vae), "_class_name"));
	int status =
	    put(documents, INDEX, derive_index(model, class && strcmp(class, tiny) == 0), err);
	if (!status)
		status =
		    put(documents, "scheduler/scheduler_config.json", derive_scheduler(model), err);
	if (!status && model->xl)
		status = put(documents, CHECKPOINT_XL, json_true(), err);
	const json_t *unet = json_object_get(
	    json_object_get(json_object_get(documents, "sumi.json"), "config"), "unet");
	if (!status && derive_guesses_heads(model) && !json_object_get(unet, "attention_head_dim"))
		status = put(
		    documents, CHECKPOINT_NOTE,
		    json_string("how many attention heads there are cannot be told from its "
				"tensors: \"config\": {\"unet\": {\"attention_head_dim\": …}} in "
				"NAME.sumi.json beside it says so"),
		    err);
	return status;
}

static bool has_text(const json_t *documents, int place)
{
	char name[64];
	snprintf(name, sizeof name, "%s/config.json", file_part_at(COMPONENT_TEXT, place)->name);
	return json_object_get(documents, name) != NULL;
}

static int add_parts(json_t *documents, struct source *s, struct error *err)
{
	static const struct derived xl = {.xl = true};
	struct derived model;
	bool is_model;
	int status = read_model(s, &model, &is_model, err);
	for (const struct file_part *p = file_parts; p->name && !status; p++)
		if (p == file_part_named(p->name))
			status = add_part(documents, s, p->name, "", &model, err);
	if (!status)
		status = add_part(documents, s, "vae", CHECKPOINT_XL "/", &xl, err);
	if (status || !is_model)
		return status;
	/* Of the two kinds of Stable Diffusion XL one has no first encoder. */
	model.refiner |= model.xl && has_text(documents, 1) && !has_text(documents, 0);
	return add_whole(documents, &model, err);
}

/* For whoever looks for a model in a file that is none. */
static int add_kind(json_t *documents, const struct source *s, struct error *err)
{
	struct recognition r;
	char text[160];
	recognise(&s->list, &r);
	return put(documents, CHECKPOINT_KIND, json_string(recognition_text(&r, text, sizeof text)),
		   err);
}

static int read_documents(const char *file, json_t **out, struct error *err)
{
	struct source s = {.file_count = 0};
	char side[FILES_PATH_MAX];
	*out = json_object();
	int status = *out ? source_open(file, &s, err)
			  : error_set(err, SUMI_NOMEM, "%s: out of memory", file);
	if (!status)
		status = add_side(*out, file, err);
	if (!status)
		status = add_parts(*out, &s, err);
	if (!status && !json_object_get(*out, INDEX))
		status = add_kind(*out, &s, err);
	source_close(&s);
	if (!status && (status = replace_fields(*out, err))) {
		checkpoint_side_file(file, side);
		error_prefix(err, "%s", side);
	}
	if (status) {
		json_decref(*out);
		*out = NULL;
	}
	return status;
}

/* --- the last file that was looked into, since its documents are asked for one by one --- */

struct stamp {
	struct timespec changed, side_changed;
	ino_t inode;
	off_t size, side_size;
};

static struct {
	pthread_mutex_t lock;
	char path[FILES_PATH_MAX];
	struct stamp stamp;
	json_t *documents;
} last = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct stamp stamp_of(const char *file)
{
	struct stamp stamp;
	char side[FILES_PATH_MAX];
	struct stat st;
	memset(&stamp, 0, sizeof stamp); /* compared as bytes */
	if (stat(file, &st) == 0) {
		stamp.changed = st.st_ctim;
		stamp.inode = st.st_ino;
		stamp.size = st.st_size;
	}
	checkpoint_side_file(file, side);
	if (*side && stat(side, &st) == 0) {
		stamp.side_changed = st.st_ctim;
		stamp.side_size = st.st_size;
	}
	return stamp;
}

/* A copy of one document; SUMI_NOTFOUND without a message where the file has none of that name. */
static int document(const char *file, const char *name, json_t **out, struct error *err)
{
	struct stamp now = stamp_of(file);
	int status = SUMI_OK;
	pthread_mutex_lock(&last.lock);
	if (!last.documents || strcmp(last.path, file) != 0 ||
	    memcmp(&last.stamp, &now, sizeof now) != 0) {
		json_decref(last.documents);
		status = read_documents(file, &last.documents, err);
		snprintf(last.path, sizeof last.path, "%s", file);
		last.stamp = now;
	}
	const json_t *found = status ? NULL : json_object_get(last.documents, name);
	*out = found ? json_deep_copy(found) : NULL;
	pthread_mutex_unlock(&last.lock);
	if (status)
		return status;
	if (!found)
		return SUMI_NOTFOUND;
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "%s: out of memory", file);
}

int part_json_read(const char *path, size_t limit, json_t **root, struct error *err)
{
	char file[FILES_PATH_MAX];
	const char *rest;
	if (!source_split(path, file, &rest) || !*rest)
		return json_read_file(path, limit, root, err);
	*root = NULL;
	int status = document(file, rest, root, err);
	if (status != SUMI_NOTFOUND || *root)
		return status;
	json_t *kind = NULL;
	if (strcmp(rest, INDEX) == 0 && document(file, CHECKPOINT_KIND, &kind, NULL) == SUMI_OK)
		error_set(err, SUMI_NOTFOUND, "%s: is %s, not a model", file,
			  json_string_value(kind));
	else
		error_set(err, SUMI_NOTFOUND, "%s: the file holds nothing of that kind", path);
	json_decref(kind);
	return SUMI_NOTFOUND;
}

bool part_exists(const char *path)
{
	char file[FILES_PATH_MAX], config[FILES_PATH_MAX];
	const char *rest;
	json_t *root = NULL;
	if (!source_split(path, file, &rest) || !*rest)
		return access(path, F_OK) == 0;
	bool found = document(file, rest, &root, NULL) == SUMI_OK;
	if (!found && !files_path(config, NULL, "%s/config.json", rest))
		found = document(file, config, &root, NULL) == SUMI_OK;
	json_decref(root);
	return found;
}
