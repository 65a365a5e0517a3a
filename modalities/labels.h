/* What stable-diffusion-webui calls samplers and schedules: in infotexts, and in the API that it has. */
#ifndef SUMI_MODALITIES_LABELS_H
#define SUMI_MODALITIES_LABELS_H

/* Of one of our names; a name that it does not have stays as it is. */
const char *label_of_sampler(const char *name);
const char *label_of_schedule(const char *name);

/* Its samplers, the one that it begins with first; NULL past the end. */
const char *label_sampler_at(int index);

#endif
