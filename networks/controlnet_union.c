#include "networks/controlnet_union.h"

#include <stdlib.h>
#include <string.h>

#include "networks/clip_layers.h"

struct union_head {
	struct union_shape shape;
	float *tasks;              /* [kinds, width] */
	struct clip_layer *layers; /* [layers] */
	struct linear_layer shift;
	struct linear_layer kind1, kind2; /* of the kind's sinusoids */
};

static struct clip_shape layer_of(const struct union_shape *c)
{
	return (struct clip_shape){c->width, 4 * c->width, c->heads, ACT_QUICK_GELU, 1e-5, false};
}

void union_head_load(struct loader *l, const struct union_shape *c, struct union_head **out)
{
	const struct clip_shape shape = layer_of(c);
	const int tasks[] = {c->kinds, shape.width};
	struct union_head *head = *out = calloc(1, sizeof *head);
	if (head) {
		head->shape = *c;
		head->tasks = malloc((size_t)c->kinds * (size_t)shape.width * sizeof *head->tasks);
		head->layers = calloc((size_t)c->layers, sizeof *head->layers);
	}
	if (!head || !head->tasks || !head->layers) {
		loader_fail(l, SUMI_NOMEM, "out of memory while loading a ControlNet");
		return;
	}
	load_values(l, head->tasks, tasks, 2, "task_embedding");
	load_heads(l, shape.width, shape.heads, "transformer_layes");
	for (int i = 0; i < c->layers; i++) {
		char prefix[WEIGHT_NAME_MAX];
		weight_name(prefix, "transformer_layes.%d", i);
		clip_layer_load(l, &head->layers[i], &shape, prefix);
	}
	load_linear(l, &head->shift, shape.width, shape.width, 0, "spatial_ch_projs");
	load_linear(l, &head->kind1, c->time, c->kinds * c->sinusoid, 0,
		    "control_add_embedding.linear_1");
	load_linear(l, &head->kind2, c->time, c->time, 0, "control_add_embedding.linear_2");
}

void union_head_free(struct union_head *head)
{
	if (!head)
		return;
	free(head->tasks);
	free(head->layers);
	free(head);
}

void union_head_added(struct pass *p, const struct union_head *head, int kind, float *out)
{
	const struct union_shape *c = &head->shape;
	struct map in = pass_new(p, 1, 1, 1, c->kinds * c->sinusoid);
	struct map a = pass_new(p, 1, 1, 1, c->time), b = pass_new(p, 1, 1, 1, c->time);
	for (int i = 0; i < c->kinds; i++) {
		float is = i == kind;
		pass_timestep(p, &(struct timestep_args){
				     .timesteps = &is,
				     .y = map_slice(in, i * c->sinusoid, c->sinusoid).t,
				     .flip_sin_to_cos = c->flip_sin_to_cos,
				     .freq_shift = (float)c->freq_shift});
	}
	pass_linear(p, &head->kind1, in, a, (struct linear_args){.act = ACT_SILU});
	pass_linear(p, &head->kind2, a, b, (struct linear_args){0});
	pass_download(p, &b, out);
	pass_free(p, &b);
	pass_free(p, &a);
	pass_free(p, &in);
}

/* Means over the pixels of each of x's pictures: [n, channels]. */
static void mean(struct pass *p, struct map x, float *out)
{
	size_t pixels = (size_t)x.h * (size_t)x.w, c = (size_t)x.t.c;
	float *all = malloc((size_t)x.n * pixels * c * sizeof *all);
	if (!all)
		pass_fail(p, SUMI_NOMEM, "no memory for a ControlNet's latents");
	pass_download(p, &x, all);
	for (size_t n = 0; n < (size_t)x.n && p->device && !p->status; n++)
		for (size_t k = 0; k < c; k++) {
			double sum = 0;
			for (size_t i = 0; i < pixels; i++)
				sum += (double)all[(n * pixels + i) * c + k];
			out[n * c + k] = (float)(sum / (double)pixels);
		}
	free(all);
}

void union_head_token(struct pass *p, const struct union_head *head, int kind, struct map hint, float *out)
{
	size_t width = (size_t)hint.t.c;
	mean(p, hint, out);
	for (size_t k = 0; k < width && p->device && !p->status; k++)
		out[k] += head->tasks[(size_t)kind * width + k];
}

struct map union_head_shift(struct pass *p, const struct union_head *head, const float *token, struct map x)
{
	const struct clip_shape shape = layer_of(&head->shape);
	size_t width = (size_t)shape.width;
	struct map y = pass_new(p, x.n, 1, 1, shape.width);
	float *tokens = calloc((size_t)x.n * 2 * width, sizeof *tokens);
	if (!tokens) {
		pass_fail(p, SUMI_NOMEM, "no memory for a ControlNet's tokens");
		return y;
	}
	/* As these nets were trained, tokens of one kind see each other across the pictures of a call (the two of
	   a guided one), and no others: PyTorch's attention takes the first axis for that of a sequence. */
	for (size_t i = 0; i < (size_t)x.n && token; i++)
		memcpy(tokens + i * width, token, width * sizeof *tokens);
	mean(p, x, tokens + (size_t)x.n * width);
	struct map t = pass_upload(p, tokens, 2, 1, x.n, shape.width);
	for (int i = 0; i < head->shape.layers; i++)
		clip_layer_forward(p, &head->layers[i], &shape, t);
	struct map first = map_pictures(t, 0, 1); /* the picture's, one for each of x's */
	first.n = x.n;
	first.w = 1;
	pass_linear(p, &head->shift, first, y, (struct linear_args){0});
	pass_free(p, &t);
	free(tokens);
	return y;
}
