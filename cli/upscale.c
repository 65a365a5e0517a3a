/* sumi upscale: pictures, animations and films made larger by a network, in this process. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/files.h"
#include "cli/guarded.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "media/metadata_file.h"
#include "media/picture_file.h"
#include "media/png.h"
#include "media/transparency.h"
#include "media/webm.h"
#include "media/webp.h"
#include "diffusion/upscale.h"
#include "diffusion/upscalers.h"
#include "request/upscaler_names.h"

enum { FILM_FILE_MAX = 1 << 30 }; /* bytes that are read of any file */

static const struct cli_option upscale_options[] = {
    {"by", 0, "N", "so many times as wide and high, 1 to 16; the network's own when not given"},
    {"upscaler", 'u', "FILE|NAME", "the network: a file, or one that is installed; that of the settings, else the first of these, when not given"},
    {"output", 'o', "FILE|DIR|-", "write here, '-' for standard output (default: beside the file)"},
    {"device", 'd', "NAME", "device to use (sumi devices lists them)"},
    {NULL, 0, NULL, NULL}};

struct job_of_upscaling {
	struct cli *cli;
	const char *output;
	double by; /* 0: the network's own */
	char network[FILES_PATH_MAX], name[PLACES_LABEL_MAX + 1];
	struct device *device;
	struct upscaler *upscaler;
};

/* One file's pictures: a still is one frame. */
struct reel {
	const char *file;
	char *data;
	size_t size;
	struct metadata meta;
	struct webp_reader *reader; /* of an animation; else NULL */
	struct webm_reader *film;   /* of a WebM; else NULL */
	int64_t *ms;                /* of a film: when each of its pictures is shown */
	int frames, width, height;
	int done; /* frames */
	float *alpha;      /* of a still with transparency, [height, width]; else NULL */
	bool grey16;       /* a PNG of heights or depths: one channel of 16 bits */
	bool loses_alpha;  /* an animation with transparency: told already */
};

/* --- what is wanted --- */

static int check_options(struct job_of_upscaling *job, struct error *err)
{
	struct cli *cli = job->cli;
	const char *by = cli_value(cli, "by");
	char *end;
	if (by) {
		errno = 0;
		job->by = strtod(by, &end);
		if (end == by || *end || errno || !(job->by >= 1 && job->by <= 16))
			return error_set(err, SUMI_INVALID, "--by %.40s must be a number from 1 to 16", by);
	}
	job->output = cli_value(cli, "output");
	if (output_is_standard(job->output) && cli->arg_count > 1)
		return error_set(err, SUMI_INVALID, "-o -: one file at a time goes to standard output");
	if (job->output && !output_is_standard(job->output) && !cli_is_folder(job->output) &&
	    cli->arg_count > 1)
		return error_set(err, SUMI_INVALID, "-o %s must be a folder for %d files", job->output,
				 cli->arg_count);
	return output_check(cli, err);
}

/* A file, or one that is installed; the usual one when none is given. */
static int find_network(struct job_of_upscaling *job, struct error *err)
{
	const struct config *config = &job->cli->config;
	const char *given = cli_value(job->cli, "upscaler"), *slash = given ? strrchr(given, '/') : NULL;
	struct upscaler_file found;
	if (!slash && (!given || access(given, F_OK) != 0)) {
		int status = given ? upscalers_find(config->packs, config->state_dir, given, upscaler_is_called, &found, err)
				   : upscalers_usual(config->packs, config->state_dir, config->upscaler, upscaler_is_called,
						     &found, err);
		snprintf(job->name, sizeof job->name, "%s", found.name);
		return status ? status : files_path(job->network, err, "%s", found.path);
	}
	const char *name = slash ? slash + 1 : given, *dot = strrchr(name, '.');
	snprintf(job->name, sizeof job->name, "%.*s",
		 (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name)), name);
	return files_path(job->network, err, "%s", given);
}

