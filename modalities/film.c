/* Films: scenes that other jobs have made, one after the other, cut or blended, with the sound of
 * others under them. No model is asked: the result depends on the files alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "media/format.h"
#include "media/picture_file.h"
#include "media/reel.h"
#include "media/sound_file.h"
#include "media/webp.h"
#include "modalities/film_sound.h"
#include "modalities/modality.h"
#include "modalities/request.h"
#include "request/files.h"
#include "request/param.h"

#define SOUND_QUALITY 60
#define SCENE_BYTES_MAX (UINT64_C(1) << 30) /* of the pixels of a scene, of which two are held */

enum { FPS_DEFAULT = 8, FILE_MAX = 256 << 20 };

struct scene {
	const char *path, *where; /* borrowed from the request */
	int count;                /* pictures in its file */
	int frames, fade;         /* that are shown; that blend with the scene before */
	int from;                 /* its first picture in the film */
};

/* Pixels of a scene, [frames, height, width, 3]. */
struct loaded {
	int scene; /* −1: none */
	uint8_t *rgb;
};

struct film {
	struct generation base;
	struct request request; /* resolved; strings are borrowed */
	struct scene *scenes;
	int count, frames; /* scenes; pictures of the whole film */
	int width, height;
	struct loaded loaded[2];
	uint8_t *blend; /* a picture of two scenes */
	char *metadata;
};

/* ---- requests ---------------------------------------------------------------------- */

static int film_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	(void)info;
	if (!json_array_size(r->scenes))
		return error_set(err, SUMI_INVALID, "a film has scenes: there is none");
	if (!r->format)
		r->format = "webm";
	if (r->fps == 0)
		r->fps = FPS_DEFAULT;
	if (json_array_size(r->music) && strcmp(r->format, "webp") == 0)
		return error_set(err, SUMI_INVALID, "an animated WebP has no sound: leave out music, or make a WebM");
	return request_resolve_end(r, PARAM_FILM, err);
}

static int film_check_file(const void *data, size_t size, const char *where, struct error *err)
{
	enum format f = format_of(data, size);
	bool sound = f == FORMAT_OGG || f == FORMAT_WAV;
	if (f == FORMAT_WEBP)
		return picture_check(data, size, where, err);
	return sound ? sound_check(data, size, where, err)
		     : error_set(err, SUMI_UNSUPPORTED, "%s: is neither a WebP nor an Ogg Vorbis or WAV file", where);
}

/* ---- scenes ------------------------------------------------------------------------ */

static size_t pixel_bytes(const struct film *f)
{
	return (size_t)f->width * (size_t)f->height * 3;
}

/* data belongs to the caller, and must outlive the reader. */
static int open_scene(const struct scene *s, char **data, struct webp_reader **reader, struct error *err)
{
	size_t size;
	int status = files_read(s->path, FILE_MAX, data, &size, err);
	if (status)
		return status;
	status = format_of(*data, size) == FORMAT_WEBP
		     ? webp_reader_new(*data, size, s->where, reader, err)
		     : error_set(err, SUMI_UNSUPPORTED, "%s: a scene is an animation or a picture as WebP", s->where);
	if (status) {
		free(*data);
		*data = NULL;
	}
	return status;
}

static int check_shape(struct film *f, int k, const struct webp_info *info, struct error *err)
{
	if (k == 0) {
		f->width = info->width;
		f->height = info->height;
	}
	if (info->width != f->width || info->height != f->height)
		return error_set(err, SUMI_INVALID, "scene %d is %dx%d, the first %dx%d: scenes of a film are of one size",
				 k + 1, info->width, info->height, f->width, f->height);
	return SUMI_OK;
}

/* Lengths and blends against what the file has. */
static int check_lengths(struct film *f, int k, struct error *err)
{
	struct scene *s = &f->scenes[k], *before = k ? s - 1 : NULL;
	if (!s->frames)
		s->frames = s->count;
	if (s->count > 1 && s->frames > s->count)
		return error_set(err, SUMI_INVALID, "scene %d shall show %d pictures and has %d", k + 1, s->frames, s->count);
	if (s->fade && !before)
		return error_set(err, SUMI_INVALID, "the first scene cannot blend: there is none before it");
	if (before && (s->fade > s->frames || s->fade > before->frames - before->fade))
		return error_set(err, SUMI_INVALID, "scene %d blends %d pictures: it has %d, and the one before it %d",
				 k + 1, s->fade, s->frames, before->frames - before->fade);
	if (pixel_bytes(f) * (uint64_t)s->frames > SCENE_BYTES_MAX)
		return error_set(err, SUMI_TOOBIG, "scene %d has %d pictures of %dx%d, more than fit into 1 GiB", k + 1,
				 s->frames, f->width, f->height);
	s->from = before ? before->from + before->frames - s->fade : 0;
	f->frames = s->from + s->frames;
	return SUMI_OK;
}

