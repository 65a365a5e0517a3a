/* What a pack's small files say: for listings, plans and defaults. No device involved. */
#include "diffusion/pack_internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/modality_table.h"
#include "base/model_file.h"
#include "base/utf8.h"
#include "diffusion/prompt.h"
#include "weights/checkpoint.h"

enum { CONFIG_LIMIT = 1 << 20 };

/* For a scheduler class that no sampler of ours is named after. */
#define FALLBACK_SAMPLER "euler"

static int read_config(const struct pack_info *info, const char *name, json_t **root,
		       struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = pack_part(info, name, path, err);
	if (status)
		return status;
	status = part_json_read(path, CONFIG_LIMIT, root, err);
	if (status)
		return status;
	if (!json_is_object(*root)) {
		json_decref(*root);
		*root = NULL;
		return error_set(err, SUMI_INVALID, "%s: must hold one JSON object", path);
	}
	return SUMI_OK;
}

/* What does not fit is cut between two characters; a terminal obeys none of them. */
static void copy_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%.*s", (int)size - 1, text);
	size_t n = strlen(out);
	if (text[n])
		while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
			n--;
	out[n] = '\0';
	utf8_make_printable(out);
}

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
static const char name_marks[] = "._:+-";

/* A job names its model, a class of the queue is made of it, and it stands in files' metadata:
 * what a name may be is what all of these can carry. What ends like a file is asked for without that,
 * so the name lacks it too. */
static int set_name(struct pack_info *info, const char *name, const char *where, struct error *err)
{
	size_t n = model_name_length(name), fine = strspn(name, name_letters);
	if (fine)
		while (name[fine] && (strchr(name_letters, name[fine]) || strchr(name_marks, name[fine])))
			fine++;
	if (n < 1 || n > PACK_NAME_MAX || fine < n)
		return error_set(err, SUMI_INVALID,
				 "%s: '%.100s' cannot be a model's name: 1 to %d of A-Z a-z 0-9 . "
				 "_ : + -, the first a letter or digit (\"name\" in sumi.json sets "
				 "it)",
				 where, name, PACK_NAME_MAX);
	snprintf(info->name, sizeof info->name, "%.*s", (int)n, name);
	return SUMI_OK;
}

/* Reads one block of defaults ("defaults" or "fast") over those that are already there. */
static int read_defaults(const json_t *object, const char *where, struct pack_defaults *d,
			 struct error *err)
{
	int64_t width = d->width, height = d->height, steps = d->steps;
	const char *sampler = NULL, *schedule = NULL;
	int status;
	if ((status = json_want_int(object, where, "width", 8, 8192, &width, err)) ||
	    (status = json_want_int(object, where, "height", 8, 8192, &height, err)) ||
	    (status = json_want_int(object, where, "steps", 1, 1000, &steps, err)) ||
	    (status = json_want_number(object, where, "cfg_scale", 0, 100, &d->cfg_scale, err)) ||
	    (status = json_want_string(object, where, "sampler", &sampler, err)) ||
	    (status = json_want_string(object, where, "scheduler", &schedule, err)))
		return status;
	d->width = (int)width;
	d->height = (int)height;
	d->steps = (int)steps;
	enum schedule_sigmas sigmas = SIGMAS_DEFAULT;
	if (sampler && (status = sampler_parse_name(sampler, &sampler, &sigmas, err)))
		return error_prefix(err, "%s: field 'sampler'", where);
	if (schedule && (status = sampler_parse_sigmas(schedule, &sigmas, err)))
		return error_prefix(err, "%s: field 'scheduler'", where);
	if (sampler)
		copy_text(d->sampler, sizeof d->sampler, sampler);
	if (schedule || sigmas != SIGMAS_DEFAULT)
		copy_text(d->schedule, sizeof d->schedule, sampler_sigmas_name(sigmas));
	return SUMI_OK;
}

/* The last part of a path, also of one such as "..". */
static const char *folder_name(const char *path, char own[PATH_MAX])
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
	if (*last != '.' || !realpath(path, own))
		return last;
	slash = strrchr(own, '/');
	return slash ? slash + 1 : own;
}

/* A file's name without its ending. What a model's name cannot hold becomes '-': downloads are
 * called anything. */
