/* Short videos: one run of several frames through the pack's motion modules, decoded frame
 * by frame, as an animated WebP or as one file a frame. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "modalities/metadata.h"
#include "modalities/modality.h"
#include "modalities/picture.h"
#include "modalities/png.h"
#include "modalities/request.h"
#include "modalities/single_run.h"
#include "modalities/webp.h"

enum { FRAMES_MIN = 2, FRAMES_MAX = 64, FRAMES_DEFAULT = 16, FPS_DEFAULT = 8, FPS_MAX = 60 };

/* png: one file a frame. */
static const char *const video_formats[] = {"webp", "png", NULL};

static int video_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	int status = request_resolve(info, r, err);
	if (!status)
		status = request_resolve_format(r, video_formats, err);
	if (status)
		return status;
	if (!info->has_motion)
		return error_set(err, SUMI_INVALID,
				 "model %s makes still pictures: a video needs a pack with a "
				 "motion_adapter folder",
				 info->name);
	if (r->duration > 0)
		return error_set(err, SUMI_INVALID, "a video's length is given by frames and fps");
	if (r->frames == 0)
		r->frames = FRAMES_DEFAULT;
	if (r->fps == 0)
		r->fps = FPS_DEFAULT;
	if (r->frames < FRAMES_MIN || r->frames > FRAMES_MAX)
		return error_set(err, SUMI_INVALID, "frames is %d, allowed are %d to %d", r->frames,
				 FRAMES_MIN, FRAMES_MAX);
	if (r->fps < 1 || r->fps > FPS_MAX)
		return error_set(err, SUMI_INVALID, "fps is %d, allowed are 1 to %d", r->fps,
				 FPS_MAX);
	return SUMI_OK;
}

/* The same picture for every frame: motion comes out of the noise that is added to each. */
static int load_init(const struct request *r, float **out, struct error *err)
{
	float *one;
	int status = picture_load(r->init, r->width, r->height, &one, err);
	if (status)
		return status;
	size_t count = (size_t)r->width * (size_t)r->height * 3;
	*out = malloc(count * (size_t)r->frames * sizeof **out);
	for (int f = 0; *out && f < r->frames; f++)
		memcpy(*out + (size_t)f * count, one, count * sizeof *one);
	free(one);
	return *out ? SUMI_OK : error_set(err, SUMI_NOMEM, "no memory for %d frames", r->frames);
}

static int video_begin(struct pack *pack, const struct request *r, const void *saved,
		       size_t saved_size, struct generation **out, struct error *err)
{
	float *init = NULL;
	int status = r->init ? load_init(r, &init, err) : SUMI_OK;
	struct single_run_start start = {
	    .modality = &modality_video,
	    .init = init,
	    .saved = saved,
	    .saved_size = saved_size,
	};
	if (!status)
		status = single_run_begin(pack, r, &start, out, err);
	free(init);
	return status;
}

/* ---- encoding ---------------------------------------------------------------------- */

static int decode_frame(struct single_run *video, int frame, float *pixels, uint8_t *rgb,
			struct error *err)
{
	const struct request *r = &video->request;
	int status = run_decode(video->run, frame, pixels, err);
	if (!status)
		picture_to_bytes(pixels, rgb, (size_t)r->width * (size_t)r->height * 3);
	return status;
}

/* The order in which the frames are shown: forwards, backwards, there and back. */
static int order_frames(const struct request *r, int order[2 * FRAMES_MAX])
{
	int n = 0;
	for (int i = 0; i < r->frames; i++)
		order[n++] = r->reverse ? r->frames - 1 - i : i;
	/* The turning points stand once, so the way back has neither of them. */
	for (int i = r->frames - 2; r->boomerang && i > 0; i--)
		order[n++] = order[i];
	return n;
}

