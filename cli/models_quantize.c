/* sumi models quantize: a model's UNet in blocks of few bits, as a model beside it. */
#include "cli/models_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/json.h"
#include "hub/plan.h"
#include "weights/gguf_write.h"

enum { CONFIG_FILE_MAX = 1 << 20 };

/* A file of the pack as an object; one that is not there as an empty one. */
static int read_object(const char *folder, const char *file, json_t **out, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_path(path, err, "%s/%s", folder, file);
	if (!status && access(path, F_OK) != 0)
		*out = json_object();
	else if (!status)
		status = json_read_file(path, CONFIG_FILE_MAX, out, err);
	return status;
}

/* What the pack says of itself holds for its blocks too; the other parts are the pack's own ("base" names
 * one beside the file); what its UNet's shapes do not tell, and how it is sampled, stands in "config". */
static int write_beside(const char *path, const char *folder, const char *base, struct error *err)
{
	json_t *o = NULL, *unet = NULL, *scheduler = NULL;
	int status = read_object(folder, "sumi.json", &o, err);
	if (!status)
		status = read_object(folder, "unet/config.json", &unet, err);
	if (!status)
		status = read_object(folder, "scheduler/scheduler_config.json", &scheduler, err);
	json_object_del(o, "name");
	json_object_del(o, "fast");
	json_object_set_new(o, "base", json_string(base));
	json_object_set_new(o, "config", json_pack("{s:O, s:O}", "unet", unet, "scheduler", scheduler));
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

static int check_pack(const char *folder, const char *to, struct error *err)
{
	char unet[FILES_PATH_MAX];
	struct stat st;
	int status = files_path(unet, err, "%s/unet", folder);
	if (!status && (stat(unet, &st) != 0 || !S_ISDIR(st.st_mode)))
		status = error_set(err, SUMI_UNSUPPORTED,
				   "%s: has no folder 'unet': only packs of several files are quantised so "
				   "far", folder);
	if (!status && access(to, F_OK) == 0)
		status = error_set(err, SUMI_EXISTS, "%s is there already", to);
	return status;
}

int models_quantize(const char *folder, const char *name, const char *type, char out[FILES_PATH_MAX],
		    struct error *err)
{
	const struct quantiser *q;
	struct source source = {0};
	struct gguf_report report;
	char unet[FILES_PATH_MAX], beside[FILES_PATH_MAX], size[32];
	const char *slash = strrchr(folder, '/'), *base = slash ? slash + 1 : folder;
	int at = slash ? (int)(slash - folder) : 1;
	int status = quantiser_named(type, &q, err);
	if (!status)
		status = files_path(out, err, "%.*s/%s-%s.gguf", at, slash ? folder : ".", name, q->name);
	if (!status)
		status = files_path(beside, err, "%.*s/%s-%s.sumi.json", at, slash ? folder : ".", name,
				    q->name);
	if (!status)
		status = files_path(unet, err, "%s/unet", folder);
	if (!status)
		status = check_pack(folder, out, err);
	if (!status)
		status = source_open(unet, &source, err);
	if (!status)
		status = gguf_write(&source, q, out, &report, err);
	if (!status)
		status = write_beside(beside, folder, base, err);
	source_close(&source);
	if (status)
		return status;
	plan_size_text(report.bytes, size);
	fprintf(stderr, "%zu tensors in %s, %zu as they were or in half precision: %s\n", report.quantised,
		q->name, report.kept, size);
	return SUMI_OK;
}