/* Where a file's result goes: "-", a file, or NAME-x4.ENDING in a folder. */
static int result_path(const struct job_of_upscaling *job, const struct reel *r, double by, const char *ending,
		       char out[FILES_PATH_MAX], struct error *err)
{
	const char *slash = strrchr(r->file, '/'), *name = slash ? slash + 1 : r->file;
	const char *dot = strrchr(name, '.');
	int stem = (int)(dot && dot > name ? (size_t)(dot - name) : strlen(name));
	if (output_is_standard(job->output))
		return files_path(out, err, "-");
	if (job->output && !cli_is_folder(job->output))
		return files_path(out, err, "%s", job->output);
	if (job->output)
		return files_path(out, err, "%s/%.*s-x%g.%s", job->output, stem, name, by, ending);
	return files_path(out, err, "%.*s-x%g.%s", (int)(name - r->file) + stem, r->file, by, ending);
}

/* --- reading --- */

static bool is_film(const struct reel *r)
{
	return r->size >= 4 && memcmp(r->data, "\x1a\x45\xdf\xa3", 4) == 0;
}

static int open_film(struct reel *r, struct error *err)
{
	int status = webm_reader_new(r->data, r->size, r->file, &r->film, err);
	if (status)
		return status;
	const struct webm_film *film = webm_reader_film(r->film);
	if (film->frames > WEBM_MAX_FRAMES)
		return error_set(err, SUMI_TOOBIG, "%s: it has %zu pictures, allowed are %d", r->file, film->frames, WEBM_MAX_FRAMES);
	if (film->sounds > 1)
		fprintf(stderr, "sumi: %s: of its %d sound tracks the first is kept\n", r->file, film->sounds);
	r->frames = (int)film->frames;
	r->ms = calloc(film->frames, sizeof *r->ms);
	return r->ms ? SUMI_OK : error_set(err, SUMI_NOMEM, "%s: no memory for %d pictures", r->file, r->frames);
}

static int open_reel(const char *file, struct reel *r, struct error *err)
{
	struct file_texts texts = {0};
	struct picture_info info;
	*r = (struct reel){.file = file, .frames = 1};
	int status = files_read_regular(file, FILM_FILE_MAX, &r->data, &r->size, err);
	if (!status && (status = texts_read(r->data, r->size, file, &texts, err)) == SUMI_OK)
		status = metadata_pick(&texts, &r->meta, err);
	texts_free(&texts);
	if (!status && is_film(r))
		return open_film(r, err);
	/* Several pictures: read one after the other. */
	if (!status && webp_picture_info(r->data, r->size, file, &info, NULL) == SUMI_OK &&
	    !(status = webp_reader_new(r->data, r->size, file, &r->reader, err))) {
		const struct webp_info *w = webp_reader_info(r->reader);
		r->frames = w->frames;
		r->width = w->width;
		r->height = w->height;
		if (w->frames == 1) {
			webp_reader_free(r->reader);
			r->reader = NULL;
		}
	}
	return status;
}

static void close_reel(struct reel *r)
{
	webp_reader_free(r->reader);
	webm_reader_free(r->film);
	free(r->ms);
	free(r->alpha);
	metadata_free(&r->meta);
	free(r->data);
}

/* A still's colours, and its transparency apart. */
static int read_still(struct reel *r, float **out, struct error *err)
{
	struct picture_info info;
	uint8_t *rgba = NULL;
	float *grey = NULL;
	int status;
	bool png = png_picture_info(r->data, r->size, r->file, &info, NULL) == SUMI_OK;
	r->grey16 = png && info.grey && info.depth == 16;
	if (r->grey16)
		status = picture_decode_grey16(r->data, r->size, r->file, &grey, &r->width, &r->height, err);
	else
		status = picture_decode_rgba(r->data, r->size, r->file, &rgba, &r->width, &r->height, err);
	size_t count = status ? 0 : (size_t)r->width * (size_t)r->height;
	if (!status && rgba && transparency_seen(rgba, count))
		status = transparency_split(rgba, r->height, r->width, out, &r->alpha, err);
	else if (!status && !(*out = malloc(3 * count * sizeof **out)))
		status = error_set(err, SUMI_NOMEM, "%s: no memory for its pixels", r->file);
	for (size_t i = 0; i < 3 * count && !status && !r->alpha; i++)
		(*out)[i] = grey ? grey[i / 3] : (float)rgba[i / 3 * 4 + i % 3] / 255;
	free(grey);
	free(rgba);
	return status;
}

