/* A pack's models on a device. */
#include "diffusion/pack.h"


#include "diffusion/pack_internal.h"

int pack_check_denoiser(const struct pack *pack, const struct denoiser *denoiser,
			struct error *err)
{
	const struct denoiser_spec spec = denoiser_spec(denoiser);
	int channels = pack->codec->latents.channels;
	int status = denoiser_accepts(denoiser, &pack->texts, err);
	if (status)
		return error_prefix(err, "%s", pack->info.path);
	if (spec.out != channels || denoiser_beside(&spec) == BESIDE_UNKNOWN)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "%s: the denoiser takes %d and gives %d channels, the VAE's latents have "
		    "%d: it may take as many, %d more (a picture to change) or %d more (inpainting); "
		    "models of depth and for upscaling are not supported",
		    pack->info.path, spec.in, spec.out, channels, channels, channels + 1);
	return SUMI_OK;
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
