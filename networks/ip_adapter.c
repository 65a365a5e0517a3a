#include "networks/ip_adapter.h"

#include <stdlib.h>
#include <string.h>

#include "networks/unet_internal.h"

/* Channels of a head of a resampler, and epsilon of PyTorch's LayerNorm: fixed in all published ones. */
enum { HEAD = 64 };
#define NORM_EPSILON 1e-5

#define PROJECTION "image_proj"

struct resampler_layer {
	struct norm_layer seen, asks; /* of the picture's tokens, of those that ask them */
	struct linear_layer q, kv, out;
	struct norm_layer norm;
	struct linear_layer up, down;
};

struct ip_adapter {
	struct ip_config config;
	struct weight_set set;
	struct linear_layer in, out; /* IP_LINEAR: in alone; IP_MLP: its two; IP_RESAMPLER: around its layers */
	struct norm_layer norm;      /* of what comes out */
	struct resampler_layer *layers; /* [config.depth] */
	float *asks;                    /* [tokens, inner], what they ask at first */
	struct linear_layer *kv;        /* [config.layers], keys and values side by side */
};

bool ip_reads_tokens(const struct ip_config *c)
{
	return c->projection != IP_LINEAR;
}

int ip_adapter_tokens(const struct ip_config *c, int rows)
{
	return c->projection == IP_MLP ? rows : c->tokens;
}

/* --- life --- */

static void load_resampler_layer(struct loader *l, struct resampler_layer *r, const struct ip_config *c,
				 int index)
{
	char at[WEIGHT_NAME_MAX];
	weight_name(at, PROJECTION ".layers.%d", index);
	load_norm(l, &r->seen, c->inner, 0, NORM_EPSILON, "%s.0.norm1", at);
	load_norm(l, &r->asks, c->inner, 0, NORM_EPSILON, "%s.0.norm2", at);
	load_linear(l, &r->q, c->asked, c->inner, LOAD_NO_BIAS, "%s.0.to_q", at);
	load_linear(l, &r->kv, 2 * c->asked, c->inner, LOAD_NO_BIAS, "%s.0.to_kv", at);
	load_linear(l, &r->out, c->inner, c->asked, LOAD_NO_BIAS, "%s.0.to_out", at);
	load_norm(l, &r->norm, c->inner, 0, NORM_EPSILON, "%s.1.0", at);
	load_linear(l, &r->up, c->wide, c->inner, LOAD_NO_BIAS, "%s.1.1", at);
	load_linear(l, &r->down, c->inner, c->wide, LOAD_NO_BIAS, "%s.1.3", at);
}

static void load_resampler(struct loader *l, struct ip_adapter *ip)
{
	const struct ip_config *c = &ip->config;
	const int shape[] = {1, c->tokens, c->inner};
	ip->layers = calloc((size_t)c->depth, sizeof *ip->layers);
	ip->asks = malloc((size_t)c->tokens * (size_t)c->inner * sizeof *ip->asks);
	if (!ip->layers || !ip->asks) {
		loader_fail(l, SUMI_NOMEM, "out of memory while loading an IP-Adapter");
		return;
	}
	load_values(l, ip->asks, shape, 3, PROJECTION ".latents");
	load_linear(l, &ip->in, c->inner, c->image, 0, PROJECTION ".proj_in");
	load_heads(l, c->asked, c->asked / HEAD, PROJECTION ".layers");
	for (int i = 0; i < c->depth && !l->status; i++)
		load_resampler_layer(l, &ip->layers[i], c, i);
	load_linear(l, &ip->out, c->context, c->inner, 0, PROJECTION ".proj_out");
	load_norm(l, &ip->norm, c->context, 0, NORM_EPSILON, PROJECTION ".norm_out");
}

static void load_projection(struct loader *l, struct ip_adapter *ip)
{
	const struct ip_config *c = &ip->config;
	switch (c->projection) {
	case IP_LINEAR:
		load_linear(l, &ip->in, c->tokens * c->context, c->image, 0, PROJECTION ".proj");
		load_norm(l, &ip->norm, c->context, 0, NORM_EPSILON, PROJECTION ".norm");
		break;
	case IP_MLP:
		load_linear(l, &ip->in, c->image, c->image, 0, PROJECTION ".proj.0");
		load_linear(l, &ip->out, c->context, c->image, 0, PROJECTION ".proj.2");
		load_norm(l, &ip->norm, c->context, 0, NORM_EPSILON, PROJECTION ".proj.3");
		break;
	case IP_RESAMPLER:
		load_resampler(l, ip);
		break;
	}
}

