/* Landscapes: one run that paints four channels, colour from above and height, and what is made of
 * them: a glTF binary, a turntable, the heights for a game engine or the colours alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "media/landscape.h"
#include "media/picture.h"
#include "media/picture_file.h"
#include "media/png.h"
#include "media/reel.h"
#include "media/rivers.h"
#include "modalities/request.h"
#include "modalities/single_run.h"

enum {
	CHANNELS = 4,
	COLOURS = 3,
	TURN_FRAMES = 48, /* of a whole turn, … */
	TURN_FPS = 12,
	TURN_WIDTH = 480,
	TURN_HEIGHT = 360,
};

/* "world" of a pack's sumi.json: {"relief": widths of its own pictures that height 1 stands high, "sea_level": height,
 * "rivers": whether they are made to fall}. */
static int read_scale(const struct pack_info *info, struct landscape *l, bool *rivers, struct error *err)
{
	static const char *const known[] = {"relief", "sea_level", "rivers", NULL};
	const json_t *o = json_object_get(info->manifest, "world");
	char where[256];
	snprintf(where, sizeof where, "%.200s/sumi.json, world", info->path);
	l->relief = 0.3;
	l->sea_level = -1;
	if (o && !json_is_object(o))
		return error_set(err, SUMI_INVALID, "%s: must be an object", where);
	const char *stranger = o ? json_unknown_field(o, known) : NULL;
	if (stranger)
		return error_set(err, SUMI_INVALID, "%s: field '%.60s' is not known", where,
				 stranger);
	*rivers = true;
	int status = json_want_number(o, where, "relief", 0.001, 10, &l->relief, err);
	if (!status)
		status = json_want_number(o, where, "sea_level", -1, 1, &l->sea_level, err);
	return status ? status : json_want_bool(o, where, "rivers", rivers, err);
}

/* loop joins all edges, which is what tile says of both axes. */
static int resolve_edges(struct request *r, struct error *err)
{
	if (!r->loop)
		return SUMI_OK;
	if (r->tile && strcmp(r->tile, "both") != 0)
		return error_set(err, SUMI_INVALID,
				 "loop joins all edges of a landscape, tile %s some: leave one out", r->tile);
	r->tile = "both";
	r->loop = false;
	return SUMI_OK;
}

static int world_resolve(const struct pack_info *info, struct request *r, struct error *err)
{
	struct landscape scale;
	bool rivers;
	int status;
	if (strcmp(info->modality, modality_names[MODALITY_WORLD]) != 0 ||
	    info->latents.colours != CHANNELS)
		return error_set(err, SUMI_INVALID,
				 "model %s makes no landscapes: its sumi.json must say "
				 "\"modality\": \"world\", and its "
				 "pixels have a fourth channel, the height",
				 info->name);
	if ((status = read_scale(info, &scale, &rivers, err)) || (status = resolve_edges(r, err)) ||
	    (status = request_resolve(info, r, err)))
		return status;
	r->strength = NAN; /* of heights that are not there nothing can stay */
	return request_resolve_end(r, PARAM_WORLD, err);
}

/* A side of the run that is seen in patches as long as the pack's own pictures; 0: it is no longer
 * than those. */
static int patch_of(int side, int own)
{
	return own > 0 && side > own ? own : 0;
}

/* The picture's colours, under heights that nobody knows. */
static int load_init(const struct single_run_start *start, const struct request *r, float **out,
		     struct error *err)
{
	size_t count = (size_t)r->width * (size_t)r->height;
	float *rgb, *pixels;
	(void)start;
	int status = picture_load(r->init_file, r->init, r->width, r->height, &rgb, err);
	if (status)
		return status;
	if (!(pixels = calloc(count * CHANNELS, sizeof *pixels))) {
		free(rgb);
		return error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d", r->width, r->height);
	}
	for (size_t i = 0; i < count; i++)
		memcpy(pixels + i * CHANNELS, rgb + i * COLOURS, COLOURS * sizeof *rgb);
	free(rgb);
	*out = pixels;
	return SUMI_OK;
}

static int world_begin(struct pack *pack, const struct request *r, const void *saved,
		       size_t saved_size, struct generation **out, struct error *err)
{
	const struct pack_info *info = pack_info_of(pack);
	struct single_run_start start = {
	    .modality = &modality_world,
	    .load_init = load_init,
	    .colours = CHANNELS,
	    .unknown = CHANNELS - COLOURS,
	    .patch_width = patch_of(r->width, info->defaults.width),
	    .patch_height = patch_of(r->height, info->defaults.height),
	    .saved = saved,
	    .saved_size = saved_size,
	};
	return single_run_begin(pack, r, &start, out, err);
}

/* ---- finishing --------------------------------------------------------------------- */

struct scene {
	const struct single_run *run; /* borrowed */
	struct landscape land;        /* its arrays are these: */
	float *heights;
	uint8_t *rgb;
};

/* The colours of a picture that is lifted are its own, not the autoencoder's copy. */
static int keep_colours(struct scene *s, struct error *err)
{
	const struct request *r = &s->run->request;
	size_t count = (size_t)r->width * (size_t)r->height * COLOURS;
	float *rgb;
	int status = picture_load(r->init_file, r->init, r->width, r->height, &rgb, err);
	if (status)
		return status;
	for (size_t i = 0; i < count; i++)
		rgb[i] = rgb[i] * 0.5f + 0.5f;
	picture_to_bytes(rgb, s->rgb, count);
	free(rgb);
	return SUMI_OK;
}

