/* Short videos: one run of several frames through the pack's motion modules, decoded frame
 * by frame, as an animated WebP, a WebM or, as PNG, one file a frame. */
#include <stdlib.h>
#include <string.h>

#include "media/metadata.h"
#include "media/picture_file.h"
#include "media/reel.h"
#include "modalities/frames.h"
#include "modalities/request.h"

enum { FRAMES_DEFAULT = 16, FPS_DEFAULT = 8 };


static int video_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	int status = request_resolve(info, r, err);
	if (status)
		return status;
	if (!info->has_motion)
		return error_set(err, SUMI_INVALID,
				 "model %s makes still pictures: a video needs a pack with a "
				 "motion_adapter folder",
				 info->name);
	if (r->frames == 0)
		r->frames = FRAMES_DEFAULT;
	if (r->fps == 0)
		r->fps = FPS_DEFAULT;
	return request_resolve_end(r, PARAM_VIDEO, err);
}

/* The same picture for every frame: motion comes out of the noise that is added to each. */
static int load_init(const struct single_run_start *start, const struct request *r, float **out,
		     struct error *err)
{
	(void)start;
	return picture_load(r->init_file, r->init, r->width, r->height, out, err);
}

static int video_begin(struct pack *pack, const struct request *r, const void *saved,
		       size_t saved_size, struct generation **out, struct error *err)
{
	struct single_run_start start = {
	    .modality = &modality_video,
	    .load_init = load_init,
	    .saved = saved,
	    .saved_size = saved_size,
	};
	return single_run_begin(pack, r, &start, out, err);
}

/* ---- encoding ---------------------------------------------------------------------- */

/* The order in which the frames are shown: forwards, backwards, there and back. */
static int order_frames(const struct request *r, int order[2 * REQUEST_FRAMES_MAX])
{
	int n = 0;
	for (int i = 0; i < r->frames; i++)
		order[n++] = r->reverse ? r->frames - 1 - i : i;
	/* The turning points stand once, so the way back has neither of them. */
	for (int i = r->frames - 2; r->boomerang && i > 0; i--)
		order[n++] = order[i];
	return n;
}

static int tell_frame(const struct frames *f, int number, const struct sink *sink,
		      struct error *err)
{
	const struct request *r = &f->run->request;
	struct frame frame = {.number = number,
			      .count = r->frames,
			      .rgb = f->rgb,
			      .width = f->width,
			      .height = f->height};
	return sink->frame ? sink->frame(sink->context, &frame, err) : SUMI_OK;
}

/* The way back of a boomerang decodes its frames again: cheaper than to keep them all. */
static int finish_frames(struct frames *f, const struct sink *sink, struct error *err)
{
	const struct request *r = &f->run->request;
	int order[2 * REQUEST_FRAMES_MAX], n = order_frames(r, order), status = SUMI_OK;
	for (int i = 0; i < n && !status; i++) {
		struct output o = {.role = "frame", .number = i + 1};
		status = frames_decode(f, order[i], err);
		if (!status)
			status = frames_emit(f, &o, sink, err);
		if (!status && i < r->frames)
			status = tell_frame(f, i + 1, sink, err);
	}
	return status;
}

/* Frames go from decoder to encoder one at a time; a boomerang's come again, so their bytes
 * are kept. */
static int add_frames(struct frames *f, struct reel *reel, const struct sink *sink, struct error *err)
{
	const struct request *r = &f->run->request;
	size_t one = (size_t)frames_width(f) * (size_t)frames_height(f) * 3;
	int order[2 * REQUEST_FRAMES_MAX], n = order_frames(r, order), status = SUMI_OK;
	uint8_t *kept = r->boomerang ? malloc(one * (size_t)r->frames) : NULL;
	if (r->boomerang && !kept)
		return error_set(err, SUMI_NOMEM, "no memory for %d frames", r->frames);
	for (int i = 0; i < n && !status; i++) {
		if (i < r->frames) {
			status = frames_decode(f, order[i], err);
			if (!status)
				status = tell_frame(f, i + 1, sink, err);
			if (kept)
				memcpy(kept + (size_t)order[i] * one, f->rgb, one);
		}
		if (!status)
			status = reel_add(reel, kept ? kept + (size_t)order[i] * one : f->rgb, i == 0, err);
	}
	free(kept);
	return status;
}

static int finish_animation(struct frames *f, const struct sink *sink, struct error *err)
{
	const struct request *r = &f->run->request;
	int order[2 * REQUEST_FRAMES_MAX];
	uint8_t *data = NULL;
	struct reel *reel;
	struct reel_options options = {
	    .format = r->format,
	    .width = frames_width(f),
	    .height = frames_height(f),
	    .fps = r->fps,
	    .lossless = r->lossless,
	    .quality = r->quality,
	    .loop_count = r->loop_count,
	};
	struct metadata meta = {.infotext = f->run->infotext, .json = f->run->metadata};
	struct output o = {.role = "main",
			   .format = r->format,
			   .width = frames_width(f),
			   .height = frames_height(f),
			   .duration = (double)order_frames(r, order) / r->fps};
	int status = reel_new(&options, &reel, err);
	if (status)
		return status;
	status = add_frames(f, reel, sink, err);
	if (!status)
		status = reel_finish(reel, NULL, 0, &meta, &data, &o.size, err);
	o.data = data;
	if (!status)
		status = single_run_emit(f->run, &o, sink, err);
	reel_free(reel);
	free(data);
	return status;
}

static int video_finish(struct generation *g, const struct sink *sink, struct error *err)
{
	struct single_run *video = (struct single_run *)g;
	struct frames f = {0};
	int status = frames_init(&f, video, err);
	if (!status && strcmp(video->request.format, "png") == 0)
		status = finish_frames(&f, sink, err);
	else if (!status)
		status = finish_animation(&f, sink, err);
	frames_clear(&f);
	return status;
}

const struct modality modality_video = {
    .resolve = video_resolve,
    .begin = video_begin,
    .check_file = picture_check,
    .step = single_run_step,
    .save = single_run_save,
    .preview = single_run_preview,
    .finish = video_finish,
    .free = single_run_free,
};