static int build(struct ip_adapter *ip, struct weights *files, struct error *err)
{
	const struct ip_config *c = &ip->config;
	struct loader l = {.files = files, .set = &ip->set, .err = err};
	ip->kv = calloc((size_t)c->layers, sizeof *ip->kv);
	if (!ip->kv)
		return error_set(err, SUMI_NOMEM, "out of memory while loading an IP-Adapter");
	load_projection(&l, ip);
	for (int i = 0; i < c->layers; i++) {
		struct stack_part parts[2] = {{.cout = c->channels[i]}, {.cout = c->channels[i]}};
		weight_name(parts[0].name, "ip_adapter.%d.to_k_ip", 2 * i + 1);
		weight_name(parts[1].name, "ip_adapter.%d.to_v_ip", 2 * i + 1);
		load_linear_stack(&l, &ip->kv[i], parts, 2, c->context, LOAD_NO_BIAS);
	}
	return loader_end(&l);
}

int ip_adapter_open(struct device *device, const char *path, struct ip_adapter **out, struct error *err)
{
	*out = NULL;
	struct weights *files = NULL;
	struct ip_adapter *ip = calloc(1, sizeof *ip);
	if (!ip)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	ip->set.device = device;
	int status = ip_config_read(path, &ip->config, err);
	if (!status)
		status = weights_open(path, &files, err);
	if (!status)
		status = build(ip, files, err);
	if (!status)
		status = weights_check_unused(files, "", err);
	weights_close(files);
	if (status) {
		ip_adapter_close(ip);
		return status;
	}
	*out = ip;
	return SUMI_OK;
}

void ip_adapter_close(struct ip_adapter *ip)
{
	if (!ip)
		return;
	weight_set_clear(&ip->set);
	free(ip->layers);
	free(ip->asks);
	free(ip->kv);
	free(ip);
}

const struct ip_config *ip_adapter_config(const struct ip_adapter *ip)
{
	return &ip->config;
}

void ip_adapter_rest(const struct ip_adapter *ip)
{
	packed_rest(ip->set.packed);
}

/* --- a picture's tokens --- */

/* latents += out(attention of latents to the picture's tokens x and to themselves), += the MLP of that. */
static void resampler_layer(struct pass *p, const struct ip_adapter *ip, const struct resampler_layer *r,
			    struct map x, struct map latents)
{
	const struct ip_config *c = &ip->config;
	int rows = x.w + latents.w;
	struct map both = pass_new(p, 1, 1, rows, c->inner);
	struct map asks = map_tokens(both, x.w, latents.w);
	struct map q = pass_new(p, 1, 1, latents.w, c->asked);
	struct map kv = pass_new(p, 1, 1, rows, 2 * c->asked);
	struct map y = pass_new(p, 1, 1, latents.w, c->asked);
	pass_norm(p, &r->seen, x, map_tokens(both, 0, x.w), ACT_NONE);
	pass_norm(p, &r->asks, latents, asks, ACT_NONE);
	pass_linear(p, &r->q, asks, q, (struct linear_args){0});
	pass_linear(p, &r->kv, both, kv, (struct linear_args){0});
	pass_attention(p, &(struct attention_args){
			      .q = q.t,
			      .k = map_slice(kv, 0, c->asked).t,
			      .v = map_slice(kv, c->asked, c->asked).t,
			      .y = y.t,
			      .n = 1,
			      .heads = c->asked / HEAD,
			      .scale = head_scale(c->asked, c->asked / HEAD),
			  });
	pass_linear(p, &r->out, y, latents, (struct linear_args){.residual = latents.t});
	struct map wide = pass_new(p, 1, 1, latents.w, c->wide);
	pass_norm(p, &r->norm, latents, asks, ACT_NONE);
	pass_linear(p, &r->up, asks, wide, (struct linear_args){.act = ACT_GELU});
	pass_linear(p, &r->down, wide, latents, (struct linear_args){.residual = latents.t});
	pass_free(p, &wide);
	pass_free(p, &y);
	pass_free(p, &kv);
	pass_free(p, &q);
	pass_free(p, &both);
}

/* [1, 1, tokens, context], not normalised yet, of seen [1, 1, rows, image]. */
static struct map tokens_of(struct pass *p, const struct ip_adapter *ip, struct map seen)
{
	const struct ip_config *c = &ip->config;
	struct map y = pass_new(p, 1, 1, ip_adapter_tokens(c, seen.w), c->context);
	if (c->projection == IP_LINEAR) {
		struct map row = y; /* all tokens are one row of the matrix */
		row.w = 1;
		row.t.rows = 1;
		row.t.c = row.t.ld = c->tokens * c->context;
		pass_linear(p, &ip->in, seen, row, (struct linear_args){0});
	} else if (c->projection == IP_MLP) {
		struct map wide = pass_new(p, 1, 1, seen.w, c->image);
		pass_linear(p, &ip->in, seen, wide, (struct linear_args){.act = ACT_GELU});
		pass_linear(p, &ip->out, wide, y, (struct linear_args){0});
		pass_free(p, &wide);
	} else {
		struct map x = pass_new(p, 1, 1, seen.w, c->inner);
		struct map latents = pass_upload(p, ip->asks, 1, 1, c->tokens, c->inner);
		pass_linear(p, &ip->in, seen, x, (struct linear_args){0});
		for (int i = 0; i < c->depth; i++)
			resampler_layer(p, ip, &ip->layers[i], x, latents);
		pass_linear(p, &ip->out, latents, y, (struct linear_args){0});
		pass_free(p, &latents);
		pass_free(p, &x);
	}
	return y;
}

