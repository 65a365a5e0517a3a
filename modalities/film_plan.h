/* From a story to jobs: a video for each scene, a clip for each piece of music, and the film that joins
 * them when they are done. The same story gives the same jobs. */
#ifndef SUMI_MODALITIES_FILM_PLAN_H
#define SUMI_MODALITIES_FILM_PLAN_H

#include <jansson.h>
#include <stdbool.h>

#include "diffusion/pack.h"

struct film_order {
	const json_t *story;           /* of story_read_any() */
	const json_t *given;           /* fields of jobs that were given beside it: what it leaves open; NULL: none */
	const char *id;                /* of the film; its parts are ID.s1, ID.m1, … */
	const struct pack_info *video; /* that paints; NULL: nobody knows it here */
	const struct pack_info *music; /* whose tempos count; NULL: nobody knows them here */
	bool others;                   /* another host may make the music, and know other moods */
};

#define FILM_ID_MAX 58 /* bytes of an id, so that its parts have theirs */

/* *jobs: a list of jobs as objects, the film last; the caller releases it. SUMI_INVALID: "name:line: …". */
int film_plan(const struct film_order *order, json_t **jobs, struct error *err);

#endif
