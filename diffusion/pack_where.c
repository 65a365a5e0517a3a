/* Where the parts of a pack are: in its folder, in its file, in those that it names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "diffusion/pack_internal.h"
#include "diffusion/places.h"
#include "weights/checkpoint.h"

enum { CONFIG_LIMIT = 1 << 20, NAME_MAX_BYTES = 63 };

static bool is_file(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool pack_is_file(const struct pack_info *info)
{
	return is_file(info->path);
}

/* The folder that a pack lies in, as a length of its path; 0: the present one. */
static int folder_of(const struct pack_info *info)
{
	const char *slash = strrchr(info->path, '/');
	return slash ? (int)(slash - info->path) : 0;
}

const char *const pack_model_folders[] = {"checkpoints", "unet", "diffusion_models", "Stable-diffusion", NULL};

/* Where other programs keep models in folders by kind, the folder of all kinds; else -1. */
static int folder_of_kinds(const struct pack_info *info)
{
	int n = folder_of(info);
	for (int at = n; at > 0; at--) {
		const char *part = info->path + at;
		if (part[-1] != '/')
			continue;
		for (int i = 0; pack_model_folders[i]; i++) {
			size_t length = strlen(pack_model_folders[i]);
			if (strncmp(part, pack_model_folders[i], length) == 0 && part[length] == '/')
				return at - 1;
		}
	}
	return -1;
}

static int path_below(const struct pack_info *info, int folder, const char *name, char out[FILES_PATH_MAX],
		      struct error *err)
{
	return files_path(out, err, "%.*s%s%s", folder, info->path,
			  folder               ? "/"
			  : *info->path == '/' ? "/"
					       : "",
			  name);
}

int pack_beside(const struct pack_info *info, const char *field, const char *name,
		char out[FILES_PATH_MAX], struct error *err)
{
	bool fine = *name && *name != '/' && *name != '.' && !strstr(name, "/.");
	int status = fine ? path_below(info, folder_of(info), name, out, err) : SUMI_INVALID;
	if (fine && (status || part_exists(out)))
		return status;
	struct pack_info real = *info;
	char *own = realpath(info->path, NULL);
	/* What is a link may name what lies beside that which it leads to. */
	bool linked = own && fine && strcmp(own, info->path) != 0 && !files_path(real.path, NULL, "%s", own);
	free(own);
	if (linked && ((status = path_below(&real, folder_of(&real), name, out, err)) || part_exists(out)))
		return status;
	int kinds = folder_of_kinds(info);
	if (fine && kinds >= 0 && ((status = path_below(info, kinds, name, out, err)) || part_exists(out)))
		return status;
	return error_set(
	    err, SUMI_INVALID,
	    "%s: field '%s' names '%.100s', and there is no such file or folder beside "
	    "it",
	    info->path, field, name);
}

/* A file that lacks the part that it is named for: damaged, or of another kind. */
static int refuse_file(const struct pack_info *info, const char *name, const char *file,
		       struct error *err)
{
	char path[FILES_PATH_MAX];
	json_t *kind = NULL;
	int status = files_path(path, err, "%s/" CHECKPOINT_KIND, file);
	if (!status)
		status = part_json_read(path, CONFIG_LIMIT, &kind, err);
	if (!status || status == SUMI_NOTFOUND)
		status = error_set(err, SUMI_INVALID, "%s: field '%s' names %s, which %s%s%s",
				   info->path, name, file, kind ? "is " : "",
				   kind ? json_string_value(kind) : "",
				   kind ? "" : "holds no such part");
	json_decref(kind);
	return status;
}

/* A part that another file or pack has: sumi.json says {"vae": "name"}. rest: of the part's path.
 */
static int part_of_other(const struct pack_info *info, const char *name, const char *rest,
			 const char *other, char out[FILES_PATH_MAX], struct error *err)
{
	char place[FILES_PATH_MAX], xl[FILES_PATH_MAX];
	int status = pack_beside(info, name, other, place, err);
	if (!status && is_file(place)) {
		bool wide = strcmp(name, "vae") == 0 &&
			    !files_path(xl, NULL, "%s/" CHECKPOINT_XL, info->path) &&
			    part_exists(xl);
		status =
		    files_path(out, err, "%s/%s%s", place, wide ? CHECKPOINT_XL "/" : "", name);
		if (!status && !part_exists(out))
			return refuse_file(info, name, place, err);
		return status ? status
			      : files_path(out, err, "%s/%s%s%s", place,
					   wide ? CHECKPOINT_XL "/" : "", name, rest);
	}
	if (!status)
		status = files_path(out, err, "%s/%s", place, name);
	if (status || part_exists(out))
		return status ? status : files_path(out, err, "%s/%s%s", place, name, rest);
	return files_path(out, err, "%s%s", place, rest);
}

/* Files bring no tokenizer: that of CLIP came with the program, padded as the encoder's kind was
 * trained. Only for encoders that have its vocabulary. */
static int usual_tokenizer(const struct pack_info *info, const char *name, const char *rest,
			   char out[FILES_PATH_MAX], struct error *err)
{
	enum { CLIP_WORDS = 49408 };
	char config[FILES_PATH_MAX], encoder[64], folder[FILES_PATH_MAX];
	json_t *root = NULL;
	snprintf(encoder, sizeof encoder, "text_encoder%s/config.json", name + strlen("tokenizer"));
	if (pack_part(info, encoder, config, NULL) ||
	    part_json_read(config, CONFIG_LIMIT, &root, NULL))
		return SUMI_NOTFOUND;
	const char *act = json_string_value(json_object_get(root, "hidden_act"));
	bool open = act && strcmp(act, "gelu") == 0;
	bool clip = json_integer_value(json_object_get(root, "vocab_size")) == CLIP_WORDS;
	json_decref(root);
	if (!clip || place_of_tokenizer(open ? "open_clip" : "clip", folder, NULL))
		return SUMI_NOTFOUND;
	return files_path(out, err, "%s%s", folder, rest);
}

/* The fields of sumi.json that name a part's place; others have names of files too. */
bool pack_part_named(const char *name)
{
	for (size_t i = 0; families[i]; i++)
		if (family_part(families[i], name))
			return true;
	return false;
}

int pack_part(const struct pack_info *info, const char *part, char out[FILES_PATH_MAX],
	      struct error *err)
{
	char name[NAME_MAX_BYTES + 1];
	size_t n = strcspn(part, "/");
	const char *rest = part + n;
	snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : 0), part);
	const char *other = json_string_value(json_object_get(info->manifest, name));
	if (other && pack_part_named(name))
		return part_of_other(info, name, rest, other, out, err);
	int status = files_path(out, err, "%s/%s", info->path, part);
	if (status || strcmp(part, ".") == 0 || part_exists(out))
		return status;
	if (*info->base) {
		if ((status = files_path(out, err, "%s/%s", info->base, part)) || part_exists(out))
			return status;
	}
	if (strncmp(name, "tokenizer", strlen("tokenizer")) == 0 && pack_is_file(info) &&
	    usual_tokenizer(info, name, rest, out, err) == SUMI_OK)
		return SUMI_OK;
	return files_path(out, err, "%s/%s", *info->base ? info->base : info->path, part);
}
