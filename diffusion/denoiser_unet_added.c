/* What a UNet is told beside its texts' tokens, as it embeds it. */
#include "diffusion/denoiser_unet.h"

#include <stdlib.h>
#include <string.h>

int unet_embed_conditions(struct unet *unet, const struct conditions *said, int count, float **out,
			  struct error *err)
{
	const struct unet_config *c = unet_config(unet);
	const struct condition *pooled = conditions_get(said, CONDITION_POOLED);
	const struct condition *ids = conditions_get(said, CONDITION_IDS);
	size_t width = (size_t)c->time_width, frames = (size_t)count;
	*out = NULL;
	if (c->added == 0)
		return SUMI_OK;
	if (!pooled || !ids)
		return error_set(err, SUMI_INVALID,
				 "the UNet wants pooled text and ids (addition_embed_type)");
	float *rows = malloc((size_t)said->n * width * sizeof *rows);
	float *all = malloc((size_t)said->n * frames * width * sizeof *all);
	int status = rows && all ? unet_embed_added(unet, pooled->values, pooled->width, ids->values,
						    ids->width, said->n, rows, err)
				 : error_set(err, SUMI_NOMEM, "out of memory");
	for (size_t i = 0; i < (size_t)said->n * frames && !status; i++)
		memcpy(all + i * width, rows + i / frames * width, width * sizeof *rows);
	free(rows);
	if (status)
		free(all);
	else
		*out = all;
	return status;
}
