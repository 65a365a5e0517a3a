/* What a run will need, before it needs it: windows of frames, tiles, memory. */
#include "diffusion/run_internal.h"

/* AnimateDiff was trained on 16 frames; the stride is diffusers' default for FreeNoise. */
enum { CONTEXT_LENGTH = 16, CONTEXT_STRIDE = 4 };

/* Latents beyond which a CPU is busy enough with one picture: two together take as long as one
 * after the other (docs/performance.md). */
#define CPU_LATENTS_TOGETHER (32 * 32)

/* Part of the device's memory that steps made together may take. */
#define MEMORY_SHARE 4

/* All frames at once, or where that is too many, FreeNoise's windows. positions: frames that the
 * motion modules know, 0: there are none. */
static struct motion_context context_of(const struct run_params *p, int positions)
{
	struct motion_context c = {.frames = p->frames};
	if (positions == 0 || p->frames < 2)
		return (struct motion_context){0};
	int length = positions < CONTEXT_LENGTH ? positions : CONTEXT_LENGTH;
	/* A circle needs windows that reach across its seam, also where all frames would fit. */
	if (p->circular && p->frames <= length)
		length = (p->frames + 1) / 2;
	if (p->frames > length) {
		c.length = length;
		c.stride = length > CONTEXT_STRIDE ? CONTEXT_STRIDE : 1;
		c.circular = p->circular;
	}
	return c;
}

int run_plan_motion(struct run *run, const struct run_params *p, struct error *err)
{
	int positions = unet_motion_positions(run->unet);
	run->motion = context_of(p, positions);
	return run->motion.frames ? motion_context_check(&run->motion, positions, err) : SUMI_OK;
}

/* Tiles where the whole picture would take more than half of the device's memory, or a larger
 * buffer than it gives. What is in use at the moment does not count: the same run must give the
 * same bytes. */
int run_plan_tile(const struct run *run, int *tile, struct error *err)
{
	const struct device_info *d = &run->pack->device->info;
	const struct vae_config *c = vae_config(run->pack->vae);
	enum dtype dtype = run->pack->device->activation_dtype;
	uint64_t bytes = d->memory / 2;
	int widest = c->channels[c->levels > 1] > c->channels[0] ? c->channels[c->levels > 1]
								 : c->channels[0];
	uint64_t largest = (uint64_t)run->h * (uint64_t)run->w * (uint64_t)c->scale *
			   (uint64_t)c->scale * (uint64_t)widest * dtype_size(dtype);
	*tile = 0;
	if (d->max_alloc > 0 && largest > d->max_alloc && (bytes == 0 || bytes > d->max_alloc))
		bytes = d->max_alloc;
	if (bytes > 0)
		*tile = vae_tile_size(c, run->h, run->w, bytes, dtype);
	if (*tile < 0)
		return error_set(err, SUMI_NOMEM,
				 "%s has too little memory to decode even a small tile: %llu MiB",
				 d->name, (unsigned long long)(d->memory >> 20));
	return SUMI_OK;
}

/* Bytes of one step, and of those what the text keeps; 0 where the pack's configs cannot be
 * read. known: the UNet's config where it is loaded already, or NULL. */
static uint64_t step_memory(const struct pack_info *info, const struct unet_config *known,
			    const struct run_params *p, enum dtype dtype, uint64_t *text)
{
	char folder[FILES_PATH_MAX];
	struct unet_config unet;
	struct motion_config adapter;
	struct error ignored;
	const char *part = p->fast && info->has_fast ? info->fast_unet : "unet";
	if (known)
		unet = *known;
	else if (pack_part(info, part, folder, &ignored) ||
		 unet_config_read(folder, &unet, &ignored))
		return 0;
	struct unet_plan plan = {
	    .config = &unet,
	    .texts = p->cfg_scale != 1 && unet.time_cond == 0 ? 2 : 1,
	    .tokens = TOKENS_USUAL,
	    .h = p->height / info->scale,
	    .w = (p->window ? p->window : p->width) / info->scale,
	    .level = p->deep_cache < 2     ? 0
		     : p->deep_cache_level ? p->deep_cache_level
					   : 1,
	    .dtype = dtype,
	};
	plan.n = plan.texts * p->frames;
	if (info->has_motion && (pack_part(info, "motion_adapter", folder, &ignored) ||
				 motion_config_read(folder, &unet, &adapter, &ignored)))
		return 0;
	if (info->has_motion) {
		plan.adapter = &adapter;
		plan.motion = context_of(p, adapter.positions);
		if (motion_context_check(&plan.motion, adapter.positions, &ignored))
			return 0;
	}
	return unet_memory(&plan, text);
}

int run_plan_fits(const struct pack *pack, const struct run_params *p, struct error *err)
{
	uint64_t memory = pack->device->info.memory;
	if (memory == 0)
		return SUMI_OK;
	const struct unet *unet = p->fast && pack->info.has_fast ? pack->fast : pack->unet;
	uint64_t need = step_memory(&pack->info, unet ? unet_config(unet) : NULL, p,
				    pack->device->activation_dtype, NULL);
	if (need <= memory)
		return SUMI_OK;
	return error_set(err, SUMI_TOOBIG,
			 "%d frames of %dx%d need %llu MiB beside the model, %s has %llu: ask for "
			 "fewer or smaller ones",
			 p->frames, p->window ? p->window : p->width, p->height,
			 (unsigned long long)(need >> 20), pack->device->info.name,
			 (unsigned long long)(memory >> 20));
}

int run_most_together(const struct run *run)
{
	const struct device *device = run->pack->device;
	if (!run_joins(run, run) || (device->info.is_cpu && run->h * run->w > CPU_LATENTS_TOGETHER))
		return 1;
	struct unet_plan plan = {
	    .config = unet_config(run->unet),
	    .texts = run->guided ? 2 : 1,
	    .tokens = TOKENS_USUAL,
	    .h = run->h,
	    .w = run->w,
	    .dtype = device->activation_dtype,
	};
	plan.n = plan.texts;
	uint64_t bytes = unet_memory(&plan, NULL), most = RUN_TOGETHER_MAX;
	if (bytes == 0)
		return 1;
	if (device->info.memory > 0 && device->info.memory / MEMORY_SHARE / bytes < most)
		most = device->info.memory / MEMORY_SHARE / bytes;
	return most > 1 ? (int)most : 1;
}

uint64_t run_memory(const struct pack_info *info, const struct run_params *p)
{
	char folder[FILES_PATH_MAX];
	struct vae_config vae;
	struct error ignored;
	int h = p->height / info->scale, w = (p->window ? p->window : p->width) / info->scale;
	uint64_t text = 0, step = step_memory(info, NULL, p, DTYPE_F32, &text), decode = 0;
	if (pack_part(info, "vae", folder, &ignored) == 0 &&
	    vae_config_read(folder, &vae, &ignored) == 0)
		decode = text + vae_memory(&vae, 1, h, w, DTYPE_F32);
	return step > decode ? step : decode;
}
