/* The configs of networks that see pictures: ControlNetModel. */
#include <string.h>

#include "networks/config_internal.h"
#include "networks/controlnet.h"

static const struct config_rule rules[] = {
    {"_class_name", "ControlNetModel"},
    {"controlnet_conditioning_channel_order", "rgb|bgr"},
    {"encoder_hid_dim", "null"},
    {"global_pool_conditions", "false"},
};

static int parse(const json_t *root, const char *path, struct controlnet_config *c, struct error *err)
{
	static const int usual[] = {16, 32, 96, 256};
	static const char widths[] = "conditioning_embedding_out_channels";
	const char *order =
	    json_string_value(json_object_get(root, "controlnet_conditioning_channel_order"));
	c->colours = 3;
	c->bgr = order && strcmp(order, "bgr") == 0;
	int status = config_check(root, path, rules, CONFIG_RULES(rules), err);
	if (!status)
		status = config_unet_parse(root, path, &c->trunk, err);
	if (!status)
		status = config_int(root, path, "conditioning_channels", 3, 3, &c->colours, err);
	return status ? status
		      : config_level_list(root, path, widths, usual, 4, 1, &c->hint_levels, c->hint, err);
}

int controlnet_config_read(const char *path, struct controlnet_config *out, struct error *err)
{
	char file[FILES_PATH_MAX];
	json_t *root = NULL;
	int status = config_open(path, file, &root, err);
	*out = (struct controlnet_config){0};
	if (status)
		return status;
	status = parse(root, file, out, err);
	json_decref(root);
	return status;
}
