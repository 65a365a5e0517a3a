#include "diffusion/upscalers.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/hash.h"
#include "diffusion/pack_internal.h"
#include "networks/upscaler.h"

/* Ours; ComfyUI's, Fooocus' and SwarmUI's; A1111's and its forks'. */
static const char *const folders[] = {UPSCALERS_FOLDER, "upscale_models", "ESRGAN", "RealESRGAN", "DAT", "SwinIR"};

struct visit_one {
	place_file_visit *visit;
	void *context;
};

/* NAME.bin beside NAME.param holds that one's numbers. */
static bool is_half(const char *path)
{
	char other[FILES_PATH_MAX];
	size_t n = strlen(path);
	return n > 4 && strcasecmp(path + n - 4, ".bin") == 0 &&
	       !files_path(other, NULL, "%.*s.param", (int)(n - 4), path) && access(other, F_OK) == 0;
}

static int visit_whole(void *context, const char *name, const char *path, struct error *err)
{
	const struct visit_one *v = context;
	return is_half(path) ? SUMI_OK : v->visit(v->context, name, path, err);
}

int upscalers_visit(const char *paths, const char *state_dir, place_file_visit *visit, void *context,
		    struct error *err)
{
	struct visit_one one = {visit, context};
	int status = SUMI_OK;
	for (size_t i = 0; i < sizeof folders / sizeof folders[0] && !status; i++)
		status = places_visit_files(folders[i], paths, state_dir, visit_whole, &one, err);
	return status;
}

struct search {
	const char *asked; /* NULL: the first that enlarges */
	upscaler_called *called;
	struct upscaler_file *out;
	bool boxed; /* what was found came with the program: the first of one's own goes before it */
	char names[PLACES_NAMES_SIZE];
};

static int look(void *context, const char *name, const char *path, struct error *err)
{
	struct search *s = context;
	struct upscaler_info info;
	struct error ignored;
	bool boxed = !s->asked && places_came_along(path);
	places_gather(s->names, name);
	if ((s->out->path[0] && (boxed || !s->boxed)) || (s->asked && !s->called(name, s->asked)))
		return SUMI_OK;
	if (!s->asked && (upscaler_read(path, &info, &ignored) || info.scale < 2))
		return SUMI_OK;
	s->boxed = boxed;
	snprintf(s->out->name, sizeof s->out->name, "%s", name);
	return files_path(s->out->path, err, "%s", path);
}

int upscalers_find(const char *paths, const char *state_dir, const char *asked, upscaler_called *called,
		  struct upscaler_file *out, struct error *err)
{
	struct search s = {.asked = asked, .called = called, .out = out};
	struct upscaler_info info;
	out->name[0] = out->path[0] = '\0';
	int status = upscalers_visit(paths, state_dir, look, &s, err);
	if (status)
		return status;
	if (!out->path[0] && asked)
		return error_set(err, SUMI_NOTFOUND, "there is no upscaler '%.80s'; there %s%s", asked,
				 places_there(s.names), s.names);
	if (!out->path[0])
		return error_set(err, SUMI_NOTFOUND, "there is no upscaler that enlarges; there %s%s",
				 places_there(s.names), s.names);
	return upscaler_read(out->path, &info, err);
}

int upscalers_usual(const char *paths, const char *state_dir, const char *setting, upscaler_called *called,
		   struct upscaler_file *out, struct error *err)
{
	bool said = setting && *setting;
	int status = upscalers_find(paths, state_dir, said ? setting : NULL, called, out, err);
	return status && said ? error_prefix(err, "setting 'upscaler'") : status;
}

uint64_t upscaler_stamp(const struct upscaler_file *file)
{
	return file->path[0] ? pack_stamp_add(0, file->path) : 0;
}

json_t *upscaler_json(const struct upscaler_file *file)
{
	struct upscaler_info info;
	char sha256[SHA256_HEX_SIZE];
	if (!file->path[0] || upscaler_read(file->path, &info, NULL) || sha256_file(file->path, sha256, NULL))
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:i}", "name", file->name, "sha256", sha256, "kind", info.architecture,
			 "scale", info.scale);
}