/* The next picture of an animation, over black, as its encoder takes it. */
static int read_animation(struct reel *r, uint8_t **rgb, int *end_ms, struct error *err)
{
	size_t count = (size_t)r->width * (size_t)r->height;
	uint8_t *rgba = malloc(count * 4);
	*rgb = malloc(count * 3);
	int status = rgba && *rgb ? webp_reader_next_rgba(r->reader, rgba, end_ms, err)
				  : error_set(err, SUMI_NOMEM, "%s: no memory for a frame", r->file);
	if (!status && !r->loses_alpha && (r->loses_alpha = transparency_seen(rgba, count)))
		fprintf(stderr, "sumi: note: %s: its transparency becomes black: an animation keeps none\n", r->file);
	for (size_t i = 0; i < count && !status; i++)
		for (size_t c = 0; c < 3; c++)
			(*rgb)[3 * i + c] = (uint8_t)((rgba[4 * i + c] * rgba[4 * i + 3] + 127) / 255);
	free(rgba);
	return status;
}

/* The next frame as numbers of 0 … 1, the caller's; *end_ms: when it gives way. */
static int next_frame(struct reel *r, float **out, int *end_ms, struct error *err)
{
	uint8_t *rgb = NULL;
	int status;
	*end_ms = 0;
	*out = NULL;
	if (!r->reader && !r->film)
		return read_still(r, out, err);
	if (r->reader)
		status = read_animation(r, &rgb, end_ms, err);
	else
		status = webm_reader_next(r->film, &rgb, &r->width, &r->height, &r->ms[r->done], err);
	size_t values = status ? 0 : (size_t)r->width * (size_t)r->height * 3;
	*out = status ? NULL : malloc(values * sizeof **out);
	if (!status && !*out)
		status = error_set(err, SUMI_NOMEM, "%s: no memory for a frame", r->file);
	for (size_t i = 0; i < values && !status; i++)
		(*out)[i] = (float)rgb[i] / 255;
	free(rgb);
	return status;
}

/* --- enlarging --- */

struct progress {
	const struct job_of_upscaling *job;
	const struct reel *reel;
};

static int show_tile(void *context, int done, int count, struct error *err)
{
	const struct progress *p = context;
	const struct cli *cli = p->job->cli;
	(void)err;
	if (cli->quiet || cli->json || !isatty(STDERR_FILENO))
		return SUMI_OK;
	bool last = done == count && p->reel->done + 1 == p->reel->frames;
	fprintf(stderr, "\r\033[K%s: picture %d/%d, part %d/%d%s", p->reel->file, p->reel->done + 1,
		p->reel->frames, done, count, last ? "\r\033[K" : "");
	return SUMI_OK;
}

static double factor_of(const struct job_of_upscaling *job)
{
	const struct upscaler_info *info = upscaler_info(job->upscaler);
	return job->by > 0 ? job->by : info->scale * info->resize;
}

