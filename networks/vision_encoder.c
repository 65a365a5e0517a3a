/* CLIP's vision model. */
#include "networks/vision_encoder.h"

#include <stdlib.h>
#include <string.h>

#include "networks/clip_layers.h"

enum { COLOURS = 3 };

/* OpenAI's means and deviations, which all its successors kept. */
static const float mean[COLOURS] = {0.48145466f, 0.4578275f, 0.40821073f};
static const float deviation[COLOURS] = {0.26862954f, 0.26130258f, 0.27577711f};

struct vision_encoder {
	struct vision_config config;
	struct weight_set set;
	struct linear_layer patches; /* [width, colours · patch · patch]; its weight is of `made` */
	struct weight *made;
	float *positions; /* [tokens, width]; to the first the class embedding is added */
	struct norm_layer before, after;
	struct clip_layer *layers; /* [config.layers] */
	struct linear_layer projection;
};

int vision_tokens(const struct vision_config *c)
{
	int across = c->side / c->patch;
	return across * across + 1;
}

static struct clip_shape shape_of(const struct vision_config *c)
{
	return (struct clip_shape){c->width, c->inner, c->heads, c->act, c->epsilon, false};
}

/* --- life --- */

/* A convolution whose steps are as wide as its kernel is a matrix over patches. */
static void load_patches(struct loader *l, struct vision_encoder *ve)
{
	const struct vision_config *c = &ve->config;
	const int shape[] = {c->width, COLOURS, c->patch, c->patch};
	int cin = COLOURS * c->patch * c->patch;
	float *values = malloc((size_t)c->width * (size_t)cin * sizeof *values);
	struct weight_desc desc = {
	    .data = values, .dtype = DTYPE_F32, .cout = c->width, .cin = cin, .kernel = 1};
	if (!values)
		loader_fail(l, SUMI_NOMEM, "out of memory while loading an image encoder");
	load_values(l, values, shape, 4, "vision_model.embeddings.patch_embedding.weight");
	if (!l->status)
		l->status = device_weight_new(ve->set.device, &desc, &ve->made, l->err);
	ve->patches = (struct linear_layer){.weight = ve->made, .cin = cin, .cout = c->width};
	free(values);
}

static void load_positions(struct loader *l, struct vision_encoder *ve)
{
	const struct vision_config *c = &ve->config;
	const int shape[] = {vision_tokens(c), c->width};
	size_t width = (size_t)c->width;
	ve->positions = malloc((size_t)shape[0] * width * sizeof *ve->positions);
	float *class = malloc(width * sizeof *class);
	if (!ve->positions || !class)
		loader_fail(l, SUMI_NOMEM, "out of memory while loading an image encoder");
	load_values(l, ve->positions, shape, 2, "vision_model.embeddings.position_embedding.weight");
	load_values(l, class, &c->width, 1, "vision_model.embeddings.class_embedding");
	for (size_t i = 0; i < width && !l->status; i++)
		ve->positions[i] += class[i];
	free(class);
}

static int build(struct vision_encoder *ve, struct weights *files, struct error *err)
{
	const struct vision_config *c = &ve->config;
	const struct clip_shape shape = shape_of(c);
	struct loader l = {.files = files, .set = &ve->set, .err = err};
	ve->layers = calloc((size_t)c->layers, sizeof *ve->layers);
	if (!ve->layers)
		return error_set(err, SUMI_NOMEM, "out of memory while loading an image encoder");
	load_patches(&l, ve);
	load_positions(&l, ve);
	load_norm(&l, &ve->before, c->width, 0, c->epsilon, "vision_model.pre_layrnorm");
	load_heads(&l, c->width, c->heads, "vision_model.encoder");
	for (int i = 0; i < c->layers; i++) {
		char prefix[WEIGHT_NAME_MAX];
		weight_name(prefix, "vision_model.encoder.layers.%d", i);
		clip_layer_load(&l, &ve->layers[i], &shape, prefix);
	}
	load_norm(&l, &ve->after, c->width, 0, c->epsilon, "vision_model.post_layernorm");
	load_linear(&l, &ve->projection, c->projection, c->width, LOAD_NO_BIAS, "visual_projection");
	return loader_end(&l);
}

