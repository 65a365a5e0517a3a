/* sumi models quantize: a model's UNet in blocks of few bits, as a model beside it. */
#include "cli/models_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "diffusion/family.h"
#include "diffusion/pack.h"
#include "hub/plan.h"
#include "weights/checkpoint.h"
#include "weights/gguf_write.h"

enum { CONFIG_FILE_MAX = 1 << 20 };

/* A part's document as an object; one that is not there as an empty one. */
static int read_object(const struct pack_info *info, const char *file, json_t **out, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = pack_part(info, file, path, err);
	if (!status && !part_exists(path))
		*out = json_object();
	else if (!status)
		status = part_json_read(path, CONFIG_FILE_MAX, out, err);
	return status;
}

static const char *last_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* Where the other parts are: "base" names the model beside the file. A model that has a base of its own keeps
 * it, and what it has itself is named part by part. */
static int name_parts(json_t *o, const struct pack_info *info, struct error *err)
{
	const char *own = last_of(info->path);
	char path[FILES_PATH_MAX];
	int status = SUMI_OK;
	if (!*info->base) {
		json_object_set_new(o, "base", json_string(own));
		return SUMI_OK;
	}
	for (int i = 0; info->family->parts[i] && !status; i++) {
		const char *part = info->family->parts[i]->folder;
		if (strcmp(part, ".") == 0 || json_object_get(o, part))
			continue;
		status = files_path(path, err, "%s/%s", info->path, part);
		if (!status && part_exists(path))
			json_object_set_new(o, part, json_string(own));
	}
	json_object_del(o, "unet");
	json_object_del(o, "scheduler");
	return status;
}

/* What the model says of itself holds for its blocks too; what its UNet's shapes do not tell, and how it is
 * sampled, stands in "config". */
static int write_beside(const char *path, const struct pack_info *info, struct error *err)
{
	json_t *o = json_deep_copy(info->manifest), *unet = NULL, *scheduler = NULL;
	int status = o ? read_object(info, "unet/config.json", &unet, err)
		       : error_set(err, SUMI_NOMEM, "out of memory");
	if (!status)
		status = read_object(info, "scheduler/scheduler_config.json", &scheduler, err);
	json_object_del(o, "name");
	json_object_del(o, "fast");
	if (!status)
		status = name_parts(o, info, err);
	json_object_set_new(o, "config", json_pack("{s:O?, s:O?}", "unet", unet, "scheduler", scheduler));
	char *text = status ? NULL : json_dumps(o, JSON_INDENT(2));
	if (!status)
		status = text ? files_write_durable(path, text, strlen(text), err)
			      : error_set(err, SUMI_NOMEM, "out of memory");
	free(text);
	json_decref(unet);
	json_decref(scheduler);
	json_decref(o);
	return status;
}

/* PATH/NAME-TYPE.gguf and what stands beside it, in the folder that the model lies in. */
static int places_of(const struct pack_info *info, const char *type, char out[FILES_PATH_MAX],
		     char beside[FILES_PATH_MAX], struct error *err)
{
	char folder[FILES_PATH_MAX];
	int at = (int)(last_of(info->path) - info->path);
	int status = files_path(folder, err, "%.*s", at ? at : 1, at ? info->path : ".");
	if (!status && access(folder, W_OK) != 0)
		return error_set(err, SUMI_PERM,
				 "%s cannot be written to: sumi models add %s links the model into your own "
				 "folder, where it can be quantised", folder, info->path);
	if (!status)
		status = files_path(out, err, "%.*s%s-%s.gguf", at, info->path, info->name, type);
	if (!status)
		status = files_path(beside, err, "%.*s%s-%s.sumi.json", at, info->path, info->name, type);
	if (!status && access(out, F_OK) == 0)
		status = error_set(err, SUMI_EXISTS, "%s is there already", out);
	return status;
}

/* A file of blocks holds less than its model: rounding it again would add up what both lose. */
static int check_whole_numbers(const struct weights *w, struct error *err)
{
	for (size_t i = 0; i < weights_tensors(w); i++) {
		const struct weight_tensor *t = weights_at(w, i);
		if (format_info(t->stored)->block > 1)
			return error_set(err, SUMI_UNSUPPORTED,
					 "%s: is in blocks already (%s): quantise the model that it was made "
					 "of", weights_folder(w), t->format);
	}
	return SUMI_OK;
}

/* As pack_info_read_plain(); "." and ".." get the name that they have. */
static int read_info(const char *model, struct pack_info *info, struct error *err)
{
	char *own = NULL;
	int status = pack_info_read_plain(model, info, err);
	if (status || *last_of(info->path) != '.' || !(own = realpath(info->path, NULL)))
		return status;
	pack_info_free(info);
	status = pack_info_read_plain(own, info, err);
	free(own);
	return status;
}

int models_quantize(const char *model, const char *type, char out[FILES_PATH_MAX], struct error *err)
{
	const struct quantiser *q;
	struct weights *weights = NULL;
	struct pack_info info;
	struct gguf_report report;
	char unet[FILES_PATH_MAX], beside[FILES_PATH_MAX], size[32];
	int status = quantiser_named(type, &q, err);
	if (status || (status = read_info(model, &info, err)))
		return status;
	status = places_of(&info, q->name, out, beside, err);
	if (!status)
		status = pack_part(&info, "unet", unet, err);
	if (!status)
		status = weights_open(unet, &weights, err);
	if (!status)
		status = check_whole_numbers(weights, err);
	if (!status)
		status = gguf_write(weights, q, out, &report, err);
	if (!status && (status = write_beside(beside, &info, err)))
		unlink(out);
	weights_close(weights);
	pack_info_free(&info);
	if (status)
		return status;
	plan_size_text(report.bytes, size);
	fprintf(stderr, "%zu tensors in %s, %zu as they were or in half precision: %s\n", report.quantised,
		q->name, report.kept, size);
	return SUMI_OK;
}
