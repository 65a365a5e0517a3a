/* What a job's prompts are made of: styles, and what is drawn (request/dynamic.h) from lines of files, in
 * models folders: wildcards/NAME.txt, styles.csv. */
#ifndef SUMI_MODALITIES_WILDCARDS_H
#define SUMI_MODALITIES_WILDCARDS_H

#include "request/job.h"

#define WILDCARDS_FOLDER "wildcards"

#define WILDCARDS_STORED_MAX (JOB_JSON_MAX / 2) /* bytes of a job that is written down */

/* Sets `texts` of a job whose seed is drawn: what its prompts become, one for each variant, drawn by its
 * seed. Nothing where nothing is wanted, or where they are more than so many bytes (they will be the same
 * when they are drawn again). packs, state_dir: as for catalogue_read(). SUMI_NOTFOUND lists the names of
 * wildcards or styles that there are. */
int wildcards_resolve(const char *packs, const char *state_dir, struct job *job, size_t most,
		      struct error *err);

/* The same errors, and nothing is set. *loras: what the job's LoRAs become by those that its styles name, the caller's;
 * NULL: they stay. */
int wildcards_check(const char *packs, const char *state_dir, const struct job *job, json_t **loras,
		    struct error *err);

#endif
