/* Opening networks that see a picture. */
#include "diffusion/control.h"

#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/json.h"
#include "weights/checkpoint.h"
#include "weights/recognise.h"
#include "weights/weights.h"

enum { CONFIG_LIMIT = 1 << 20 };

static int open_net(struct device *device, const char *path, struct control *c, struct error *err)
{
	int status = device ? controlnet_open(device, path, &c->net, err)
			    : controlnet_config_read(path, &c->net_config, err);
	if (!status && device)
		c->net_config = *controlnet_config(c->net);
	return status;
}

static void close_net(struct control *c)
{
	controlnet_close(c->net);
}

static void rest_net(const struct control *c)
{
	controlnet_rest(c->net);
}

static const struct control_kind {
	const char *word;
	const char *class; /* in config.json */
	const char *part;  /* of a file */
	int (*open)(struct device *device, const char *path, struct control *c, struct error *err);
	void (*close)(struct control *c);
	void (*rest)(const struct control *c);
} kinds[] = {
    [CONTROL_NET] = {"ControlNet", "ControlNetModel", "controlnet", open_net, close_net, rest_net},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

const char *control_word(const struct control *control)
{
	return kinds[control->type].word;
}

/* By what it reads of texts. */
static const char *family_of(const struct control *c)
{
	static const struct {
		int context;
		bool added;
		const char *family;
	} rows[] = {{768, false, "Stable Diffusion 1"},
		    {1024, false, "Stable Diffusion 2"},
		    {2048, true, "Stable Diffusion XL"},
		    {1280, true, "Stable Diffusion XL refiner"}};
	const struct unet_config *u = &c->net_config.trunk;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].context == u->context && rows[i].added == (u->added > 0))
			return rows[i].family;
	return NULL;
}

json_t *control_json(const struct control *c)
{
	return json_pack("{s:s, s:s*, s:i, s:I}", "kind", control_word(c), "family", family_of(c),
			 "context", c->net_config.trunk.context, "bytes", (json_int_t)c->bytes);
}

/* What a file is, for a refusal. */
static int refuse(const char *path, struct error *err)
{
	struct source s = {0};
	struct recognition r = {0};
	char what[160];
	int status = source_open(path, &s, err);
	if (!status) {
		recognise(&s.list, &r);
		status = error_set(err, SUMI_INVALID, "%s: is %s, not a network that sees a picture", path,
				   recognition_text(&r, what, sizeof what));
	}
	source_close(&s);
	return status;
}

/* The kind of what lies at a path, and where its parts are: the path itself, or below a file's. */
static int find_kind(const char *path, enum control_type *type, char where[FILES_PATH_MAX],
		     struct error *err)
{
	char file[FILES_PATH_MAX], config[FILES_PATH_MAX];
	const char *rest;
	json_t *root = NULL;
	bool is_file = source_split(path, file, &rest);
	for (int i = 0; is_file && i < KINDS; i++) {
		int status = files_path(where, err, "%s/%s", path, kinds[i].part);
		*type = (enum control_type)i;
		if (status || part_exists(where))
			return status;
	}
	if (is_file)
		return refuse(path, err);
	int status = files_path(where, err, "%s", path);
	if (!status)
		status = files_path(config, err, "%s/config.json", path);
	if (status || (status = part_json_read(config, CONFIG_LIMIT, &root, err)))
		return status;
	const char *class = json_string_value(json_object_get(root, "_class_name"));
	status = error_set(err, SUMI_INVALID, "%s: is a '%.60s', not a network that sees a picture",
			   config, class ? class : "(no _class_name)");
	for (int i = 0; class && i < KINDS; i++)
		if (strcmp(kinds[i].class, class) == 0) {
			*type = (enum control_type)i;
			status = SUMI_OK;
		}
	json_decref(root);
	return status;
}

/* The hash of the file that the first of its tensors stands in, and the bytes of all. */
static int weigh(const char *where, struct control *c, bool hash, struct error *err)
{
	struct weights *files;
	int status = weights_open(where, &files, err);
	if (status)
		return status;
	c->bytes = weights_bytes(files);
	const struct weight_tensor *first = weights_at(files, 0);
	if (hash && first)
		status = sha256_file(weights_path_of(first), c->sha256, err);
	weights_close(files);
	return status;
}

int control_open(struct device *device, const char *path, struct control **out, struct error *err)
{
	char where[FILES_PATH_MAX];
	*out = NULL;
	struct control *c = calloc(1, sizeof *c);
	if (!c)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	int status = find_kind(path, &c->type, where, err);
	if (!status)
		status = kinds[c->type].open(device, where, c, err);
	if (!status)
		status = weigh(where, c, device != NULL, err);
	if (status) {
		control_close(c);
		return status;
	}
	*out = c;
	return SUMI_OK;
}

void control_close(struct control *c)
{
	if (!c)
		return;
	kinds[c->type].close(c);
	free(c);
}

void control_rest(const struct control *c)
{
	kinds[c->type].rest(c);
}

bool control_is_on(const struct control_use *use, int call, int calls)
{
	return (double)call / calls >= use->start && (double)(call + 1) / calls <= use->end;
}
