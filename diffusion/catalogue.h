/* Which model packs there are: folders below a list of places, found by name. */
#ifndef SUMI_DIFFUSION_CATALOGUE_H
#define SUMI_DIFFUSION_CATALOGUE_H

#include "base/config.h"
#include "diffusion/pack.h"

struct catalogue {
	struct pack_info *packs; /* sorted by name; of two with one name the first place wins */
	int count;
	char (*problems)[sizeof((struct error *)0)->text]; /* folders that look like packs and are
							      not */
	int problem_count;
	bool plain; /* read by catalogue_list() */
};

/* Looks through the places in order: each part of `paths` (separated by ':'),
 * $SUMI_PACKS likewise, state_dir/models, the models installed with the program, and
 * models/ of the checkout that the program was built in. A pack that cannot be read is
 * listed in problems and does not fail the call. */
int catalogue_read(const char *paths, const char *state_dir, struct catalogue *out,
		   struct error *err);
/* The same without the packs' digests, which take a look into their weights. */
int catalogue_list(const char *paths, const char *state_dir, struct catalogue *out,
		   struct error *err);
void catalogue_free(struct catalogue *c);

/* The model of jobs that name none: the one of model_… in sumi.conf. Where nobody chose one there,
 * the pack in the box, else the first of the modality by name. Never another one than was chosen:
 * SUMI_NOTFOUND with the setting and the names that there are. *out is borrowed. */
int catalogue_default(const struct catalogue *c, const struct config *config, const char *modality,
		      const struct pack_info **out, struct error *err);

/* Whether each model that was chosen in sumi.conf is there; SUMI_NOTFOUND for the first that is
 * not. */
int catalogue_check_defaults(const struct catalogue *c, const struct config *config,
			     struct error *err);

/* A pack by name, or by folder when name holds a '/'. SUMI_NOTFOUND lists the names. The
 * folder is written to path. */
int catalogue_find(const struct catalogue *c, const char *name, char path[FILES_PATH_MAX],
		   struct error *err);

/* The pack in a folder, as it was when the catalogue was read; NULL where it is not listed. */
const struct pack_info *catalogue_at(const struct catalogue *c, const char *folder);

/* pack_stamp() of the pack in a folder, listed or not; 0 where there is none. */
uint64_t catalogue_stamp(const struct catalogue *c, const char *folder);

#endif
