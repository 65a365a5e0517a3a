/* Finding model packs. */
#include "diffusion/catalogue.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/model_file.h"
#include "diffusion/pack_internal.h"
#include "diffusion/places.h"

enum { PACKS_MAX = 1024 };

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct pack_info *)a)->name, ((const struct pack_info *)b)->name);
}

static int add_problem(struct catalogue *c, const struct error *problem)
{
	void *grown = realloc(c->problems, (size_t)(c->problem_count + 1) * sizeof *c->problems);
	if (!grown)
		return SUMI_NOMEM;
	c->problems = grown;
	strcpy(c->problems[c->problem_count++], problem->text);
	return SUMI_OK;
}

/* Whether two paths are in one folder. In another place a name may be there again. */
static bool is_beside(const char *a, const char *b)
{
	const char *slash = strrchr(a, '/');
	size_t n = slash ? (size_t)(slash - a) + 1 : 0;
	return strncmp(a, b, n) == 0 && !strchr(b + n, '/');
}

static int add_pack(struct catalogue *c, const char *folder, struct error *err)
{
	struct pack_info info;
	struct error problem;
	int status = pack_check_whole(folder, &problem);
	if (!status)
		status = pack_info_read_plain(folder, &info, &problem);
	if (!status && (status = pack_parts_check_fast(&info, &problem)))
		pack_info_free(&info);
	if (!status && c->count >= PACKS_MAX) {
		status = error_set(&problem, SUMI_TOOBIG, "%s: more than %d model packs", folder,
				   PACKS_MAX);
		pack_info_free(&info);
	}
	for (int i = 0; i < c->count && !status; i++)
		if (strcmp(c->packs[i].name, info.name) == 0) {
			status =
			    is_beside(c->packs[i].path, folder)
				? error_set(&problem, SUMI_EXISTS,
					    "%s: a model of that name is beside it: %s is taken "
					    "(\"name\" in sumi.json, or in NAME.sumi.json beside a "
					    "file, gives it another)",
					    folder, c->packs[i].path)
				: SUMI_OK;
			pack_info_free(&info);
			if (!status)
				return SUMI_OK;
		}
	if (!status && !c->plain &&
	    ((status = pack_parts_check_weights(&info, &problem)) ||
	     (status = pack_info_digest(&info, &problem))))
		pack_info_free(&info);
	if (status)
		return add_problem(c, &problem) ? error_set(err, SUMI_NOMEM, "out of memory")
						: SUMI_OK;
	void *grown = realloc(c->packs, (size_t)(c->count + 1) * sizeof *c->packs);
	if (!grown) {
		pack_info_free(&info);
		return error_set(err, SUMI_NOMEM, "out of memory");
	}
	c->packs = grown;
	c->packs[c->count++] = info;
	return SUMI_OK;
}

/* A place that somebody named must be there, and hold packs instead of being one. */
static int check_place(struct catalogue *c, const char *place, const DIR *dir, struct error *err)
{
	char index[FILES_PATH_MAX];
	struct error problem;
	if (!dir)
		error_errno(&problem, "packs: %s", place);
	else if (!files_path(index, NULL, "%s/model_index.json", place) && access(index, F_OK) == 0)
		error_set(&problem, SUMI_INVALID,
			  "packs: %s is a model pack itself: name the folder that it lies in",
			  place);
	else
		return SUMI_OK;
	return add_problem(c, &problem) ? error_set(err, SUMI_NOMEM, "out of memory") : SUMI_OK;
}