static int look_at_scene(struct film *f, int k, struct error *err)
{
	const json_t *o = json_array_get(f->request.scenes, (size_t)k);
	struct scene *s = &f->scenes[k];
	struct webp_reader *reader;
	char *data;
	s->where = json_string_value(json_object_get(o, "video"));
	s->path = request_file_path(&f->request, s->where);
	s->frames = (int)json_integer_value(json_object_get(o, "frames"));
	s->fade = (int)json_integer_value(json_object_get(o, "fade"));
	if (!s->path)
		return error_set(err, SUMI_INTERNAL, "scene %d: nobody has looked for its file", k + 1);
	int status = open_scene(s, &data, &reader, err);
	if (status)
		return status;
	s->count = webp_reader_info(reader)->frames;
	status = check_shape(f, k, webp_reader_info(reader), err);
	webp_reader_free(reader);
	free(data);
	return status ? status : check_lengths(f, k, err);
}

static int read_scene(const struct film *f, const struct scene *s, uint8_t *rgb, struct error *err)
{
	struct webp_reader *reader;
	char *data;
	size_t one = pixel_bytes(f);
	int status = open_scene(s, &data, &reader, err);
	if (status)
		return status;
	for (int i = 0; i < s->frames && !status; i++, rgb += one)
		if (i < s->count)
			status = webp_reader_next(reader, rgb, NULL, err);
		else
			memcpy(rgb, rgb - one, one); /* a still */
	webp_reader_free(reader);
	free(data);
	return status;
}

/* A scene's pixels; of two that are held the one that is not the neighbour makes way. */
static int load_scene(struct film *f, int k, int neighbour, const uint8_t **rgb, struct error *err)
{
	struct loaded *l = NULL;
	for (int i = 0; i < 2; i++)
		if (f->loaded[i].scene == k)
			l = &f->loaded[i];
	if (!l) {
		l = &f->loaded[f->loaded[0].scene == neighbour];
		free(l->rgb);
		l->scene = -1;
		l->rgb = malloc(pixel_bytes(f) * (size_t)f->scenes[k].frames);
		if (!l->rgb)
			return error_set(err, SUMI_NOMEM, "no memory for %d pictures", f->scenes[k].frames);
		int status = read_scene(f, &f->scenes[k], l->rgb, err);
		if (status)
			return status;
		l->scene = k;
	}
	*rgb = l->rgb;
	return SUMI_OK;
}

/* ---- one picture of the film ------------------------------------------------------- */

/* Which scene picture n is of: where two blend, the later. */
static int scene_at(const struct film *f, int n)
{
	int k = 0;
	while (k + 1 < f->count && f->scenes[k + 1].from <= n)
		k++;
	return k;
}

static int picture_at(struct film *f, int n, const uint8_t **out, struct error *err)
{
	int k = scene_at(f, n);
	const struct scene *s = &f->scenes[k];
	size_t one = pixel_bytes(f);
	int at = n - s->from;
	const uint8_t *rgb, *before;
	int status = load_scene(f, k, k - 1, &rgb, err);
	if (status)
		return status;
	rgb += (size_t)at * one;
	*out = rgb;
	if (at >= s->fade)
		return SUMI_OK;
	status = load_scene(f, k - 1, k, &before, err);
	if (status)
		return status;
	before += (size_t)(n - f->scenes[k - 1].from) * one;
	int whole = s->fade + 1, part = at + 1;
	for (size_t i = 0; i < one; i++)
		f->blend[i] = (uint8_t)((rgb[i] * part + before[i] * (whole - part) + whole / 2) / whole);
	*out = f->blend;
	return SUMI_OK;
}

/* ---- a generation ------------------------------------------------------------------ */

static void film_free(struct generation *g)
{
	struct film *f = (struct film *)g;
	if (!f)
		return;
	for (int i = 0; i < 2; i++)
		free(f->loaded[i].rgb);
	free(f->scenes);
	free(f->blend);
	free(f->metadata);
	free(f);
}

static int write_metadata(struct film *f, struct error *err)
{
	json_t *o = request_json(&f->request);
	json_object_del(o, "seed"); /* nothing is drawn */
	json_object_set_new(o, "made_by", json_pack("{s:s, s:s}", "software", "sumi", "version", SUMI_VERSION));
	f->metadata = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(o);
	return f->metadata ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
}

