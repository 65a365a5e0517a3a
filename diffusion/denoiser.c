/* The way through a denoiser's table. */
#include "diffusion/denoiser.h"

#include "diffusion/control.h"

int denoiser_open(const struct denoiser_kind *kind, struct device *device,
		  const struct pack_info *info, const char *part, struct denoiser **out,
		  struct error *err)
{
	*out = NULL;
	return kind->open(kind, device, info, part, out, err);
}

void denoiser_close(struct denoiser *denoiser)
{
	if (denoiser)
		denoiser->kind->close(denoiser);
}

struct denoiser_spec denoiser_spec(const struct denoiser *denoiser)
{
	struct denoiser_spec spec = {0};
	denoiser->kind->spec(denoiser, &spec);
	return spec;
}

int denoiser_accepts(const struct denoiser *denoiser, const struct conditioner_shape *shape,
		     struct error *err)
{
	return denoiser->kind->accepts(denoiser, shape, err);
}

int denoiser_takes(const struct denoiser *denoiser, const struct control *control, struct error *err)
{
	if (denoiser->kind->takes)
		return denoiser->kind->takes(denoiser, control, err);
	return error_set(err, SUMI_UNSUPPORTED, "controls: this model takes no %s",
			 control_word(control));
}

void denoiser_rest(const struct denoiser *denoiser)
{
	if (denoiser->kind->rest)
		denoiser->kind->rest(denoiser);
}

enum denoiser_beside denoiser_beside(const struct denoiser_spec *spec)
{
	int more = spec->in - spec->out;
	return more == 0	       ? BESIDE_NOTHING
	       : more == spec->out     ? BESIDE_PICTURE
	       : more == spec->out + 1 ? BESIDE_MASK
				       : BESIDE_UNKNOWN;
}

int denoiser_check_level(const struct denoiser_spec *spec, int level, struct error *err)
{
	if (level > 0 && spec->levels == 0)
		return error_set(err, SUMI_INVALID,
				 "deep_cache: this model has nothing that goes on from step to step");
	if (level > spec->levels)
		return error_set(err, SUMI_INVALID,
				 "deep_cache_level is %d, this model has 1 to %d", level,
				 spec->levels);
	return SUMI_OK;
}
