/* What is to be fetched of a model: what all hubs have in common. */
#include "hub/plan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/model_file.h"

enum { FILES_MAX = 512 };

static const struct hub *const hubs[] = {&hub_civitai, &hub_huggingface, &hub_address};

int plan_read(const char *what, struct plan *plan, struct error *err)
{
	*plan = (struct plan){0};
	for (size_t i = 0; i < sizeof hubs / sizeof hubs[0]; i++) {
		if (!hubs[i]->names(what))
			continue;
		int status = hubs[i]->read(what, plan, err);
		if (!status && plan->count == 0)
			status = error_set(err, SUMI_NOTFOUND, "%.200s: holds nothing that sumi reads", what);
		if (status)
			plan_free(plan);
		return status;
	}
	return error_set(err, SUMI_INVALID,
			 "'%.200s' names no model: give owner/name of Hugging Face, civitai:ID or an "
			 "address that begins with https://", what);
}

void plan_free(struct plan *plan)
{
	free(plan->files);
	*plan = (struct plan){0};
}

bool plan_path_is_safe(const char *path)
{
	if (!*path || *path == '/' || strlen(path) > 512)
		return false;
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7F || *p == '\\')
			return false;
	for (const char *p = path; p; p = strchr(p, '/')) {
		p += *p == '/';
		size_t n = strcspn(p, "/");
		if (n == 0 || (n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (!strchr(p, '/'))
			break;
	}
	return true;
}

void plan_unescape(char *text)
{
	char *to = text;
	for (const char *p = text; *p; p++) {
		unsigned byte;
		bool coded = *p == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2]) &&
			     sscanf(p + 1, "%2x", &byte) == 1 && byte;
		*to++ = coded ? (char)byte : *p;
		p += coded ? 2 : 0;
	}
	*to = '\0';
}

static void copy_hash(char *to, size_t size, const char *hash)
{
	size_t n = hash ? strlen(hash) : 0;
	to[0] = '\0';
	if (n + 1 != size || strspn(hash, "0123456789abcdefABCDEF") != n)
		return;
	for (size_t i = 0; i <= n; i++)
		to[i] = (char)tolower((unsigned char)hash[i]);
}

int plan_add(struct plan *plan, const char *path, const char *url, uint64_t size,
	     const char *sha256, const char *git_sha1, struct error *err)
{
	if (!plan_path_is_safe(path))
		return error_set(err, SUMI_INVALID, "'%.200s' is no path of a file within a model", path);
	if (strlen(url) >= TRANSFER_URL_MAX || plan->count >= FILES_MAX)
		return error_set(err, SUMI_TOOBIG, "%.200s: an address too long, or more than %d files",
				 path, FILES_MAX);
	void *grown = realloc(plan->files, (plan->count + 1) * sizeof *plan->files);
	if (!grown)
		return error_set(err, SUMI_NOMEM, "out of memory");
	plan->files = grown;
	struct transfer_file *f = &plan->files[plan->count++];
	*f = (struct transfer_file){.size = size};
	snprintf(f->url, sizeof f->url, "%s", url);
	snprintf(f->path, sizeof f->path, "%s", path);
	copy_hash(f->sha256, sizeof f->sha256, sha256);
	copy_hash(f->git_sha1, sizeof f->git_sha1, git_sha1);
	plan->bytes += size;
	return SUMI_OK;
}

void plan_set_name(struct plan *plan, const char *from)
{
	size_t n = model_name_length(from);
	n = n < PLAN_NAME_MAX ? n : PLAN_NAME_MAX;
	for (size_t i = 0; i < n; i++) {
		char c = from[i];
		bool fits = (isalnum((unsigned char)c) && (unsigned char)c < 0x80) ||
			    (i > 0 && strchr("._+-", c));
		plan->name[i] = fits ? c : i ? '-' : 'm';
	}
	plan->name[n] = '\0';
	if (!n) /* of an address or a folder that ends in a slash */
		strcpy(plan->name, "model");
}

int plan_take_name(struct plan *plan, const char *name, struct error *err)
{
	size_t n = model_name_length(name);
	plan_set_name(plan, name);
	if (n && n == strlen(plan->name) && strncmp(name, plan->name, n) == 0)
		return SUMI_OK;
	return error_set(err, SUMI_INVALID,
			 "--name '%.100s': a model's name has 1 to %d letters, digits and . _ + -, and begins with a letter or a "
			 "digit", name, PLAN_NAME_MAX);
}

int plan_place(struct plan *plan, const char *folder, struct error *err)
{
	int status = SUMI_OK;
	for (size_t i = 0; i < plan->count && !status; i++) {
		char name[FILES_PATH_MAX];
		snprintf(name, sizeof name, "%s", plan->files[i].path);
		status = files_path(plan->files[i].path, err, "%s/%s", folder, name);
	}
	return status;
}

/* The cache names a file by its ETag: the SHA-256 of a large one, git's name of a small one. */
void plan_reuse(const struct plan *plan)
{
	for (size_t i = 0; i < plan->count && *plan->cache; i++) {
		const struct transfer_file *f = &plan->files[i];
		char blob[FILES_PATH_MAX], folder[FILES_PATH_MAX];
		const char *name = *f->sha256 ? f->sha256 : f->git_sha1;
		if (!*name || files_path(blob, NULL, "%s/%s", plan->cache, name) ||
		    access(blob, R_OK) != 0 || access(f->path, F_OK) == 0)
			continue;
		snprintf(folder, sizeof folder, "%s", f->path);
		char *slash = strrchr(folder, '/');
		if (slash)
			*slash = '\0';
		if (files_make_dirs(folder, 0755, NULL))
			continue;
		if (link(blob, f->path) != 0)
			files_copy(blob, f->path, NULL);
		if (transfer_check(f, NULL))
			unlink(f->path);
	}
}

void plan_size_text(uint64_t bytes, char out[32])
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double value = (double)bytes;
	int unit = 0;
	while (value >= 999.5 && unit < 4) {
		value /= 1000;
		unit++;
	}
	snprintf(out, 32, unit && value < 99.5 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}
