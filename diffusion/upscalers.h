/* Upscalers of a job: networks that make pictures larger, found in models folders by name. */
#ifndef SUMI_DIFFUSION_UPSCALERS_H
#define SUMI_DIFFUSION_UPSCALERS_H

#include <jansson.h>
#include <stdint.h>

#include "diffusion/places.h"

#define UPSCALERS_FOLDER "upscalers" /* of a models folder; those of other programs are looked into too */

/* Whether a file of that name is the one that is asked for. */
typedef bool upscaler_called(const char *name, const char *asked);

struct upscaler_file {
	char name[PLACES_LABEL_MAX + 1];
	char path[FILES_PATH_MAX]; /* "": none */
};

/* Calls visit() for each, by folders, then as places_visit_files(). Of ncnn's two files the .param counts. */
int upscalers_visit(const char *paths, const char *state_dir, place_file_visit *visit, void *context,
		    struct error *err);

/* The first that is called so, or where asked is NULL the first that enlarges, those that came with the program
 * last. SUMI_NOTFOUND lists what there is; SUMI_UNSUPPORTED and others where its file is no upscaler. */
int upscalers_find(const char *paths, const char *state_dir, const char *asked, upscaler_called *called,
		  struct upscaler_file *out, struct error *err);

/* Where none is named: that of the setting `upscaler` (NULL or empty: none is said there), else the first that
 * enlarges. Errors as upscalers_find()'s, which name the setting. */
int upscalers_usual(const char *paths, const char *state_dir, const char *setting, upscaler_called *called,
		   struct upscaler_file *out, struct error *err);

/* A number that changes with the file; 0 for none. */
uint64_t upscaler_stamp(const struct upscaler_file *file);

/* {"name", "sha256", "kind", "scale"}, a new reference; NULL for none. */
json_t *upscaler_json(const struct upscaler_file *file);

#endif
