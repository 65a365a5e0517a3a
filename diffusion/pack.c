/* A pack's models on a device. */
#include "diffusion/pack.h"

#include <stdlib.h>
#include <string.h>

#include "diffusion/pack_internal.h"

int pack_check_denoiser(const struct pack *pack, const struct denoiser *denoiser,
			struct error *err)
{
	const struct denoiser_spec spec = denoiser_spec(denoiser);
	int channels = pack->codec->latents.channels;
	int status = denoiser_accepts(denoiser, &pack->texts, err);
	if (status)
		return error_prefix(err, "%s", pack->info.path);
	if (spec.in != channels || spec.out != channels)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "%s: the denoiser takes %d and gives %d channels, the VAE's latents have "
		    "%d: inpainting and upscaling models are not supported",
		    pack->info.path, spec.in, spec.out, channels);
	return SUMI_OK;
}

static int open_models(struct pack *pack, struct error *err)
{
	struct denoiser_spec ignored;
	pack_parts_weigh(&pack->info, pack->bytes);
	int status = pack_parts_open(pack, err);
	if (status)
		return status;
	if (pack->denoisers[0].open)
		return pack_check_denoiser(pack, pack->denoisers[0].open, err);
	return pack_denoiser_spec(pack, false, &ignored, err);
}

int pack_open(struct device *device, const char *folder, struct pack **out, struct error *err)
{
	*out = NULL;
	struct pack *pack = calloc(1, sizeof *pack);
	if (!pack)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", folder);
	pack->device = device;
	sampler_config_init(&pack->scheduler);
	int status = pack_info_read(folder, &pack->info, err);
	if (!status)
		status = open_models(pack, err);
	if (status) {
		pack_close(pack);
		return status;
	}
	*out = pack;
	return SUMI_OK;
}

void pack_close(struct pack *pack)
{
	if (!pack)
		return;
	codec_close(pack->codec);
	for (int i = PACK_DENOISERS - 1; i >= 0; i--)
		denoiser_close(pack->denoisers[i].open);
	conditioner_close(pack->conditioner);
	sampler_config_free(&pack->scheduler);
	pack_info_free(&pack->info);
	free(pack);
}

const char *pack_denoiser_part(const struct pack_info *info, bool fast)
{
	return fast && info->has_fast ? info->fast_unet
				      : family_folder(info->family, PART_DENOISER);
}

const struct pack_info *pack_info_of(const struct pack *pack)
{
	return &pack->info;
}

struct device *pack_device(const struct pack *pack)
{
	return pack->device;
}
