/* Configs as diffusers would have written them, told from the tensors of a file. What tensors
 * cannot tell (attention heads of unusual sizes, groups of normalisations) is what the published
 * models have; a file beside the checkpoint may say otherwise (weights/checkpoint.h). */
#ifndef SUMI_WEIGHTS_DERIVE_H
#define SUMI_WEIGHTS_DERIVE_H

#include <jansson.h>

#include "weights/source.h"

/* What of a checkpoint all its parts depend on. */
struct derived {
	bool xl;       /* sizes beside the time: Stable Diffusion XL and its kin */
	bool refiner;  /* of these, the one that knows a score */
	bool velocity; /* predicts v */
	bool zero_snr; /* with a schedule that ends in noise alone */
	bool lcm;      /* is told the guidance */
	int context;   /* channels of a text embedding; 0: no UNet */
	int in_channels;
};

/* The component's tensors under the network's names. */
struct part_names;
int part_names_new(const struct tensor_list *list, const struct component *components, int count,
		   struct part_names **out, struct error *err);
void part_names_free(struct part_names *names); /* NULL is fine */

/* Fills in out from a UNet's tensors, whose numbers tell whether it predicts v. */
int derive_model(const struct source *s, const struct part_names *unet, struct derived *out,
		 struct error *err);

/* Whether the UNet's heads are those of no model that is known: no shape tells them. */
bool derive_guesses_heads(const struct derived *model);

/* config.json of each kind of part; NULL without memory. The caller releases it. */
json_t *derive_unet(const struct part_names *names, const struct derived *model);
json_t *derive_controlnet(const struct part_names *names);
json_t *derive_t2i_adapter(const struct part_names *names);
json_t *derive_ip_adapter(const struct part_names *names);
json_t *derive_image_encoder(const struct part_names *names);
json_t *derive_vae(const struct part_names *names, const struct derived *model);
json_t *derive_tiny_vae(const struct part_names *names);
json_t *derive_text(const struct part_names *names, bool second);
json_t *derive_scheduler(const struct derived *model);
json_t *derive_index(const struct derived *model, bool tiny_vae);

#endif