static int emit(struct single_run *video, const struct sink *sink, struct output *o,
		struct error *err)
{
	o->width = video->request.width;
	o->height = video->request.height;
	o->metadata_json = video->metadata;
	o->infotext = video->infotext;
	return sink->output(sink->context, o, err);
}

static int finish_frames(struct single_run *video, const struct sink *sink, float *pixels,
			 uint8_t *rgb, struct error *err)
{
	const struct request *r = &video->request;
	struct metadata meta = {.infotext = video->infotext, .json = video->metadata};
	int order[2 * FRAMES_MAX], n = order_frames(r, order), status = SUMI_OK;
	for (int i = 0; i < n && !status; i++) {
		uint8_t *data;
		struct output o = {
		    .role = "frame", .number = i + 1, .format = "png", .mime = "image/png"};
		status = decode_frame(video, order[i], pixels, rgb, err);
		if (!status)
			status = png_encode(rgb, r->width, r->height, &meta, &data, &o.size, err);
		if (status)
			break;
		o.data = data;
		status = emit(video, sink, &o, err);
		free(data);
	}
	return status;
}

/* Forwards, frames go from decoder to encoder one at a time; otherwise their bytes are kept. */
static int finish_animation(struct single_run *video, const struct sink *sink, float *pixels,
			    uint8_t *rgb, struct error *err)
{
	const struct request *r = &video->request;
	size_t one = (size_t)r->width * (size_t)r->height * 3;
	int order[2 * FRAMES_MAX], n = order_frames(r, order), status = SUMI_OK;
	bool keep = r->reverse || r->boomerang;
	uint8_t *data = NULL, *kept = keep ? malloc(one * (size_t)r->frames) : NULL;
	struct webp_animation *animation = NULL;
	struct webp_animation_options options = {
	    .picture = {.lossless = r->lossless, .quality = (float)r->quality},
	    .frame_ms = (1000 + r->fps / 2) / r->fps,
	};
	struct metadata meta = {.infotext = video->infotext, .json = video->metadata};
	struct output o = {
	    .role = "main", .format = "webp", .mime = "image/webp", .duration = (double)n / r->fps};
	if (keep && !kept)
		return error_set(err, SUMI_NOMEM, "no memory for %d frames", r->frames);
	status = webp_animation_new(r->width, r->height, &options, &animation, err);
	for (int f = 0; keep && f < r->frames && !status; f++)
		status = decode_frame(video, f, pixels, kept + (size_t)f * one, err);
	for (int i = 0; i < n && !status; i++) {
		if (!keep && (status = decode_frame(video, order[i], pixels, rgb, err)))
			break;
		status =
		    webp_animation_add(animation, keep ? kept + (size_t)order[i] * one : rgb, err);
	}
	if (!status)
		status = webp_animation_finish(animation, &meta, &data, &o.size, err);
	o.data = data;
	if (!status)
		status = emit(video, sink, &o, err);
	webp_animation_free(animation);
	free(data);
	free(kept);
	return status;
}

static int video_finish(struct generation *g, const struct sink *sink, struct error *err)
{
	struct single_run *video = (struct single_run *)g;
	const struct request *r = &video->request;
	size_t count = (size_t)r->width * (size_t)r->height * 3;
	float *pixels = malloc(count * sizeof *pixels);
	uint8_t *rgb = malloc(count);
	int status;
	if (!pixels || !rgb)
		status = error_set(err, SUMI_NOMEM, "no memory for a frame of %dx%d", r->width,
				   r->height);
	else if (strcmp(r->format, "png") == 0)
		status = finish_frames(video, sink, pixels, rgb, err);
	else
		status = finish_animation(video, sink, pixels, rgb, err);
	free(rgb);
	free(pixels);
	return status;
}

const struct modality modality_video = {
    .name = "video",
    .formats = video_formats,
    .resolve = video_resolve,
    .begin = video_begin,
    .step = single_run_step,
    .save = single_run_save,
    .preview = single_run_preview,
    .finish = video_finish,
    .free = single_run_free,
};
