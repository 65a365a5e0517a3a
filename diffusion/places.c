/* Where what came with the program lies. */
#include "diffusion/places.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/model_file.h"

/* …/build/bin/sumi → …/models */
static void checkout_models(char out[FILES_PATH_MAX])
{
	char exe[FILES_PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	out[0] = '\0';
	if (n <= 0)
		return;
	exe[n] = '\0';
	for (int up = 0; up < 3; up++) {
		char *slash = strrchr(exe, '/');
		if (!slash)
			return;
		*slash = '\0';
		/* A program under build/tests or build/asan/bin lies one level deeper or not. */
		char *base = strrchr(exe, '/');
		if (base && strcmp(base, "/build") == 0) {
			*base = '\0';
			if (files_path(out, NULL, "%s/models", exe))
				out[0] = '\0';
			return;
		}
	}
}

/* Writes folder number `index` of the models that came with the program: installed with it, in the
 * checkout that it was built in. False: there are no more; out is empty where there is none of a
 * kind. */
static bool place_of_models(int index, char out[FILES_PATH_MAX])
{
	if (index == 0 && files_path(out, NULL, "%s", SUMI_PREFIX "/share/sumi/models"))
		out[0] = '\0';
	if (index == 1)
		checkout_models(out);
	return index < 2;
}

bool places_came_along(const char *path)
{
	char models[FILES_PATH_MAX];
	for (int i = 0; place_of_models(i, models); i++) {
		size_t n = strlen(models);
		if (n > 0 && strncmp(path, models, n) == 0 && path[n] == '/')
			return true;
	}
	return false;
}

typedef int place_visit(void *context, const char *place, bool named, struct error *err);

static int visit_named(const char *paths, place_visit *visit, void *context, struct error *err)
{
	int status = SUMI_OK;
	while (!status && paths && *paths) {
		size_t n = strcspn(paths, ":");
		char place[FILES_PATH_MAX];
		if (n > 0 && n < sizeof place) {
			memcpy(place, paths, n);
			place[n] = '\0';
			status = visit(context, place, true, err);
		}
		paths += n + (paths[n] == ':');
	}
	return status;
}

enum { SEEN_MAX = 64 };

struct visit_once {
	place_visit *visit;
	void *context;
	size_t n;
	struct {
		dev_t device;
		ino_t folder;
	} seen[SEEN_MAX];
};

/* A folder that is named twice, or comes with the program and is named too, is one: what lies in it is not beside
 * itself. */
static int once(void *context, const char *place, bool named, struct error *err)
{
	struct visit_once *v = context;
	struct stat st;
	if (stat(place, &st) == 0) {
		for (size_t i = 0; i < v->n; i++)
			if (v->seen[i].device == st.st_dev && v->seen[i].folder == st.st_ino)
				return SUMI_OK;
		if (v->n < SEEN_MAX) {
			v->seen[v->n].device = st.st_dev;
			v->seen[v->n++].folder = st.st_ino;
		}
	}
	return v->visit(v->context, place, named, err);
}

int places_visit(const char *paths, const char *state_dir, place_visit *visit, void *context,
		 struct error *err)
{
	char place[FILES_PATH_MAX];
	struct visit_once v = {.visit = visit, .context = context};
	int status = visit_named(paths, once, &v, err);
	if (!status)
		status = visit_named(getenv("SUMI_PACKS"), once, &v, err);
	if (!status && state_dir && *state_dir) {
		status = files_path(place, err, "%s/models", state_dir);
		if (!status)
			status = once(&v, place, false, err);
	}
	for (int i = 0; !status && place_of_models(i, place); i++)
		if (place[0])
			status = once(&v, place, false, err);
	return status;
}

int place_of_tokenizer(const char *name, char out[FILES_PATH_MAX], struct error *err)
{
	char models[FILES_PATH_MAX];
	for (int i = 0; place_of_models(i, models); i++)
		if (models[0] && !files_path(out, NULL, "%s/tokenizers/%s", models, name) &&
		    access(out, F_OK) == 0)
			return SUMI_OK;
	return error_set(err, SUMI_NOTFOUND, "the tokenizer '%s' that comes with sumi is not there",
			 name);
}

/* ---- files in folders of places ---- */

enum { DEPTH = 3 }; /* people sort them into folders */

/* The length of a file's name without its ending; 0: it is no file of tensors, or longer than a name is. */
static size_t label_length(const char *file)
{
	const char *end = model_file_ending(file);
	return end && (size_t)(end - file) <= PLACES_LABEL_MAX ? (size_t)(end - file) : 0;
}

static int is_shown(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

struct visit_files {
	const char *folder;
	place_file_within *within; /* NULL: folders are never files */
	place_file_visit *visit;
	void *context;
};

/* A folder with a config.json is itself what is looked for. */
static enum place_within model_in_folder(const char *folder, char out[FILES_PATH_MAX])
{
	bool is = !files_path(out, NULL, "%s/config.json", folder) && access(out, F_OK) == 0 &&
		  !files_path(out, NULL, "%s", folder);
	return is ? WITHIN_WHOLE : WITHIN_NONE;
}

static int visit_folder(const struct visit_files *v, const char *folder, const char *seen, int depth, struct error *err);

/* One that is a file too counts under its own name; what else lies in it, unless that is all, for itself. */
static int visit_inner(const struct visit_files *v, const char *name, const char *folder, int depth, struct error *err)
{
	char file[FILES_PATH_MAX];
	int status = SUMI_OK;
	enum place_within is = v->within ? v->within(folder, file) : WITHIN_NONE;
	if (is != WITHIN_NONE && strlen(name) <= PLACES_LABEL_MAX)
		status = v->visit(v->context, name, file, err);
	if (status || depth <= 0 || is == WITHIN_WHOLE)
		return status;
	return visit_folder(v, folder, is == WITHIN_FILE ? file : NULL, depth - 1, err);
}

static int visit_entry(const struct visit_files *v, const char *file, const char *path, int depth,
		       struct error *err)
{
	struct stat st;
	char name[PLACES_LABEL_MAX + 1];
	size_t length = label_length(file);
	if (stat(path, &st) != 0)
		return SUMI_OK;
	if (S_ISDIR(st.st_mode))
		return visit_inner(v, file, path, depth, err);
	if (!S_ISREG(st.st_mode) || length == 0)
		return SUMI_OK;
	snprintf(name, sizeof name, "%.*s", (int)length, file);
	return v->visit(v->context, name, path, err);
}

/* seen: a file in it that has counted; or NULL. */
static int visit_folder(const struct visit_files *v, const char *folder, const char *seen, int depth, struct error *err)
{
	struct dirent **entries;
	char path[FILES_PATH_MAX];
	int status = SUMI_OK, n = scandir(folder, &entries, is_shown, alphasort);
	for (int i = 0; i < n; i++) {
		if (!status && !files_path(path, NULL, "%s/%s", folder, entries[i]->d_name) &&
		    (!seen || strcmp(path, seen) != 0))
			status = visit_entry(v, entries[i]->d_name, path, depth, err);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return status;
}

static int visit_place(void *context, const char *place, bool named, struct error *err)
{
	char folder[FILES_PATH_MAX];
	const struct visit_files *v = context;
	(void)named;
	if (files_path(folder, NULL, "%s/%s", place, v->folder))
		return SUMI_OK;
	return visit_folder(v, folder, NULL, DEPTH, err);
}

int places_visit_files(const char *folder, const char *paths, const char *state_dir,
		       place_file_visit *visit, void *context, struct error *err)
{
	return places_visit_within(folder, paths, state_dir, NULL, visit, context, err);
}

int places_visit_within(const char *folder, const char *paths, const char *state_dir, place_file_within *within,
			place_file_visit *visit, void *context, struct error *err)
{
	struct visit_files v = {folder, within, visit, context};
	return places_visit(paths, state_dir, visit_place, &v, err);
}

int places_visit_models(const char *folder, const char *paths, const char *state_dir,
			place_file_visit *visit, void *context, struct error *err)
{
	return places_visit_within(folder, paths, state_dir, model_in_folder, visit, context, err);
}

void *places_list(const json_t *list, const char *what, size_t most, size_t size, int *status, struct error *err)
{
	size_t count = json_array_size(list);
	void *room = count && count <= most ? calloc(1, size) : NULL;
	*status = SUMI_OK;
	if (count > most)
		*status = error_set(err, SUMI_INVALID, "%s: %zu of them, allowed are %zu", what, count, most);
	else if (count && !room)
		*status = error_set(err, SUMI_NOMEM, "out of memory");
	return room;
}

void places_gather(char names[PLACES_NAMES_SIZE], const char *name)
{
	size_t n = strlen(names);
	if (n + strlen(name) + 8 < PLACES_NAMES_SIZE)
		snprintf(names + n, PLACES_NAMES_SIZE - n, "%s%s", n ? ", " : "", name);
	else if (n && !strstr(names, "…"))
		strcpy(names + n, ", …");
}

const char *places_there(const char *names)
{
	return *names ? "are: " : "is none: sumi models add FILE brings one";
}