/* The next frame enlarged to [h, w, 3] in 0 … 1, the caller's. */
static int enlarge(const struct job_of_upscaling *job, struct reel *r, float **large, int *h, int *w, int *end_ms,
		   struct error *err)
{
	struct progress progress = {job, r};
	const struct upscale_watch watch = {show_tile, &progress};
	float *picture;
	*large = NULL;
	int status = next_frame(r, &picture, end_ms, err);
	if (status)
		return status;
	*h = (int)lround(factor_of(job) * r->height);
	*w = (int)lround(factor_of(job) * r->width);
	size_t values = (size_t)*h * (size_t)*w * 3;
	if (*h > WEBP_MAX_SIDE || *w > WEBP_MAX_SIDE || values / 3 > PICTURE_PIXELS_MAX) {
		status = error_set(err, SUMI_TOOBIG, "%s: %dx%d is larger than a picture may be: give a "
				   "smaller --by", r->file, *w, *h);
	} else {
		*large = malloc(values * sizeof **large);
		status = *large ? upscale_picture(job->upscaler, picture, r->height, r->width, *large, *h, *w,
						  &watch, err)
				: error_set(err, SUMI_NOMEM, "%s: no memory for %dx%d", r->file, *w, *h);
	}
	r->done++;
	free(picture);
	return status;
}

/* The same as bytes. */
static int enlarge_frame(const struct job_of_upscaling *job, struct reel *r, uint8_t **rgb, int *h, int *w,
			 int *end_ms, struct error *err)
{
	float *large;
	int status = enlarge(job, r, &large, h, w, end_ms, err);
	size_t values = status ? 0 : (size_t)*h * (size_t)*w * 3;
	*rgb = status ? NULL : malloc(values);
	if (!status && !*rgb)
		status = error_set(err, SUMI_NOMEM, "%s: no memory for %dx%d", r->file, *w, *h);
	if (!status)
		picture_to_bytes(large, *rgb, values);
	free(large);
	return status;
}

/* What the file said of itself, and what became of it: A1111's names. sumi's own JSON would make the
 * small picture again, and stays behind. */
static int texts_of(const struct job_of_upscaling *job, const struct reel *r, struct metadata *out,
		    struct error *err)
{
	const char *was = r->meta.infotext;
	char more[256];
	snprintf(more, sizeof more, "%sPostprocess upscale by: %g, Postprocess upscaler: %s",
		 was && *was ? ", " : "", factor_of(job), upscaler_label(job->name));
	size_t size = (was ? strlen(was) : 0) + strlen(more) + 1;
	*out = (struct metadata){.infotext = malloc(size)};
	if (!out->infotext)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", r->file);
	snprintf(out->infotext, size, "%s%s", was ? was : "", more);
	return SUMI_OK;
}

static int write_result(const struct job_of_upscaling *job, const char *path, const uint8_t *data,
			size_t size, struct error *err)
{
	int status = output_write(job->output ? job->output : path, path, data, size, err);
	if (status || output_is_standard(job->output))
		return status;
	if (job->cli->json)
		cli_print_json(json_pack("{s:s, s:I, s:f, s:s}", "path", path, "bytes", (json_int_t)size,
					 "by", factor_of(job), "upscaler", job->name));
	else
		printf("%s\n", path);
	return SUMI_OK;
}

/* Only one grey channel stays deep: heights and depths, where 8 bits are steps. */
static void tell_depth(const struct job_of_upscaling *job, const struct reel *r, bool png)
{
	struct picture_info info;
	if (job->cli->quiet || (r->grey16 && png) || png_picture_info(r->data, r->size, r->file, &info, NULL) || info.depth != 16)
		return;
	fprintf(stderr, "sumi: note: of the 16 bits of %s the result has 8: %s\n", r->file,
		r->grey16 ? "a .png keeps them" : "only grey without transparency keeps them");
}

