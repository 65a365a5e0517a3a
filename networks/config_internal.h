/* What the files that read one kind of config each have in common. */
#ifndef SUMI_NETWORKS_CONFIG_INTERNAL_H
#define SUMI_NETWORKS_CONFIG_INTERNAL_H

#include "base/files.h"
#include "networks/config.h"

enum { CONFIG_FILE_MAX = 1 << 20, CONFIG_CHANNELS_MAX = 16384 };

/* A field that is only supported with one value; missing and null are fine too. */
struct config_rule {
	const char *key;
	const char *allowed; /* compact JSON; words may be separated by '|'; "null": only null */
};
#define CONFIG_RULES(rules) (sizeof(rules) / sizeof *(rules))

/* SUMI_UNSUPPORTED names the first field that breaks its rule. */
int config_check(const json_t *root, const char *where, const struct config_rule *rules,
		 size_t count, struct error *err);

/* A whole number in [min, max]; value holds the default. */
int config_int(const json_t *root, const char *where, const char *key, int min, int max, int *value,
	       struct error *err);

/* One whole number for all levels or a list with one a level; fills out[0 … count - 1]. */
int config_levels(const json_t *root, const char *where, const char *key, int min, int max,
		  int fallback, int count, int *out, struct error *err);

/* How many levels a list has; with the list missing, the fallback list is used. */
int config_level_list(const json_t *root, const char *where, const char *key, const int *fallback,
		      int fallback_count, int low, int *count, int *out, struct error *err);

/* The fields of a UNet's config, whatever its class. */
int config_unet_parse(const json_t *root, const char *path, struct unet_config *out, struct error *err);

/* FOLDER/config.json as an object, which the caller releases. */
int config_open(const char *folder, char path[FILES_PATH_MAX], json_t **root, struct error *err);

#endif