/* Nothing is worth saving: joining begins anew after a crash. */
static int film_begin(struct pack *pack, const struct request *r, const void *saved, size_t saved_size,
		      struct generation **out, struct error *err)
{
	(void)pack;
	struct film *f = calloc(1, sizeof *f);
	int status = SUMI_OK;
	if (!f)
		return error_set(err, SUMI_NOMEM, "out of memory");
	f->base = (struct generation){.modality = &modality_film, .steps = 1, .steps_done = saved && saved_size};
	f->request = *r;
	f->count = (int)json_array_size(r->scenes);
	f->loaded[0].scene = f->loaded[1].scene = -1;
	f->scenes = calloc((size_t)f->count, sizeof *f->scenes);
	if (!f->scenes)
		status = error_set(err, SUMI_NOMEM, "out of memory");
	for (int k = 0; k < f->count && !status; k++)
		status = look_at_scene(f, k, err);
	if (!status && !(f->blend = malloc(pixel_bytes(f))))
		status = error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d", f->width, f->height);
	if (!status)
		status = write_metadata(f, err);
	if (status) {
		film_free(&f->base);
		return status;
	}
	*out = &f->base;
	return SUMI_OK;
}

static int film_step(struct generation *g, struct error *err)
{
	(void)err;
	g->steps_done = 1;
	return SUMI_OK;
}

static int film_save(const struct generation *g, void **data, size_t *size, struct error *err)
{
	(void)g;
	*data = strdup("film");
	*size = 4;
	return *data ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
}

static int film_preview(const struct generation *g, uint8_t *rgb, size_t max_pixels, int *width, int *height,
			struct error *err)
{
	(void)g, (void)rgb, (void)max_pixels, (void)width, (void)height;
	return error_set(err, SUMI_NOTFOUND, "a film forms picture by picture");
}

/* The frames of the film into the reel; of every second of it one is told, which is also when a job hears
 * that it is not wanted any more. */
static int add_pictures(struct film *f, struct reel *reel, const struct sink *sink, struct error *err)
{
	int status = SUMI_OK, last = -1;
	for (int i = 0; i < f->frames && !status; i++) {
		int n = f->request.reverse ? f->frames - 1 - i : i, scene = scene_at(f, n);
		struct frame told = {.number = i + 1, .count = f->frames, .width = f->width, .height = f->height};
		const uint8_t *rgb;
		status = picture_at(f, n, &rgb, err);
		if (!status)
			status = reel_add(reel, rgb, scene != last, err);
		told.rgb = rgb;
		if (!status && sink->frame && i % f->request.fps == 0)
			status = sink->frame(sink->context, &told, err);
		last = scene;
	}
	return status;
}

static void turn_sound(struct sound *s)
{
	for (int c = 0; c < s->channels; c++) {
		float *x = s->samples + (size_t)c * s->length;
		for (size_t i = 0; i < s->length / 2; i++) {
			float y = x[i];
			x[i] = x[s->length - 1 - i];
			x[s->length - 1 - i] = y;
		}
	}
}

static int film_finish(struct generation *g, const struct sink *sink, struct error *err)
{
	struct film *f = (struct film *)g;
	const struct request *r = &f->request;
	double seconds = (double)f->frames / r->fps;
	struct reel_options options = {.format = r->format, .width = f->width, .height = f->height, .fps = r->fps,
				       .lossless = r->lossless, .quality = r->quality, .loop_count = r->loop_count};
	struct output o = {.role = "main", .format = r->format, .mime = format_named(r->format)->mime,
			   .width = f->width, .height = f->height, .duration = seconds, .metadata_json = f->metadata};
	struct metadata meta = {.json = f->metadata};
	struct sound sound = {0};
	struct reel *reel = NULL;
	uint8_t *data = NULL;
	bool heard = json_array_size(r->music) > 0;
	int status = heard ? film_sound(r, seconds, &sound, err) : SUMI_OK;
	if (!status && r->reverse && heard)
		turn_sound(&sound);
	if (!status)
		status = reel_new(&options, &reel, err);
	if (!status)
		status = add_pictures(f, reel, sink, err);
	if (!status)
		status = reel_finish(reel, heard ? &sound : NULL, SOUND_QUALITY, &meta, &data, &o.size, err);
	o.data = data;
	if (!status)
		status = sink->output(sink->context, &o, err);
	free(data);
	reel_free(reel);
	sound_free(&sound);
	return status;
}

const struct modality modality_film = {
    .packless = true,
    .resolve = film_resolve,
    .begin = film_begin,
    .check_file = film_check_file,
    .step = film_step,
    .save = film_save,
    .preview = film_preview,
    .finish = film_finish,
    .free = film_free,
};