static int encode_bytes(const struct reel *r, const float *large, int h, int w, bool png, const struct metadata *meta,
			uint8_t **data, size_t *size, struct error *err)
{
	struct webp_options lossless = {.lossless = true, .quality = 70};
	size_t values = (size_t)h * (size_t)w * 3;
	uint8_t *rgb = malloc(values), *rgba = NULL;
	int status = rgb ? SUMI_OK : error_set(err, SUMI_NOMEM, "%s: no memory for %dx%d", r->file, w, h);
	if (!status)
		picture_to_bytes(large, rgb, values);
	if (!status && r->alpha)
		status = transparency_join(rgb, r->alpha, r->height, r->width, h, w, &rgba, err);
	if (!status && png)
		status = rgba ? png_encode_rgba(rgba, w, h, meta, data, size, err) : png_encode(rgb, w, h, meta, data, size, err);
	else if (!status)
		status = rgba ? webp_encode_rgba(rgba, w, h, &lossless, meta, data, size, err)
			      : webp_encode(rgb, w, h, &lossless, meta, data, size, err);
	free(rgb);
	free(rgba);
	return status;
}

static int still(const struct job_of_upscaling *job, struct reel *r, const struct metadata *meta,
		 const char *path, struct error *err)
{
	const char *dot = strrchr(path, '.');
	bool png = !dot || strcasecmp(dot, ".webp") != 0;
	uint8_t *data = NULL;
	float *large;
	size_t size;
	int h, w, end_ms, status = enlarge(job, r, &large, &h, &w, &end_ms, err);
	if (!status)
		tell_depth(job, r, png);
	if (!status && r->grey16 && png) {
		for (size_t i = 0; i < (size_t)h * (size_t)w; i++)
			large[i] = (large[3 * i] + large[3 * i + 1] + large[3 * i + 2]) / 3;
		status = png_encode_grey16(large, w, h, meta, &data, &size, err);
	} else if (!status) {
		status = encode_bytes(r, large, h, w, png, meta, &data, &size, err);
	}
	if (!status)
		status = write_result(job, path, data, size, err);
	free(data);
	free(large);
	return status;
}

static int animation(const struct job_of_upscaling *job, struct reel *r, const struct metadata *meta,
		     const char *path, struct error *err)
{
	const struct webp_info *info = webp_reader_info(r->reader);
	struct webp_animation_options options = {.picture = {.quality = 90}, .timed = true, .loop_count = info->loop_count};
	struct webp_animation *a = NULL;
	uint8_t *data = NULL;
	size_t size;
	int status = SUMI_OK;
	for (int i = 0; i < r->frames && !status; i++) {
		uint8_t *rgb;
		int h, w, end_ms;
		status = enlarge_frame(job, r, &rgb, &h, &w, &end_ms, err);
		if (!status && i == 0)
			status = webp_animation_new(w, h, &options, &a, err);
		if (!status)
			status = webp_animation_add_until(a, rgb, end_ms, err);
		free(rgb);
	}
	if (!status)
		status = webp_animation_finish(a, meta, &data, &size, err);
	if (!status)
		status = write_result(job, path, data, size, err);
	free(data);
	webp_animation_free(a);
	return status;
}

static int film(const struct job_of_upscaling *job, struct reel *r, const struct metadata *meta, const char *path,
		struct error *err)
{
	const struct webm_film *was = webm_reader_film(r->film);
	const struct vp9_options options = {.quality = 90, .fps = was->fps};
	struct webm_taken taken = {.ms = r->ms, .end_ms = was->end_ms};
	struct webm *w = NULL;
	uint8_t *data = NULL;
	size_t size;
	int status = webm_reader_sound(r->film, &taken.sound, err);
	while (!status && r->done < r->frames) {
		uint8_t *rgb;
		int h, width, end_ms;
		status = enlarge_frame(job, r, &rgb, &h, &width, &end_ms, err);
		if (status == SUMI_NOTFOUND && r->done > 0) { /* the last of them show nothing of their own */
			status = SUMI_OK;
			break;
		}
		if (!status && !w)
			status = webm_new(width, h, &options, &w, err);
		if (!status)
			status = webm_add(w, rgb, false, err);
		free(rgb);
	}
	if (!status)
		status = webm_finish_taken(w, &taken, meta, &data, &size, err);
	if (!status)
		status = write_result(job, path, data, size, err);
	free(data);
	webm_free(w);
	return status;
}

