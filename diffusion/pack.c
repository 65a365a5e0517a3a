/* A pack's models on a device. */
#include "diffusion/pack.h"

#include <stdlib.h>
#include <string.h>

#include "diffusion/pack_internal.h"

/* What one component needs must be what the other gives. */
static int check_unet(const struct pack *pack, const struct unet *model, struct error *err)
{
	const struct unet_config *unet = unet_config(model);
	const struct vae_config *vae = vae_config(pack->vae);
	if (unet->context != pack->texts.width)
		return error_set(err, SUMI_INVALID,
				 "%s: the UNet wants text embeddings of %d channels "
				 "(cross_attention_dim), the text encoder gives %d",
				 pack->info.path, unet->context, pack->texts.width);
	if (unet->in_channels != vae->latent_channels || unet->out_channels != vae->latent_channels)
		return error_set(
		    err, SUMI_UNSUPPORTED,
		    "%s: the UNet takes %d and gives %d channels, the VAE's latents have "
		    "%d: inpainting and upscaling models are not supported",
		    pack->info.path, unet->in_channels, unet->out_channels, vae->latent_channels);
	return SUMI_OK;
}

/* Sizes of pictures and latents are planned by what pack_info_read() found in the VAE's file. */
static int check_vae(const struct pack *pack, struct error *err)
{
	const struct vae_config *vae = vae_config(pack->vae);
	if (vae->in_channels != 3 || vae->out_channels != 3)
		return error_set(err, SUMI_UNSUPPORTED,
				 "%s: the VAE takes %d and gives %d channels, pictures have 3",
				 pack->info.path, vae->in_channels, vae->out_channels);
	if (vae->scale != pack->info.scale || vae->latent_channels != pack->info.latent_channels)
		return error_set(
		    err, SUMI_INVALID,
		    "%s: vae/config.json: 'block_out_channels' lists other levels than "
		    "'encoder_block_out_channels'",
		    pack->info.path);
	return SUMI_OK;
}

static int open_models(struct pack *pack, struct error *err)
{
	int status = pack_parts_open(pack, err);
	if (status)
		return status;
	status = check_vae(pack, err);
	return status ? status : check_unet(pack, pack->unet, err);
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
	vae_close(pack->vae);
	unet_close(pack->fast);
	unet_close(pack->unet);
	conditioner_close(pack->conditioner);
	sampler_config_free(&pack->scheduler);
	pack_info_free(&pack->info);
	free(pack);
}

int pack_unet(struct pack *pack, bool fast, struct unet **out, struct error *err)
{
	char folder[FILES_PATH_MAX];
	int status = SUMI_OK;
	*out = pack->unet;
	if (!fast)
		return SUMI_OK;
	if (!pack->info.has_fast)
		return error_set(err, SUMI_INVALID, "model %s has no fast variant",
				 pack->info.name);
	/* A pack may be fast by its settings alone. */
	if (strcmp(pack->info.fast_unet, "unet") == 0)
		return SUMI_OK;
	if (!pack->fast) {
		status = pack_part(&pack->info, pack->info.fast_unet, folder, err);
		if (!status)
			status = unet_open(pack->device, folder, &pack->fast, err);
		if (!status)
			status = check_unet(pack, pack->fast, err);
		if (!status && pack->info.has_motion &&
		    !(status = pack_part(&pack->info, "motion_adapter", folder, err)))
			status = unet_motion_open(pack->fast, folder, err);
		if (status) {
			unet_close(pack->fast);
			pack->fast = NULL;
		}
	}
	*out = pack->fast;
	return status;
}

const struct pack_info *pack_info_of(const struct pack *pack)
{
	return &pack->info;
}

struct device *pack_device(const struct pack *pack)
{
	return pack->device;
}
