/* What models propose where a job is silent, as their modality resolves it. */
#include "daemon/offer.h"

#include <math.h>
#include <stdio.h>

#include "base/log.h"
#include "modalities/modality.h"
#include "queue/offers.h"
#include "request/job.h"

static bool has(const json_t *list, const json_t *value)
{
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one) if (json_equal(one, value)) return true;
	return false;
}

/* Shapes that people ask for, of about the area that the model was made for. */
static json_t *sizes_of(const struct request *r)
{
	static const double shapes[] = {1, 3.0 / 2, 2.0 / 3, 4.0 / 3, 3.0 / 4, 16.0 / 9, 9.0 / 16};
	double area = (double)r->width * r->height;
	int grid = area >= 512 * 512 ? 64 : area >= 256 * 256 ? 32 : 16;
	json_t *list = json_pack("[o]", json_sprintf("%dx%d", r->width, r->height));
	for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
		int width = (int)lround(sqrt(area * shapes[i]) / grid) * grid,
		    height = (int)lround(sqrt(area / shapes[i]) / grid) * grid;
		json_t *size = json_sprintf("%dx%d", width, height);
		if (width < grid || height < grid || has(list, size))
			json_decref(size);
		else
			json_array_append_new(list, size);
	}
	return list;
}

static json_t *moods_of(const struct pack_info *info)
{
	const char *name;
	json_t *moods = json_object_get(info->manifest, "moods"), *ignored, *list = json_array();
	json_object_foreach(moods, name, ignored) json_array_append_new(list, json_string(name));
	return list;
}

static int describe(const struct pack_info *info, json_t **out, struct error *err)
{
	const struct modality *modality = modality_find(info->modality);
	struct job job;
	json_t *fields = json_pack("{s:s, s:s}", "modality", info->modality, "prompt", "x");
	int status = job_parse_object(fields, &job, err);
	json_decref(fields);
	if (status)
		return status;
	struct request r = job.request;
	status = modality->resolve(info, &r, err);
	if (!status) {
		bool sound = r.duration > 0, film = r.frames > 1;
		*out = json_pack("{s:s, s:b, s:b, s:{s:i, s:f, s:s, s:s}}", "modality", info->modality, "fast",
				 (int)info->has_fast, "edits", (int)info->shows_picture, "defaults", "steps", r.steps, "cfg_scale",
				 r.cfg_scale, "sampler", r.sampler, "scheduler", r.scheduler);
		json_t *defaults = json_object_get(*out, "defaults");
		if (sound) {
			json_object_set_new(defaults, "duration", json_real(r.duration));
			json_object_set_new(*out, "moods", moods_of(info));
		} else {
			json_object_set_new(defaults, "width", json_integer(r.width));
			json_object_set_new(defaults, "height", json_integer(r.height));
			json_object_set_new(*out, "sizes", sizes_of(&r));
		}
		if (film)
			json_object_set_new(defaults, "frames", json_integer(r.frames));
		if (*info->licence)
			json_object_set_new(*out, "licence", json_string(info->licence));
	}
	job_clear(&job);
	return status;
}

void offer_models(struct queue *queue, const struct catalogue *catalogue)
{
	for (int i = 0; i < catalogue->count; i++) {
		const struct pack_info *info = &catalogue->packs[i];
		json_t *about = NULL;
		struct error err;
		if (!modality_find(info->modality))
			continue;
		int status = describe(info, &about, &err);
		if (!status)
			status = queue_offer(queue, info->name, about, &err);
		if (status)
			log_warn("model.untold", "model=%s error=\"%s\"", info->name, err.text);
		json_decref(about);
	}
}