int ip_adapter_project(struct ip_adapter *ip, const float *seen, int rows, float *out, struct error *err)
{
	struct pass p = pass_begin(ip->set.device, NULL, err);
	struct map in = pass_upload(&p, seen, 1, 1, rows, ip->config.image);
	struct map y = tokens_of(&p, ip, in);
	pass_norm(&p, &ip->norm, y, y, ACT_NONE);
	pass_download(&p, &y, out);
	pass_free(&p, &y);
	pass_free(&p, &in);
	return p.status;
}

/* --- beside a UNet --- */

/* Its cross-attentions, as IP-Adapters count them. */
struct cross {
	int count;
	int text_index[IP_LAYERS_MAX], channels[IP_LAYERS_MAX];
};

static void count_block(struct cross *c, const struct transformer_block *t)
{
	for (int i = 0; i < t->count && c->count < IP_LAYERS_MAX; i++) {
		c->text_index[c->count] = t->layers[i].text_index;
		c->channels[c->count++] = t->channels;
	}
}

/* The way down, the way up, the middle last. */
static void count_cross(const struct unet *u, struct cross *c)
{
	c->count = 0;
	for (int i = 0; i < u->config.levels; i++)
		for (int k = 0; k < u->down[i].count; k++)
			count_block(c, &u->down[i].layers[k].attention);
	for (int i = 0; i < u->config.levels; i++)
		for (int k = 0; k < u->up[i].count; k++)
			count_block(c, &u->up[i].layers[k].attention);
	count_block(c, &u->mid_attention);
}

static int check_cross(const struct ip_config *c, const struct cross *u, struct error *err)
{
	if (u->count != c->layers)
		return error_set(err, SUMI_INVALID,
				 "the IP-Adapter is not made for this model: it knows %d cross-attentions, the "
				 "UNet has %d",
				 c->layers, u->count);
	for (int i = 0; i < c->layers; i++)
		if (c->channels[i] != u->channels[i])
			return error_set(err, SUMI_INVALID,
					 "the IP-Adapter is not made for this model: its cross-attention %d has "
					 "%d channels, the UNet's %d",
					 i + 1, c->channels[i], u->channels[i]);
	return SUMI_OK;
}

int ip_adapter_check(const struct ip_config *c, const struct unet_config *unet, struct error *err)
{
	if (c->context != unet->context)
		return error_set(err, SUMI_INVALID,
				 "the IP-Adapter's tokens have %d channels, this model's texts %d: it is for "
				 "another family",
				 c->context, unet->context);
	struct unet *u = calloc(1, sizeof *u);
	struct cross *cross = calloc(1, sizeof *cross);
	int status = SUMI_NOMEM;
	if (u && cross) {
		u->config = *unet;
		status = unet_build(u, NULL, NULL);
		if (!status)
			count_cross(u, cross);
		unet_clear(u);
	}
	status = status ? error_set(err, status, "out of memory for a UNet's plan")
			: check_cross(c, cross, err);
	free(cross);
	free(u);
	return status;
}

int ip_adapter_look(struct ip_adapter *ip, struct unet *u, const float *tokens, int n, int count,
		    struct unet_text **out, struct error *err)
{
	*out = NULL;
	struct cross *cross = calloc(1, sizeof *cross);
	if (!cross)
		return error_set(err, SUMI_NOMEM, "out of memory for a picture's keys and values");
	count_cross(u, cross);
	int status = check_cross(&ip->config, cross, err);
	if (!status)
		status = unet_text_empty(u, n, count, out, err);
	if (status) {
		free(cross);
		return status;
	}
	struct pass p = pass_begin(ip->set.device, NULL, err);
	struct map text = pass_upload(&p, tokens, n, 1, count, ip->config.context);
	for (int i = 0; i < cross->count; i++) {
		struct map y = pass_new(&p, n, 1, count, ip->kv[i].cout);
		pass_linear(&p, &ip->kv[i], text, y, (struct linear_args){0});
		(*out)->cache.kv[cross->text_index[i]] = y;
	}
	pass_free(&p, &text);
	free(cross);
	if (p.status) {
		unet_text_free(*out);
		*out = NULL;
	}
	return p.status;
}

uint64_t ip_adapter_bytes(const struct ip_config *c, int texts, int count, enum dtype dtype)
{
	uint64_t channels = 0;
	for (int i = 0; i < c->layers; i++)
		channels += 2 * (uint64_t)c->channels[i];
	return channels * (uint64_t)texts * (uint64_t)count * dtype_size(dtype);
}