static const char *file_name(const char *path, char own[PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	const char *file = slash ? slash + 1 : path;
	size_t n = model_name_length(file);
	const char *dot = file[n] ? NULL : strrchr(file, '.');
	if (dot && dot > file)
		n = (size_t)(dot - file);
	snprintf(own, PATH_MAX, "%.*s", (int)(n < PACK_NAME_MAX ? n : PACK_NAME_MAX), file);
	for (char *p = own; *p; p++)
		if (!strchr(name_letters, *p) && (p == own || !strchr(name_marks, *p)))
			*p = p == own ? 'm' : '-';
	return own;
}

static int set_folder(struct pack_info *info, const char *folder, struct error *err)
{
	int status = files_path(info->path, err, "%s", folder);
	size_t n = status ? 0 : strlen(info->path);
	while (n > 1 && info->path[n - 1] == '/')
		info->path[--n] = '\0';
	return status;
}

/* A folder beside this pack's, by its plain name: a pack never reaches out of the folder that
 * packs lie in. */
static int read_base(struct pack_info *info, const char *where, struct error *err)
{
	const char *base = NULL;
	char index[FILES_PATH_MAX];
	int status = json_want_string(info->manifest, where, "base", &base, err);
	if (status || !base)
		return status;
	const char *slash = strrchr(info->path, '/');
	int n = slash ? (int)(slash - info->path) : 1;
	if (!*base || strlen(base) > 255 || strchr(base, '/') || base[0] == '.')
		return error_set(err, SUMI_INVALID,
				 "%s: field 'base' must name a pack's folder beside this one, not "
				 "'%.60s'",
				 where, base);
	if ((status = files_path(info->base, err, "%.*s/%s", n, slash ? info->path : ".", base)) ||
	    (status = files_path(index, err, "%s/model_index.json", info->base)))
		return status;
	if (strcmp(info->base, info->path) == 0 || !part_exists(index))
		return error_set(err, SUMI_INVALID,
				 "%s: field 'base' wants the pack '%.60s' beside this one, and "
				 "there is none",
				 where, base);
	return SUMI_OK;
}

/* Fields that name where a part lies are texts; "config" and "base" say so themselves. */
static int check_places(const struct pack_info *info, const char *where, struct error *err)
{
	const char *place = NULL;
	int status = SUMI_OK;
	for (size_t f = 0; families[f] && !status; f++)
		for (const struct part *const *p = families[f]->parts; *p && !status; p++)
			status = json_want_string(info->manifest, where, (*p)->folder, &place, err);
	return status;
}

/* sumi.json is optional: a folder straight from diffusers is a pack too. */
static int open_manifest(struct pack_info *info, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/sumi.json", info->path);
	if (status)
		return status;
	if (!part_exists(path)) {
		info->manifest = json_object();
		return info->manifest ? SUMI_OK
				      : error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	}
	status = read_config(info, "sumi.json", &info->manifest, err);
	if (!status)
		status = check_places(info, path, err);
	return status ? status : read_base(info, path, err);
}

/* *out: NULL where the field is missing or null. */
static int want_object(const json_t *root, const char *where, const char *key, const json_t **out,
		       struct error *err)
{
	const json_t *value = json_object_get(root, key);
	*out = json_is_object(value) ? value : NULL;
	if (*out || !value || json_is_null(value))
		return SUMI_OK;
	return error_set(err, SUMI_INVALID, "%s: field '%s' must be an object", where, key);
}

/* What a block says and nobody reads is no error, since other versions may; but it is told. */
static void note_stranger(struct pack_info *info, const char *block, const json_t *object)
{
	static const char *const known[] = {"width",   "height",    "steps", "cfg_scale",
					    "sampler", "scheduler", "unet",  NULL};
	const char *stranger = object ? json_unknown_field(object, known) : NULL;
	if (!stranger || info->note[0])
		return;
	snprintf(info->note, sizeof info->note,
		 "sumi.json: field '%.60s' of '%s' is not known: it has no effect", stranger,
		 block);
	utf8_make_printable(info->note);
}

static int read_manifest(struct pack_info *info, struct error *err)
{
	char path[FILES_PATH_MAX], own[PATH_MAX];
	int status = files_path(path, err, "%s/sumi.json", info->path);
	if (status)
		return status;
	const char *name = NULL, *modality = NULL, *licence = NULL, *fast_unet = "unet_fast";
	const char *precision = NULL, *syntax = NULL;
	if ((status = json_want_string(info->manifest, path, "name", &name, err)) ||
	    (status = json_want_string(info->manifest, path, "modality", &modality, err)) ||
	    (status = json_want_string(info->manifest, path, "licence", &licence, err)) ||
	    (status = json_want_string(info->manifest, path, "precision", &precision, err)) ||
	    (status = json_want_string(info->manifest, path, "prompt_syntax", &syntax, err)) ||
	    (status = json_want_number(info->manifest, path, "noise_shared", 0, 1,
				       &info->noise_shared, err)) ||
	    (status = preview_map_read(info->manifest, path, info->latents.channels,
				       info->family->preview, &info->preview, err)))
		return status;
	if (precision && strcmp(precision, "auto") != 0) {
		enum precision known;
		if ((status = precision_of(precision, &known, err)))
			return error_prefix(err, "%s: field 'precision'", path);
		copy_text(info->precision, sizeof info->precision, precision);
	}
	if (syntax) {
		enum prompt_syntax known;
		if ((status = prompt_syntax_of(syntax, &known, err)))
			return error_prefix(err, "%s: field 'prompt_syntax'", path);
		copy_text(info->prompt_syntax, sizeof info->prompt_syntax, syntax);
	}
	if (modality && (!*modality || strlen(modality) >= sizeof info->modality))
		return error_set(err, SUMI_INVALID,
				 "%s: field 'modality' is '%.40s', allowed are %s", path, modality,
				 MODALITY_LIST);
	if ((status = set_name(info,
			       name                 ? name
			       : pack_is_file(info) ? file_name(info->path, own)
						    : folder_name(info->path, own),
			       path, err)))
		return status;
	if (modality)
		copy_text(info->modality, sizeof info->modality, modality);
	if (licence)
		copy_text(info->licence, sizeof info->licence, licence);
	const json_t *defaults, *fast;
	if ((status = want_object(info->manifest, path, "defaults", &defaults, err)) ||
	    (status = want_object(info->manifest, path, "fast", &fast, err)))
		return status;
	note_stranger(info, "defaults", defaults);
	note_stranger(info, "fast", fast);
	if (defaults && (status = read_defaults(defaults, path, &info->defaults, err)))
		return status;
	if (!fast)
		return SUMI_OK;
	info->fast = info->defaults;
	if ((status = read_defaults(fast, path, &info->fast, err)) ||
	    (status = json_want_string(fast, path, "unet", &fast_unet, err)))
		return status;
	if (!*fast_unet || strchr(fast_unet, '/') || fast_unet[0] == '.')
		return error_set(err, SUMI_INVALID,
				 "%s: field 'unet' must name a folder of the pack, not '%.60s'",
				 path, fast_unet);
	if (strlen(fast_unet) >= sizeof info->fast_unet)
		return error_set(err, SUMI_INVALID, "%s: field 'unet' is longer than %zu bytes",
				 path, sizeof info->fast_unet - 1);
	strcpy(info->fast_unet, fast_unet);
	info->has_fast = true;
	return SUMI_OK;
}

/* Its own index says what it is, and where that names no class, its base's. */
static int find_family(struct pack_info *info, const json_t *index, struct error *err)
{
	char path[FILES_PATH_MAX];
	json_t *other = NULL;
	bool own = !*info->base || json_object_get(index, "_class_name");
	int status =
	    files_path(path, err, "%s/model_index.json", own ? info->path : info->base);
	if (!status && !own)
		status = part_json_read(path, CONFIG_LIMIT, &other, err);
	if (!status)
		status = family_of(own ? index : other, path, &info->family, err);
	if (!status && info->family->cfg_scale > 0)
		info->defaults.cfg_scale = info->family->cfg_scale;
	json_decref(other);
	return status;
}

/* As much as tells the parts, also of half a pack. */
static int open_parts(struct pack_info *info, const char *folder, struct error *err)
{
	json_t *index = NULL;
	*info = (struct pack_info){.family = families[0]};
	int status = set_folder(info, folder, err);
	if (status || (status = open_manifest(info, err)))
		return status;
	status = read_config(info, "model_index.json", &index, err);
	if (status)
		return pack_is_file(info) ? status : SUMI_OK;
	status = find_family(info, index, err);
	json_decref(index);
	return status;
}

int pack_check_whole(const char *folder, struct error *err)
{
	struct pack_info info;
	int status = open_parts(&info, folder, err);
	if (!status)
		status = pack_parts_check(&info, err);
	pack_info_free(&info);
	return status;
}

uint64_t pack_weight_bytes(const char *folder)
{
	struct pack_info info;
	uint64_t bytes = open_parts(&info, folder, NULL) ? 0 : pack_parts_bytes(&info);
	pack_info_free(&info);
	return bytes;
}

static int read_latents(struct pack_info *info, struct error *err)
{
	char folder[FILES_PATH_MAX];
	int status = pack_part(info, family_folder(info->family, PART_CODEC), folder, err);
	return status ? status : info->family->codec->latents(folder, &info->latents, err);
}

static int read_size(struct pack_info *info, struct error *err)
{
	int height, width;
	int status = info->family->denoiser->size(info, pack_denoiser_part(info, false), &height,
						  &width, err);
	if (status)
		return status;
	info->defaults.width = width * info->latents.scale;
	info->defaults.height = height * info->latents.scale;
	return SUMI_OK;
}

/* A denoiser whose config is wrong says so when it is opened. */
static void read_shown(struct pack_info *info)
{
	struct denoiser *d;
	struct error ignored;
	if (denoiser_open(info->family->denoiser, NULL, info, pack_denoiser_part(info, false), &d,
			  &ignored))
		return;
	const struct denoiser_spec spec = denoiser_spec(d);
	denoiser_close(d);
	info->shows_mask = denoiser_beside(&spec) == BESIDE_MASK;
	info->shows_picture = denoiser_beside(&spec) == BESIDE_PICTURE;
}

/* What of a file's configs is a guess. */
static int read_note(struct pack_info *info, struct error *err)
{
	char path[FILES_PATH_MAX];
	json_t *note;
	int status = files_path(path, err, "%s/" CHECKPOINT_NOTE, info->path);
	if (status || !pack_is_file(info) || part_json_read(path, CONFIG_LIMIT, &note, NULL))
		return status;
	copy_text(info->note, sizeof info->note, json_string_value(note));
	json_decref(note);
	return SUMI_OK;
}

static int read_scheduler(struct pack_info *info, struct error *err)
{
	struct sampler_config config;
	int status = pack_scheduler_read(info, &config, err);
	if (status)
		return status;
	copy_text(info->defaults.sampler, sizeof info->defaults.sampler,
		  config.sampler ? config.sampler : FALLBACK_SAMPLER);
	/* Whoever packed it may have chosen one. */
	bool chosen =
	    json_is_string(json_object_get(json_object_get(info->manifest, "defaults"), "sampler"));
	if (!config.sampler && !chosen)
		snprintf(info->note, sizeof info->note,
			 "scheduler class '%s' is not known: sampler " FALLBACK_SAMPLER
			 " is taken instead",
			 config.class_name);
	else if (*config.unknown)
		snprintf(info->note, sizeof info->note,
			 "scheduler option '%s' is not known: it has no effect", config.unknown);
	sampler_config_free(&config);
	return SUMI_OK;
}

int pack_info_read_plain(const char *folder, struct pack_info *info, struct error *err)
{
	char motion[FILES_PATH_MAX];
	memset(info, 0, sizeof *info);
	int status = set_folder(info, folder, err);
	if (status)
		return status;
	struct stat st;
	if (stat(info->path, &st) != 0)
		return error_errno(err, "model pack %s", info->path);
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return error_set(err, SUMI_INVALID,
				 "%s: a model is a file of tensors or a folder in the diffusers layout",
				 info->path);
	info->defaults.steps = 20;
	info->defaults.cfg_scale = 7.5;
	copy_text(info->defaults.schedule, sizeof info->defaults.schedule, "default");
	if ((status = files_path(motion, err, "%s/motion_adapter/config.json", info->path)))
		return status;
	info->has_motion = access(motion, F_OK) == 0;
	copy_text(info->modality, sizeof info->modality, 
		  modality_names[info->has_motion ? MODALITY_VIDEO : MODALITY_IMAGE]);
	json_t *index;
	if ((status = read_config(info, "model_index.json", &index, err)))
		return pack_is_file(info) ? status : error_prefix(err, "not a model pack");
	if ((status = open_manifest(info, err)) || (status = find_family(info, index, err)) ||
	    (pack_is_file(info) && (status = pack_parts_check(info, err))) ||
	    (status = read_latents(info, err)) || (status = read_size(info, err)) ||
	    (status = read_note(info, err)) || (status = read_scheduler(info, err)) ||
	    (status = read_manifest(info, err)))
		pack_info_free(info);
	else {
		read_shown(info);
		pack_note_unread(info);
	}
	json_decref(index);
	return status;
}

int pack_info_read(const char *folder, struct pack_info *info, struct error *err)
{
	int status = pack_info_read_plain(folder, info, err);
	if (!status && (status = pack_info_digest(info, err)))
		pack_info_free(info);
	return status;
}

void pack_info_free(struct pack_info *info)
{
	json_decref(info->manifest);
	info->manifest = NULL;
}
