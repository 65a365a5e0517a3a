/* Models to begin with, by purpose: what `sumi pull` prints where nothing is named. */
#ifndef SUMI_HUB_RECOMMENDED_H
#define SUMI_HUB_RECOMMENDED_H

struct recommended {
	const char *name;    /* for sumi pull */
	const char *purpose;
	const char *licence; /* its hub's word */
	double gigabytes;    /* about, of what is fetched; what is printed before a download is exact */
};
extern const struct recommended recommended_models[]; /* name NULL ends it */

#endif
