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

static int open_net(struct device *device, const char *path, const char *encoder, struct control *c,
		    struct error *err)
{
	(void)encoder;
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

static int open_look(struct device *device, const char *path, const char *encoder, struct control *c,
		     struct error *err)
{
	return look_open(device, path, encoder, &c->look, err);
}

static void close_look(struct control *c)
{
	look_close(c->look);
}

static void rest_look(const struct control *c)
{
	ip_adapter_rest(c->look->adapter);
}

static int open_t2i(struct device *device, const char *path, const char *encoder, struct control *c,
		    struct error *err)
{
	(void)encoder;
	int status = device ? t2i_adapter_open(device, path, &c->t2i, err)
			    : t2i_config_read(path, &c->t2i_config, err);
	if (!status && device)
		c->t2i_config = *t2i_adapter_config(c->t2i);
	return status;
}

static void close_t2i(struct control *c)
{
	t2i_adapter_close(c->t2i);
}

static void rest_t2i(const struct control *c)
{
	t2i_adapter_rest(c->t2i);
}

static int net_context(const struct control *c)
{
	return c->net_config.trunk.context;
}

static int look_context(const struct control *c)
{
	return c->look->config.context;
}

static const struct control_kind {
	const char *word;
	const char *class, *other; /* in config.json; NULL: it is always a file */
	const char *part;  /* of a file */
	bool guesses, masked; /* what jobs may say of it */
	int (*open)(struct device *device, const char *path, const char *encoder, struct control *c,
		    struct error *err);
	void (*close)(struct control *c);
	void (*rest)(const struct control *c);
	int (*context)(const struct control *c); /* channels of the texts that it was made beside; NULL: it knows
						    none */
} kinds[] = {
    [CONTROL_NET] = {"ControlNet", "ControlNetModel", "ControlNetUnionModel", "controlnet", true, false, open_net, close_net, rest_net,
		     net_context},
    [CONTROL_T2I] = {"T2I-Adapter", "T2IAdapter", NULL, "t2i_adapter", false, false, open_t2i, close_t2i, rest_t2i,
		     NULL},
    [CONTROL_LOOK] = {"IP-Adapter", NULL, NULL, "ip_adapter", false, true, open_look, close_look, rest_look,
		      look_context},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

const char *control_word(const struct control *control)
{
	return kinds[control->type].word;
}

/* By what it was made beside; of one that knows no texts, by the pixels that it begins with. */
static const char *family_of(const struct control *c, int context)
{
	static const struct {
		int context;
		const char *family;
	} rows[] = {{768, "Stable Diffusion 1"},
		    {1024, "Stable Diffusion 2"},
		    {2048, "Stable Diffusion XL"},
		    {1280, "Stable Diffusion XL refiner"}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].context == context)
			return rows[i].family;
	if (c->type != CONTROL_T2I)
		return NULL;
	return c->t2i_config.factor == 16 ? "Stable Diffusion XL" : "Stable Diffusion 1 or 2";
}

json_t *control_json(const struct control *c)
{
	char wants[80];
	int context = kinds[c->type].context ? kinds[c->type].context(c) : 0;
	const struct ip_config *ip = c->look ? &c->look->config : NULL;
	json_t *o = json_pack("{s:s, s:s*, s:s*, s:s*, s:I}", "kind", control_word(c), "form",
			      ip			     ? look_word(ip)
			      : c->net_config.kinds	     ? "union"
			      : c->type != CONTROL_T2I	     ? NULL
			      : c->t2i_config.light	     ? "light"
							     : "full",
			      "wants", ip ? look_wants(ip, wants, sizeof wants) : NULL, "family",
			      family_of(c, context), "bytes", (json_int_t)c->bytes);
	if (o && context)
		json_object_set_new(o, "context", json_integer(context));
	return o;
}

int control_multiple(const struct control *c)
{
	return c->type == CONTROL_T2I ? c->t2i_config.factor : 0;
}

size_t control_picture_values(const struct control_use *use)
{
	const struct look *look = use->control->look;
	size_t side = look ? (size_t)look->seen_by.side : 0;
	return 3 * (look ? side * side : (size_t)use->height * (size_t)use->width);
}

int control_check_use(const struct control *c, bool guess, bool mask, int kind, struct error *err)
{
	int kinds_known = c->type == CONTROL_NET ? c->net_config.kinds : 0;
	const struct control_kind *k = &kinds[c->type];
	if ((guess && !k->guesses) || (mask && !k->masked))
		return error_set(err, SUMI_INVALID, "a network of kind %s takes no %s", k->word,
				 guess && !k->guesses ? "guess" : "mask");
	if (kinds_known && kind == CONTROL_KIND_ANY)
		return error_set(err, SUMI_INVALID,
				 "the %s is one for several kinds of maps: preprocess has to say which its picture "
				 "is",
				 k->word);
	if (kinds_known && kind >= kinds_known)
		return error_set(err, SUMI_INVALID, "the %s knows the first %d kinds of maps, this is none of them",
				 k->word, kinds_known);
	return SUMI_OK;
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
		if ((kinds[i].class && strcmp(kinds[i].class, class) == 0) ||
		    (kinds[i].other && strcmp(kinds[i].other, class) == 0)) {
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

int control_open(struct device *device, const char *path, const char *encoder, struct control **out,
		 struct error *err)
{
	char where[FILES_PATH_MAX];
	*out = NULL;
	struct control *c = calloc(1, sizeof *c);
	if (!c)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	int status = find_kind(path, &c->type, where, err);
	if (!status)
		status = kinds[c->type].open(device, where, encoder, c, err);
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
