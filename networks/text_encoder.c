/* CLIP's text model. */
#include "networks/text_encoder.h"

#include <stdlib.h>
#include <string.h>

#include "networks/clip_layers.h"
#include "weights/overlay.h"

struct text_encoder {
	struct text_config config;
	struct weight_set set;
	struct linear_layer tokens, positions; /* tables [vocabulary, width], [tokens, width] */
	struct clip_layer *layers;             /* [config.layers] */
	struct norm_layer final_norm;
	struct linear_layer projection; /* weight NULL: none */
};

/* --- loading --- */

static struct clip_shape shape_of(const struct text_config *c)
{
	return (struct clip_shape){c->width, c->inner, c->heads, c->act, c->epsilon, .causal = true};
}

static int build(struct text_encoder *te, struct weights *files, bool projects, struct error *err)
{
	const struct text_config *c = &te->config;
	struct loader l = {.files = files, .set = &te->set, .err = err};
	te->layers = calloc((size_t)c->layers, sizeof *te->layers);
	if (!te->layers)
		return error_set(err, SUMI_NOMEM, "out of memory while loading a text encoder");
	load_linear(&l, &te->tokens, c->vocabulary, c->width, LOAD_TABLE,
		    "text_model.embeddings.token_embedding");
	load_linear(&l, &te->positions, c->tokens, c->width, LOAD_TABLE,
		    "text_model.embeddings.position_embedding");
	load_heads(&l, c->width, c->heads, "text_model.encoder");
	const struct clip_shape shape = shape_of(c);
	for (int i = 0; i < c->layers; i++) {
		char prefix[WEIGHT_NAME_MAX];
		weight_name(prefix, "text_model.encoder.layers.%d", i);
		clip_layer_load(&l, &te->layers[i], &shape, prefix);
	}
	load_norm(&l, &te->final_norm, c->width, 0, c->epsilon, "text_model.final_layer_norm");
	if (projects)
		load_linear(&l, &te->projection, c->projection, c->width, LOAD_NO_BIAS,
			    "text_projection");
	return loader_end(&l);
}

int text_encoder_open(struct device *device, const char *folder, bool projects,
		      struct text_encoder **out, struct error *err)
{
	return text_encoder_open_with(device, folder, projects, NULL, out, err);
}

int text_encoder_open_with(struct device *device, const char *folder, bool projects,
			   const struct overlays *on, struct text_encoder **out, struct error *err)
{
	*out = NULL;
	struct weights *files = NULL;
	struct text_encoder *te = calloc(1, sizeof *te);
	if (!te)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", folder);
	te->set.device = device;
	te->set.adapts = true;
	int status = text_config_read(folder, &te->config, err);
	if (!status)
		status = weights_open_with(folder, on, &files, err);
	if (!status)
		status = build(te, files, projects, err);
	/* Layers behind the last one would be left out in silence. Other parts of CLIP
	   (text_projection, the vision tower) are none of this model's business. */
	if (!status)
		status = weights_check_unused(files, "text_model.encoder.", err);
	if (!status)
		status = weights_check_unused(files, "encoder.", err);
	weights_close(files);
	if (!status && on && on->thin)
		status = text_encoder_adapt(te, folder, on, err);
	if (status) {
		text_encoder_close(te);
		return status;
	}
	*out = te;
	return SUMI_OK;
}

int text_encoder_adapt(struct text_encoder *te, const char *folder, const struct overlays *on,
		       struct error *err)
{
	return thin_put(&te->set.thin, te->set.device, folder, on, err);
}

void text_encoder_close(struct text_encoder *te)
{
	if (!te)
		return;
	weight_set_clear(&te->set);
	free(te->layers);
	free(te);
}

const struct text_config *text_encoder_config(const struct text_encoder *te)
{
	return &te->config;
}

void text_encoder_rest(const struct text_encoder *te)
{
	packed_rest(te->set.packed);
}

/* --- running --- */

/* Where a row's text ends: what its pooled embedding is read from. */
static int end_of(const struct text_config *c, const int32_t *ids, int tokens)
{
	int end = 0;
	for (int i = 0; i < tokens; i++) {
		if (c->eos != 2 && ids[i] == c->eos)
			return i;
		if (c->eos == 2 && ids[i] > ids[end])
			end = i;
	}
	return end;
}

/* x [n, 1, tokens, width], the last state, → pooled [n, projection]. */
static void pool(struct pass *p, const struct text_encoder *te, const struct text_input *in,
		 struct map x)
{
	size_t width = (size_t)te->config.width;
	float *all = malloc((size_t)x.n * (size_t)x.w * width * sizeof *all);
	if (!all) {
		pass_fail(p, SUMI_NOMEM, "no memory for a text's embeddings");
		return;
	}
	pass_download(p, &x, all);
	for (int i = 0; i < x.n; i++) {
		int end = i * x.w + end_of(&te->config, in->ids + i * x.w, x.w);
		memmove(all + (size_t)i * width, all + (size_t)end * width, width * sizeof *all);
	}
	struct map ends = pass_upload(p, all, x.n, 1, 1, te->config.width);
	struct map pooled = pass_new(p, x.n, 1, 1, te->config.projection);
	pass_linear(p, &te->projection, ends, pooled, (struct linear_args){0});
	pass_download(p, &pooled, in->pooled);
	pass_free(p, &pooled);
	pass_free(p, &ends);
	free(all);
}