static int is_shown(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int scan_folder(struct catalogue *c, const char *place, int deep, struct error *err);

/* A pack or a file that is one; else, where other programs keep models in folders of their users' making, what
 * lies in that folder. */
static int scan_entry(struct catalogue *c, const char *path, int deep, struct error *err)
{
	struct stat st;
	bool any = false;
	int status = pack_parts_any(path, &any, err);
	if (!status && any)
		return add_pack(c, path, err);
	if (!status && lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && stat(path, &st) != 0) {
		struct error problem;
		error_set(&problem, SUMI_NOTFOUND, "%s: what it links to is not there", path);
		return add_problem(c, &problem) ? error_set(err, SUMI_NOMEM, "out of memory") : SUMI_OK;
	}
	if (!status && deep > 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		status = scan_folder(c, path, deep - 1, err);
	return status;
}

static int scan_folder(struct catalogue *c, const char *place, int deep, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = SUMI_OK;
	/* In a certain order, since of two with one name the first is taken. */
	struct dirent **entries;
	int n = scandir(place, &entries, is_shown, alphasort);
	if (n < 0)
		return error_errno(err, "%s", place);
	for (int i = 0; i < n; i++) {
		if (!status && !files_path(path, NULL, "%s/%s", place, entries[i]->d_name))
			status = scan_entry(c, path, deep, err);
		free(entries[i]);
	}
	free(entries);
	return status;
}

static int scan_place(void *context, const char *place, bool named, struct error *err)
{
	enum { DEEP = 3 };
	struct catalogue *c = context;
	char path[FILES_PATH_MAX];
	DIR *dir = opendir(place);
	int status = named ? check_place(c, place, dir, err) : SUMI_OK;
	if (!dir)
		return status;
	closedir(dir);
	if (!status)
		status = scan_folder(c, place, 0, err);
	/* A pack has a folder "unet" too. */
	if (!files_path(path, NULL, "%s/model_index.json", place) && access(path, F_OK) == 0)
		return status;
	for (int i = 0; !status && pack_model_folders[i]; i++)
		if (!files_path(path, NULL, "%s/%s", place, pack_model_folders[i]) && access(path, F_OK) == 0)
			status = scan_folder(c, path, DEEP, err);
	return status;
}

static int read_all(const char *paths, const char *state_dir, struct catalogue *out,
		    struct error *err)
{
	int status = places_visit(paths, state_dir, scan_place, out, err);
	if (status)
		catalogue_free(out);
	else if (out->count)
		qsort(out->packs, (size_t)out->count, sizeof *out->packs, by_name);
	return status;
}

int catalogue_read(const char *paths, const char *state_dir, struct catalogue *out,
		   struct error *err)
{
	*out = (struct catalogue){.plain = false};
	return read_all(paths, state_dir, out, err);
}

int catalogue_list(const char *paths, const char *state_dir, struct catalogue *out,
		   struct error *err)
{
	*out = (struct catalogue){.plain = true};
	return read_all(paths, state_dir, out, err);
}

void catalogue_free(struct catalogue *c)
{
	for (int i = 0; i < c->count; i++)
		pack_info_free(&c->packs[i]);
	free(c->packs);
	free(c->problems);
	memset(c, 0, sizeof *c);
}

/* The names of the packs of a modality; NULL: of all. */
static void list_names(const struct catalogue *c, const char *modality, char *names, size_t size)
{
	names[0] = '\0';
	for (int i = 0; i < c->count; i++) {
		size_t n = strlen(names);
		if (!modality || strcmp(c->packs[i].modality, modality) == 0)
			snprintf(names + n, size - n, "%s%s", n ? ", " : "", c->packs[i].name);
	}
}

int catalogue_default(const struct catalogue *c, const struct config *config, const char *modality,
		      const struct pack_info **out, struct error *err)
{
	char names[256];
	bool chosen;
	const char *preferred = config_model(config, modality, &chosen);
	*out = NULL;
	for (int i = 0; i < c->count; i++) {
		if (strcmp(c->packs[i].modality, modality) != 0)
			continue;
		if (strcmp(c->packs[i].name, preferred) == 0) {
			*out = &c->packs[i];
			return SUMI_OK;
		}
		if (!*out && !chosen)
			*out = &c->packs[i];
	}
	if (*out)
		return SUMI_OK;
	if (!chosen)
		return error_set(err, SUMI_NOTFOUND,
				 "no model pack for %s is installed: put one into %s/models, or "
				 "name its parent with packs = … in sumi.conf",
				 modality, config->state_dir);
	list_names(c, modality, names, sizeof names);
	return error_set(err, SUMI_NOTFOUND,
			 "model_%s = %.80s in sumi.conf: there is no such model for %s; there %s%s",
			 modality, preferred, modality, *names ? "are: " : "is none", names);
}

int catalogue_check_defaults(const struct catalogue *c, const struct config *config,
			     struct error *err)
{
	const struct pack_info *found;
	int status = SUMI_OK;
	for (int i = 0; !status && i < MODALITIES_OF_PACKS; i++) {
		bool chosen;
		config_model(config, modality_names[i], &chosen);
		if (chosen)
			status = catalogue_default(c, config, modality_names[i], &found, err);
	}
	return status;
}

int catalogue_find(const struct catalogue *c, const char *name, char path[FILES_PATH_MAX],
		   struct error *err)
{
	char names[256];
	size_t n = model_name_length(name);
	if (strchr(name, '/'))
		return files_path(path, err, "%s", name);
	for (int i = 0; i < c->count; i++)
		if (strlen(c->packs[i].name) == n && strncmp(c->packs[i].name, name, n) == 0)
			return files_path(path, err, "%s", c->packs[i].path);
	list_names(c, NULL, names, sizeof names);
	return error_set(err, SUMI_NOTFOUND, "there is no model '%.80s'; there %s%s", name,
			 c->count ? "are: " : "is none: give a folder with packs = … in sumi.conf",
			 names);
}

const struct pack_info *catalogue_at(const struct catalogue *c, const char *folder)
{
	for (int i = 0; i < c->count; i++)
		if (strcmp(c->packs[i].path, folder) == 0)
			return &c->packs[i];
	return NULL;
}

uint64_t catalogue_stamp(const struct catalogue *c, const char *folder)
{
	struct pack_info read;
	const struct pack_info *known = catalogue_at(c, folder);
	if (known)
		return pack_stamp(known);
	if (pack_info_read_plain(folder, &read, NULL))
		return 0;
	uint64_t stamp = pack_stamp(&read);
	pack_info_free(&read);
	return stamp;
}