int vision_encoder_open(struct device *device, const char *path, struct vision_encoder **out,
			struct error *err)
{
	*out = NULL;
	struct weights *files = NULL;
	struct vision_encoder *ve = calloc(1, sizeof *ve);
	if (!ve)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	ve->set.device = device;
	int status = vision_config_read(path, &ve->config, err);
	if (!status)
		status = weights_open(path, &files, err);
	if (!status)
		status = build(ve, files, err);
	/* Layers behind the last one would be left out in silence. */
	if (!status)
		status = weights_check_unused(files, "vision_model.encoder.", err);
	weights_close(files);
	if (status) {
		vision_encoder_close(ve);
		return status;
	}
	*out = ve;
	return SUMI_OK;
}

void vision_encoder_close(struct vision_encoder *ve)
{
	if (!ve)
		return;
	device_weight_free(ve->set.device, ve->made);
	weight_set_clear(&ve->set);
	free(ve->positions);
	free(ve->layers);
	free(ve);
}

/* --- running --- */

/* [tokens − 1, colours · patch · patch], as the convolution's kernel has its numbers. */
static void cut(const struct vision_config *c, const float *picture, float *out)
{
	size_t side = (size_t)c->side, patch = (size_t)c->patch, across = side / patch;
	for (size_t row = 0; row < across * patch; row++)
		for (size_t column = 0; column < across * patch; column++)
			for (size_t k = 0; k < COLOURS; k++) {
				size_t token = row / patch * across + column / patch;
				size_t at = (k * patch + row % patch) * patch + column % patch;
				float v = picture ? (picture[(row * side + column) * COLOURS + k] - mean[k]) /
							deviation[k]
						  : 0;
				out[token * patch * patch * COLOURS + at] = v;
			}
}

/* [1, 1, tokens, width]: patches and where they lie. */
static struct map embed(struct pass *p, const struct vision_encoder *ve, const float *picture)
{
	const struct vision_config *c = &ve->config;
	int tokens = vision_tokens(c);
	float *patches = malloc((size_t)tokens * (size_t)ve->patches.cin * sizeof *patches);
	struct map x = pass_upload(p, ve->positions, 1, 1, tokens, c->width);
	struct map rest = map_tokens(x, 1, tokens - 1);
	if (!patches) {
		pass_fail(p, SUMI_NOMEM, "no memory for a picture's patches");
		return x;
	}
	cut(c, picture, patches);
	struct map in = pass_upload(p, patches, 1, 1, tokens - 1, ve->patches.cin);
	pass_linear(p, &ve->patches, in, rest, (struct linear_args){.residual = rest.t});
	pass_free(p, &in);
	free(patches);
	return x;
}

/* The picture's token, of x, becomes its embedding. */
static void project(struct pass *p, const struct vision_encoder *ve, struct map x, float *out)
{
	struct map first = map_tokens(x, 0, 1);
	struct map normed = pass_new(p, 1, 1, 1, ve->config.width);
	struct map y = pass_new(p, 1, 1, 1, ve->config.projection);
	pass_norm(p, &ve->after, first, normed, ACT_NONE);
	pass_linear(p, &ve->projection, normed, y, (struct linear_args){0});
	pass_download(p, &y, out);
	pass_free(p, &y);
	pass_free(p, &normed);
}

int vision_encoder_forward(struct vision_encoder *ve, const float *picture, bool tokens, float *out,
			   struct error *err)
{
	const struct vision_config *c = &ve->config;
	const struct clip_shape shape = shape_of(c);
	int layers = tokens ? c->layers - 1 : c->layers;
	struct pass p = pass_begin(ve->set.device, NULL, err);
	struct map x = embed(&p, ve, picture);
	pass_norm(&p, &ve->before, x, x, ACT_NONE);
	for (int i = 0; i < layers; i++)
		clip_layer_forward(&p, &ve->layers[i], &shape, x);
	if (tokens)
		pass_download(&p, &x, out);
	else
		project(&p, ve, x, out);
	pass_free(&p, &x);
	return p.status;
}