static int settle_rivers(struct scene *s, struct error *err)
{
	const struct landscape *l = &s->land;
	struct relief_field f = {.width = l->width, .height = l->height, .heights = s->heights,
				 .metres = l->relief * l->width, .sea_level = l->sea_level,
				 .joined_x = l->joined_x, .joined_y = l->joined_y};
	return rivers_settle(&f, NULL, err);
}

static int decode(struct scene *s, struct error *err)
{
	bool rivers;
	struct landscape *l = &s->land;
	const char *tile = s->run->request.tile;
	l->width = single_run_width(s->run);
	l->height = single_run_height(s->run);
	size_t count = (size_t)l->width * (size_t)l->height;
	float *pixels = malloc(count * CHANNELS * sizeof *pixels);
	s->heights = malloc(count * sizeof *s->heights);
	s->rgb = malloc(count * 3);
	l->heights = s->heights;
	l->rgb = s->rgb;
	l->joined_x = tile && strcmp(tile, "y") != 0;
	l->joined_y = tile && strcmp(tile, "x") != 0;
	int status = pixels && s->heights && s->rgb
			 ? read_scale(pack_info_of(s->run->pack), l, &rivers, err)
			 : error_set(err, SUMI_NOMEM, "no memory for a landscape of %dx%d",
				     l->width, l->height);
	if (!status)
		status = run_decode(s->run->run, 0, pixels, err);
	for (size_t i = 0; i < count && !status; i++) {
		picture_to_bytes(pixels + i * CHANNELS, s->rgb + i * 3, 3);
		s->heights[i] = fminf(fmaxf(pixels[i * CHANNELS + 3], 0), 1);
	}
	free(pixels);
	/* A cell is as wide in a larger landscape, so what is painted of its height is as high. */
	if (pack_info_of(s->run->pack)->defaults.width > 0)
		l->relief *= (double)pack_info_of(s->run->pack)->defaults.width / l->width;
	if (!status && rivers)
		status = settle_rivers(s, err);
	return status || !s->run->request.init ? status : keep_colours(s, err);
}

static int make_mesh(const struct scene *s, const struct metadata *meta, struct output *o,
		     uint8_t **data, struct error *err)
{
	o->width = s->land.width;
	o->height = s->land.height;
	return gltf_encode(&s->land, meta, data, &o->size, err);
}

static int make_heights(const struct scene *s, const struct metadata *meta, struct output *o,
			uint8_t **data, struct error *err)
{
	o->width = s->land.width;
	o->height = s->land.height;
	return png_encode_grey16(s->heights, o->width, o->height, meta, data, &o->size, err);
}

static int make_colours(const struct scene *s, const struct metadata *meta, struct output *o,
			uint8_t **data, struct error *err)
{
	o->width = s->land.width;
	o->height = s->land.height;
	return png_encode(s->rgb, o->width, o->height, meta, data, &o->size, err);
}

static int make_turntable(const struct scene *s, const struct metadata *meta, struct output *o,
			  uint8_t **data, struct error *err)
{
	struct reel_options options = {.format = "webp",
				       .width = TURN_WIDTH,
				       .height = TURN_HEIGHT,
				       .fps = TURN_FPS,
				       .quality = s->run->request.quality};
	struct reel *reel = NULL;
	uint8_t *rgb = malloc((size_t)TURN_WIDTH * TURN_HEIGHT * 3);
	int status = rgb ? reel_new(&options, &reel, err)
			 : error_set(err, SUMI_NOMEM, "no memory for a picture of %dx%d",
				     TURN_WIDTH, TURN_HEIGHT);
	for (int i = 0; i < TURN_FRAMES && !status; i++) {
		status = relief_draw(&s->land, 2 * M_PI * i / TURN_FRAMES, TURN_WIDTH, TURN_HEIGHT,
				     rgb, err);
		if (!status)
			status = reel_add(reel, rgb, i == 0, err);
	}
	if (!status)
		status = reel_finish(reel, NULL, 0, meta, data, &o->size, err);
	o->width = TURN_WIDTH;
	o->height = TURN_HEIGHT;
	o->duration = (double)TURN_FRAMES / TURN_FPS;
	reel_free(reel);
	free(rgb);
	return status;
}

static const struct {
	const char *format;
	int (*make)(const struct scene *s, const struct metadata *meta, struct output *o,
		    uint8_t **data, struct error *err);
} makers[] = {{"glb", make_mesh},
	      {"webp", make_turntable},
	      {"height.png", make_heights},
	      {"png", make_colours}};

static int world_finish(struct generation *g, const struct sink *sink, struct error *err)
{
	struct scene s = {.run = (struct single_run *)g};
	struct metadata meta = {.infotext = s.run->infotext, .json = s.run->metadata};
	struct output o = {.role = "main", .format = s.run->request.format};
	uint8_t *data = NULL;
	size_t i = 0;
	while (strcmp(makers[i].format, o.format) != 0)
		i++;
	int status = decode(&s, err);
	if (!status)
		status = makers[i].make(&s, &meta, &o, &data, err);
	o.data = data;
	if (!status)
		status = single_run_emit(s.run, &o, sink, err);
	free(data);
	free(s.heights);
	free(s.rgb);
	return status;
}

const struct modality modality_world = {
    .resolve = world_resolve,
    .begin = world_begin,
    .check_file = picture_check,
    .step = single_run_step,
    .joins = single_run_joins,
    .step_together = single_run_step_together,
    .most_together = single_run_most_together,
    .save = single_run_save,
    .preview = single_run_preview,
    .finish = world_finish,
    .free = single_run_free,
};
