/* Opening a pack's models, with what lies on their weights. */
#include <stdlib.h>

#include "diffusion/adapters.h"
#include "diffusion/control.h"
#include "diffusion/pack_internal.h"

static int open_models(struct pack *pack, struct error *err)
{
	struct denoiser_spec ignored;
	pack_parts_weigh(&pack->info, pack->bytes);
	pack->in_blocks = pack_parts_in_blocks(&pack->info);
	int status = pack_parts_open(pack, err);
	if (status)
		return status;
	if (pack->denoisers[0].open)
		return pack_check_denoiser(pack, pack->denoisers[0].open, err);
	return pack_denoiser_spec(pack, false, &ignored, err);
}

int pack_open(struct device *device, const char *folder, struct pack **out, struct error *err)
{
	return pack_open_with(device, folder, NULL, NULL, out, err);
}

int pack_open_with(struct device *device, const char *folder, const struct adapter_list *list,
		   struct packed_store *store, struct pack **out, struct error *err)
{
	*out = NULL;
	struct pack *pack = calloc(1, sizeof *pack);
	if (!pack)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", folder);
	pack->device = device;
	sampler_config_init(&pack->scheduler);
	int status = pack_info_read(folder, &pack->info, err);
	if (!status && list && list->count)
		status = adapters_open(list, &pack->info, &pack->adapters, err);
	pack->info.adapters = pack->adapters;
	pack->info.store = store;
	if (!status)
		status = open_models(pack, err);
	if (status) {
		pack_close(pack);
		return status;
	}
	*out = pack;
	return SUMI_OK;
}

static int adapt_parts(struct pack *pack, struct error *err)
{
	const struct family *family = pack->info.family;
	int status = family->conditioner->adapt(pack->conditioner, err);
	for (int i = 0; i < PACK_DENOISERS && !status; i++)
		if (pack->denoisers[i].open)
			status = family->denoiser->adapt(pack->denoisers[i].open, &pack->info,
							 pack_denoiser_part(&pack->info, i > 0), err);
	return status;
}

int pack_adapt(struct pack *pack, const struct adapter_list *list, bool *done, struct error *err)
{
	const struct family *family = pack->info.family;
	struct adapters *adapters = NULL;
	*done = false;
	if (adapters_folded(pack->adapters) || !family->conditioner->adapt || !family->denoiser->adapt)
		return SUMI_OK;
	int status = SUMI_OK;
	if (!adapters_reweigh(pack->adapters, list)) {
		if (list && list->count)
			status = adapters_open(list, &pack->info, &adapters, err);
		if (!status && adapters_folded(adapters)) {
			adapters_close(adapters);
			return SUMI_OK;
		}
		adapters_close(pack->adapters);
		pack->info.adapters = pack->adapters = adapters;
	}
	if (!status)
		status = adapt_parts(pack, err);
	*done = !status;
	if (status) {
		adapters_close(pack->adapters);
		pack->info.adapters = pack->adapters = NULL;
		adapt_parts(pack, NULL);
	}
	return status;
}

void pack_close(struct pack *pack)
{
	if (!pack)
		return;
	codec_close(pack->codec);
	for (int i = 0; i < PACK_CONTROLS; i++)
		control_close(pack->controls[i].open);
	for (int i = PACK_DENOISERS - 1; i >= 0; i--)
		denoiser_close(pack->denoisers[i].open);
	conditioner_close(pack->conditioner);
	sampler_config_free(&pack->scheduler);
	adapters_close(pack->adapters);
	pack_info_free(&pack->info);
	free(pack);
}