/* A result has the ending of what is made of such a file. */
static int check_ending(const struct job_of_upscaling *job, const struct reel *r, const char *path, struct error *err)
{
	const char *dot = strrchr(path, '.');
	bool webp = dot && strcasecmp(dot, ".webp") == 0;
	if (output_is_standard(job->output))
		return SUMI_OK;
	if (r->film)
		return dot && strcasecmp(dot, ".webm") == 0 ? SUMI_OK
							   : error_set(err, SUMI_INVALID, "%s is a film: its result is a .webm", r->file);
	if (r->reader)
		return webp ? SUMI_OK : error_set(err, SUMI_INVALID, "%s is an animation: its result is a .webp", r->file);
	return !dot || webp || strcasecmp(dot, ".png") == 0 ? SUMI_OK : error_set(err, SUMI_INVALID, "-o %s: results are .png or .webp", path);
}

static int one_file(const struct job_of_upscaling *job, const char *file, struct error *err)
{
	struct reel r;
	struct metadata meta = {0};
	char path[FILES_PATH_MAX];
	int status = open_reel(file, &r, err);
	struct picture_info info;
	bool webp = r.size >= 12 && memcmp(r.data, "RIFF", 4) == 0;
	if (!status && !job->cli->quiet && !png_picture_info(r.data, r.size, file, &info, NULL) && info.more)
		fprintf(stderr, "sumi: note: %s is an animated PNG, of which the first picture alone is read: an animated WebP or a "
				"WebM is made larger as a whole\n", file);
	if (!status)
		status = result_path(job, &r, factor_of(job), r.film ? "webm" : webp ? "webp" : "png", path, err);
	if (!status)
		status = check_ending(job, &r, path, err);
	if (!status)
		status = texts_of(job, &r, &meta, err);
	if (!status)
		status = (r.film ? film : r.reader ? animation : still)(job, &r, &meta, path, err);
	metadata_free(&meta);
	close_reel(&r);
	return status;
}

static int upscale_all(struct job_of_upscaling *job, struct error *err)
{
	const char *selector = cli_value(job->cli, "device");
	int status = device_open(selector, &job->device, err);
	guarded_warn(job->device, selector);
	if (!status)
		status = upscaler_open(job->device, job->network, &job->upscaler, err);
	for (int i = 0; i < job->cli->arg_count && !status; i++)
		status = one_file(job, job->cli->args[i], err);
	upscaler_close(job->upscaler);
	device_close(job->device);
	return status;
}

/* In a process of its own; the exit status. */
static int upscale_guarded(void *context)
{
	struct job_of_upscaling *job = context;
	struct error err = {0};
	if (!upscale_all(job, &err))
		return EXIT_OK;
	return guarded_again() ? EXIT_FAILED : cli_error(job->cli, &err);
}

static int run_upscale(struct cli *cli)
{
	struct error err = {0};
	struct job_of_upscaling job = {.cli = cli};
	int status = check_options(&job, &err);
	if (!status)
		status = find_network(&job, &err);
	if (!status)
		status = guarded_call(upscale_guarded, &job, &err);
	return status < 0 ? cli_error(cli, &err) : status;
}

const struct verb verb_upscale = {
    .name = "upscale",
    .arguments = "FILE... [--upscaler FILE|NAME] [--by N]",
    .summary = "make pictures, animations and films larger by a network",
    .options = upscale_options,
    .min_args = 1,
    .max_args = 1000,
    .run = run_upscale,
    .more = "Networks are ESRGAN's (RRDB), Real-ESRGAN's compact ones (SRVGG) and SPAN, as .safetensors,\n"
	    ".pth or ncnn's .param with its .bin; sumi models add FILE installs one. The result is PNG or WebP, as the file or -o says,\n"
	    "of a film (VP8 or VP9 in WebM or Matroska) a WebM with its times and its sound.\n",
};
