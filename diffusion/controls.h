/* Controls of a job: networks that see pictures, found in models folders by name, or by what their pictures
 * are maps of. */
#ifndef SUMI_DIFFUSION_CONTROLS_H
#define SUMI_DIFFUSION_CONTROLS_H

#include <jansson.h>

#include "diffusion/pack.h"
#include "diffusion/places.h"
#include "diffusion/run.h"

#define CONTROLS_FOLDER "controls"       /* of a models folder */
#define ENCODERS_FOLDER "image_encoders" /* likewise: what IP-Adapters read */

/* places_visit_models() of their folders. */
int encoders_visit(const char *paths, const char *state_dir, place_file_visit *visit, void *context,
		   struct error *err);
int controls_visit(const char *paths, const char *state_dir, place_file_visit *visit, void *context,
		   struct error *err);

/* What a picture is a map of. */
struct control_map {
	const char *word;   /* as jobs call it */
	const char *maker;  /* the preprocessor that makes such a map (media/preprocess.h); NULL: it is given */
	const char *names[4]; /* what networks for it have in their names … */
	const char *without;  /* … and this not; NULL: nothing */
	int kind; /* as ControlNets for several kinds of maps count them, or CONTROL_KIND_ANY */
};

/* NULL for a word that is none. */
const struct control_map *control_map(const char *word);

struct control_list {
	struct {
		char name[PLACES_LABEL_MAX + 1];
		char path[FILES_PATH_MAX];
		char encoder[FILES_PATH_MAX]; /* of an IP-Adapter; else empty */
		int side;                     /* of the square that it sees; 0: the result's size */
		int multiple;                 /* what the result's sides have to be multiples of; 0: it does not matter */
	} rows[RUN_CONTROLS_MAX];
	int count;
	json_t *named; /* for who records them: the job's, with the names that were found; owned, or NULL */
};

/* controls: the canonical list of a job, or NULL; places as for catalogue_read(). One without a name takes the
 * first network for its map that is for the pack. info NULL: any is. *out is NULL for an empty list, else the
 * caller's, to be freed. SUMI_NOTFOUND lists what there is, SUMI_INVALID says which network is for another
 * model, or does not know what the job says of it. */
int controls_find(const char *paths, const char *state_dir, const json_t *controls,
		  const struct pack_info *info, struct control_list **out, struct error *err);
void controls_free(struct control_list *list); /* NULL is fine */

/* SUMI_INVALID for a network that is not for results of that size. NULL is fine. */
int controls_check_size(const struct control_list *list, int width, int height, struct error *err);

/* A number that changes with the files. 0 for none (NULL). */
uint64_t controls_stamp(const struct control_list *list);

#endif
