/* What a file says of how it was made. */
#ifndef SUMI_CLI_RECIPE_H
#define SUMI_CLI_RECIPE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"

struct recipe {
	json_t *job;     /* what is known, by the names of a job's fields, modality included */
	json_t *made_by; /* sumi's own word on program, model and device; NULL: not there */
	json_t *unknown; /* of another program: key → value of what sumi has no field for */
	const char *program; /* that made the file, "A1111", "ComfyUI", …; NULL: not told */
	json_t *followed; /* of an infotext: its controls, without their pictures, which are not in the file; NULL: none */
	json_t *waiting; /* of an infotext: key → {field: value} of what goes with a picture that is not in the file; in unknown too; NULL: none */
	json_t *graph;   /* of ComfyUI: its samplers, checkpoints, LoRAs and sizes; NULL: none */
	json_t *loras;   /* of another program: those that stand outside of the prompt, as a job names them; NULL: none */
	json_t *json;    /* what another program wrote as JSON, as it stands; NULL: nothing */
	bool ours;       /* sumi's own JSON: the same bytes can be made from it */
	char damage[480]; /* why sumi's own JSON in it cannot be read, where the infotext counts instead; else empty */
	char *infotext;  /* A1111's text as it stands in the file, or NULL */
};

/* Reads WebP, PNG, JPEG, Ogg, WAV, WebM or a text that is an infotext: sumi's JSON, else what another program
 * wrote (see media/origin.h). Nothing in the file is checked
 * against what a job may say. The caller clears *recipe. SUMI_NOTFOUND where the file holds
 * nothing of that, SUMI_UNSUPPORTED for another kind of file. */
int recipe_read(const char *path, struct recipe *recipe, struct error *err);
void recipe_clear(struct recipe *recipe);

/* Takes out what comes from a pack's defaults and differs between a pack and its distilled
 * model: steps, guidance, sampler. */
void recipe_drop_derived(json_t *job);

#endif