/* The state that was asked for, in x, to the host. */
static void take(struct pass *p, const struct text_encoder *te, const struct text_input *in,
		 struct map x, float *embeddings)
{
	if (in->penultimate) {
		pass_download(p, &x, embeddings);
		return;
	}
	struct map y = pass_new(p, x.n, 1, x.w, te->config.width);
	pass_norm(p, &te->final_norm, x, y, ACT_NONE);
	pass_download(p, &y, embeddings);
	pass_free(p, &y);
}

/* Rows of in->added, at their places, instead of those of ids; [n, 1, tokens, width] in place. */
static void put_added(struct pass *p, const struct text_encoder *te, const struct text_input *in,
		      struct map x)
{
	size_t rows = (size_t)in->n * (size_t)in->tokens, width = (size_t)te->config.width;
	struct weight_desc desc = {.data = in->added,
				   .dtype = DTYPE_F32,
				   .cout = in->added_count,
				   .cin = te->config.width,
				   .kernel = 1,
				   .table = true};
	float *own = malloc(2 * rows * width * sizeof *own), *other = own + rows * width;
	int32_t *ids = malloc(rows * sizeof *ids);
	struct weight *table = NULL;
	if (!own || !ids)
		pass_fail(p, SUMI_NOMEM, "no memory for a text's embeddings");
	else if (!p->status)
		p->status = device_weight_new(p->device, &desc, &table, p->err);
	for (size_t i = 0; i < rows && !p->status; i++)
		ids[i] = in->vectors[i] ? in->vectors[i] - 1 : 0;
	struct map y = pass_new(p, in->n, 1, in->tokens, te->config.width);
	pass_embedding(p, &(struct embedding_args){.table = table,
						   .position = te->positions.weight,
						   .ids = ids,
						   .y = y.t,
						   .n = in->n});
	pass_download(p, &x, own);
	pass_download(p, &y, other);
	pass_free(p, &y);
	for (size_t i = 0; i < rows && !p->status; i++)
		if (in->vectors[i])
			memcpy(own + i * width, other + i * width, width * sizeof *own);
	struct map z = pass_upload(p, own, in->n, 1, in->tokens, te->config.width);
	pass_scale(p, z, 1, x);
	pass_free(p, &z);
	device_weight_free(p->device, table);
	free(ids);
	free(own);
}

static void forward(struct pass *p, const struct text_encoder *te, const struct text_input *in,
		    float *embeddings)
{
	int wanted = te->config.layers - in->clip_skip - in->penultimate;
	int layers = in->pooled ? te->config.layers : wanted;
	const struct clip_shape shape = shape_of(&te->config);
	struct map x = pass_new(p, in->n, 1, in->tokens, te->config.width);
	pass_embedding(p, &(struct embedding_args){.table = te->tokens.weight,
						   .position = te->positions.weight,
						   .ids = in->ids,
						   .y = x.t,
						   .n = in->n});
	if (in->vectors)
		put_added(p, te, in, x);
	pass_tap(p, &x, "hidden.0");
	if (wanted == 0)
		take(p, te, in, x, embeddings);
	for (int i = 0; i < layers; i++) {
		clip_layer_forward(p, &te->layers[i], &shape, x);
		pass_tap(p, &x, "hidden.%d", i + 1);
		if (i + 1 == wanted)
			take(p, te, in, x, embeddings);
	}
	if (in->pooled) {
		pass_norm(p, &te->final_norm, x, x, ACT_NONE);
		pool(p, te, in, x);
	}
	pass_free(p, &x);
}

int text_encoder_forward(struct text_encoder *te, const struct text_input *in, float *embeddings,
			 struct error *err)
{
	if (in->n < 1 || in->tokens < 1 || in->tokens > te->config.tokens)
		return error_set(err, SUMI_INVALID,
				 "text: %d rows of %d tokens, the model has %d positions", in->n,
				 in->tokens, te->config.tokens);
	if (in->clip_skip < 0 || in->clip_skip >= te->config.layers)
		return error_set(err, SUMI_INVALID,
				 "clip_skip is %d, the text encoder's %d layers allow 0 to %d",
				 in->clip_skip, te->config.layers, te->config.layers - 1);
	if (in->pooled && !te->projection.weight)
		return error_set(err, SUMI_INVALID, "text: this encoder has no projection");
	struct pass p = pass_begin(te->set.device, &in->tap, err);
	forward(&p, te, in, embeddings);
	return p.status;
}
