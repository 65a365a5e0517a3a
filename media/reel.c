/* Animated WebP and WebM behind one door. */
#include "media/reel.h"

#include <stdlib.h>
#include <string.h>

#include "media/webm.h"
#include "media/webp.h"

struct reel { /* one of the two */
	struct webp_animation *animation;
	struct webm *film;
};

int reel_new(const struct reel_options *o, struct reel **out, struct error *err)
{
	struct webp_animation_options animation = {
	    .picture = {.lossless = o->lossless, .quality = (float)o->quality},
	    .frame_ms = 1000.0 / o->fps,
	    .loop_count = o->loop_count,
	};
	struct vp9_options film = {.lossless = o->lossless, .quality = o->quality, .fps = o->fps};
	*out = NULL;
	struct reel *r = calloc(1, sizeof *r);
	if (!r)
		return error_set(err, SUMI_NOMEM, "no memory for a film");
	int status = strcmp(o->format, "webm") == 0
			 ? webm_new(o->width, o->height, &film, &r->film, err)
			 : webp_animation_new(o->width, o->height, &animation, &r->animation, err);
	if (status) {
		reel_free(r);
		return status;
	}
	*out = r;
	return SUMI_OK;
}

int reel_add(struct reel *r, const uint8_t *rgb, bool key, struct error *err)
{
	return r->film ? webm_add(r->film, rgb, key, err) : webp_animation_add(r->animation, rgb, err);
}

int reel_finish(struct reel *r, const struct sound *sound, double sound_quality, const struct metadata *meta,
		uint8_t **data, size_t *size, struct error *err)
{
	if (r->film)
		return webm_finish(r->film, sound, sound_quality, meta, data, size, err);
	if (sound)
		return error_set(err, SUMI_INVALID, "WebP: an animation has no sound");
	return webp_animation_finish(r->animation, meta, data, size, err);
}

void reel_free(struct reel *r)
{
	if (!r)
		return;
	webp_animation_free(r->animation);
	webm_free(r->film);
	free(r);
}
