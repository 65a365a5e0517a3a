/* Pictures that are attended to beside the texts of a UNet's session. */
#include <stdlib.h>
#include <string.h>

#include "base/resample.h"
#include "diffusion/denoiser_unet.h"
#include "networks/blocks.h"

struct one {
	int control; /* in the plan */
	struct unet_text *text;
	struct look_mask masks[CONFIG_LEVELS_MAX];
	int mask_count;
};

struct unet_looks {
	struct device *device; /* borrowed */
	struct unet_look *asked; /* [count], those of an evaluation */
	int count;
	struct one all[];
};

/* A picture's tokens for each text of [texts, width values], from `first` on; the negative text, the first of
 * several, sees none. */
static int put_tokens(const struct control_use *use, int texts, float *all, size_t width, size_t first,
		      struct error *err)
{
	struct look *look = use->control->look;
	const float *tokens, *nothing;
	int count, status = look_tokens(look, use->picture, &tokens, &nothing, &count, err);
	size_t values = (size_t)count * (size_t)look->config.context;
	for (int i = 0; i < texts && !status; i++)
		memcpy(all + (size_t)i * width + first, texts > 1 && i == 0 ? nothing : tokens,
		       values * sizeof *all);
	return status;
}

/* Of a picture and those that are joined to it, `count` in all. */
static int take_tokens(struct one *o, struct unet *unet, const struct control_use *uses, int count, int texts,
		       struct error *err)
{
	struct look *look = uses->control->look;
	int tokens = look_count(look), status = SUMI_OK;
	size_t values = (size_t)tokens * (size_t)look->config.context, width = values * (size_t)count;
	float *all = malloc((size_t)texts * width * sizeof *all);
	if (!all)
		return error_set(err, SUMI_NOMEM, "no memory for a picture's tokens");
	for (int i = 0; i < count && !status; i++)
		status = put_tokens(&uses[i], texts, all, width, values * (size_t)i, err);
	if (!status)
		status = ip_adapter_look(look->adapter, unet, all, texts, tokens * count, &o->text, err);
	free(all);
	return status;
}

/* How many pictures are one look: those behind it that are joined to it, and itself. */
static int joined_to(const struct denoiser_plan *plan, int index)
{
	int count = 1;
	while (index + count < plan->control_count && plan->controls[index + count].joined)
		count++;
	return count;
}

/* Where it counts, in the size of each level, as torch's bicubic interpolation has it. */
static int take_masks(struct one *o, struct device *device, const struct control_use *use, int levels, int h,
		      int w, struct error *err)
{
	int status = SUMI_OK;
	float *values = use->mask ? malloc((size_t)h * (size_t)w * sizeof *values) : NULL;
	if (use->mask && !values)
		return error_set(err, SUMI_NOMEM, "no memory for a mask");
	for (int i = 0; i < levels && use->mask && !status; i++) {
		struct look_mask *m = &o->masks[i];
		*m = (struct look_mask){.h = h, .w = w};
		status = resample(RESAMPLE_CUBIC, use->mask, use->height, use->width, 1, values, h, w, err);
		if (!status)
			status = device_buffer_of(device, values, (size_t)h * (size_t)w * sizeof *values,
						  &m->gain, err);
		o->mask_count++;
		h = (h + 1) / 2;
		w = (w + 1) / 2;
	}
	free(values);
	return status;
}

int unet_looks_new(struct device *device, struct unet *unet, const struct denoiser_plan *plan, int texts,
		   struct unet_looks **out, struct error *err)
{
	int count = 0, status = SUMI_OK;
	*out = NULL;
	for (int i = 0; i < plan->control_count; i++)
		count += plan->controls[i].control->type == CONTROL_LOOK;
	if (count == 0)
		return SUMI_OK;
	struct unet_looks *l = calloc(1, sizeof *l + (size_t)count * sizeof *l->all);
	if (!l)
		return error_set(err, SUMI_NOMEM, "out of memory");
	l->device = device;
	l->asked = calloc((size_t)count, sizeof *l->asked);
	if (!l->asked)
		status = error_set(err, SUMI_NOMEM, "out of memory");
	for (int i = 0; i < plan->control_count && !status; i++) {
		const struct control_use *use = &plan->controls[i];
		struct one *o = &l->all[l->count];
		if (use->control->type != CONTROL_LOOK || use->joined)
			continue;
		o->control = i;
		l->count++;
		status = take_tokens(o, unet, use, joined_to(plan, i), texts, err);
		if (!status)
			status = take_masks(o, device, use, unet_config(unet)->levels, plan->h, plan->w, err);
	}
	if (status) {
		unet_looks_free(l);
		return status;
	}
	*out = l;
	return SUMI_OK;
}

void unet_looks_free(struct unet_looks *l)
{
	if (!l)
		return;
	for (int i = 0; i < l->count; i++) {
		unet_text_free(l->all[i].text);
		for (int k = 0; k < l->all[i].mask_count; k++)
			device_buffer_free(l->device, l->all[i].masks[k].gain);
	}
	free(l->asked);
	free(l);
}

void unet_looks_ask(const struct unet_looks *l, const float *strengths, struct unet_input *in)
{
	for (int i = 0; l && i < l->count; i++) {
		const struct one *o = &l->all[i];
		if (strengths[o->control] != 0)
			l->asked[in->look_count++] = (struct unet_look){.text = o->text,
									.strength = strengths[o->control],
									.masks = o->masks,
									.mask_count = o->mask_count};
	}
	in->looks = l ? l->asked : NULL;
}

uint64_t unet_looks_memory(const struct denoiser_plan *plan, const struct unet_plan *unet, uint64_t *step)
{
	uint64_t kept = 0;
	*step = 0;
	for (int i = 0; i < plan->control_count; i++) {
		const struct control *c = plan->controls[i].control;
		if (c->type != CONTROL_LOOK)
			continue;
		uint64_t pixels = (uint64_t)plan->h * (uint64_t)plan->w;
		kept += ip_adapter_bytes(&c->look->config, plan->texts, look_count(c->look), unet->dtype);
		kept += plan->controls[i].mask ? 2 * pixels * sizeof(float) : 0;
		/* What one of them adds stands beside what the text gives, in the largest size. */
		*step = (uint64_t)unet->n * pixels * (uint64_t)unet->config->channels[0] * dtype_size(unet->dtype);
	}
	return kept;
}
