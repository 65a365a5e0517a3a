#include "networks/t2i_adapter.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCKS_MAX = 16 };

struct t2i_block {
	struct conv_layer one; /* 3×3 */
	struct conv_layer two; /* 1×1, of a light one 3×3 */
};

struct t2i_level {
	struct linear_layer in, out; /* 1×1 convolutions; cout 0: there is none */
	struct t2i_block blocks[BLOCKS_MAX];
};

struct t2i_adapter {
	struct t2i_config config;
	struct weight_set set;
	struct conv_layer in; /* kernel 0: there is none */
	struct t2i_level levels[CONFIG_LEVELS_MAX];
};

struct t2i_features {
	struct device *device; /* borrowed */
	int levels;
	struct map maps[CONFIG_LEVELS_MAX]; /* [1, h, w, channels] */
};

/* --- life --- */

static int channels_in(const struct t2i_config *c)
{
	return c->colours * c->factor * c->factor;
}

static void build_level(struct loader *l, struct t2i_level *level, const struct t2i_config *c, int index, int cin)
{
	int cout = c->channels[index], width = c->light ? cout / 4 : cout, kernel = c->light ? 3 : 1;
	if (cin != cout || c->light)
		load_linear(l, &level->in, width, cin, 0, "body.%d.in_conv", index);
	for (int i = 0; i < c->blocks; i++) {
		load_conv(l, &level->blocks[i].one, width, width, 3, 0, "body.%d.resnets.%d.block1", index, i);
		load_conv(l, &level->blocks[i].two, width, width, kernel, 0, "body.%d.resnets.%d.block2", index,
			  i);
	}
	if (c->light)
		load_linear(l, &level->out, cout, width, 0, "body.%d.out_conv", index);
}

/* Fills a zeroed adapter whose config is set; files NULL: shapes only. */
static int build(struct t2i_adapter *t2i, struct weights *files, struct error *err)
{
	const struct t2i_config *c = &t2i->config;
	struct loader l = {.files = files, .set = &t2i->set, .err = err};
	int cin = channels_in(c);
	if (!c->light) {
		load_conv(&l, &t2i->in, c->channels[0], cin, 3, 0, "conv_in");
		cin = c->channels[0];
	}
	for (int i = 0; i < c->levels; i++) {
		build_level(&l, &t2i->levels[i], c, i, cin);
		cin = c->channels[i];
	}
	return loader_end(&l);
}

int t2i_adapter_open(struct device *device, const char *path, struct t2i_adapter **out, struct error *err)
{
	*out = NULL;
	struct weights *files = NULL;
	struct t2i_adapter *t2i = calloc(1, sizeof *t2i);
	if (!t2i)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	t2i->set.device = device;
	int status = t2i_config_read(path, &t2i->config, err);
	if (!status)
		status = weights_open(path, &files, err);
	if (!status)
		status = build(t2i, files, err);
	if (!status)
		status = weights_check_unused(files, "", err);
	weights_close(files);
	if (status) {
		t2i_adapter_close(t2i);
		return status;
	}
	*out = t2i;
	return SUMI_OK;
}

void t2i_adapter_close(struct t2i_adapter *t2i)
{
	if (!t2i)
		return;
	weight_set_clear(&t2i->set);
	free(t2i);
}

const struct t2i_config *t2i_adapter_config(const struct t2i_adapter *t2i)
{
	return &t2i->config;
}

void t2i_adapter_rest(const struct t2i_adapter *t2i)
{
	packed_rest(t2i->set.packed);
}

/* --- whether it fits --- */

/* In latents, how far apart two numbers of the place are where the UNet takes a level's features: with attention
 * before it halves the size, without behind that (as diffusers' blocks have it). */
static int place_of(const struct unet_config *u, int level)
{
	bool behind = !u->down_attention[level] && level < u->levels - 1;
	return 1 << (level + behind);
}

int t2i_adapter_check(const struct t2i_config *c, const struct unet_config *u, struct error *err)
{
	int scale = c->factor, one = 0; /* pixels of a feature; of a latent */
	bool same = c->levels <= u->levels + 1;
	for (int i = 0; i < c->levels && same; i++) {
		int level = i < u->levels ? i : u->levels - 1;
		int place = i < u->levels ? place_of(u, i) : 1 << level;
		scale *= c->halves[i] ? 2 : 1;
		one = i == 0 ? scale / place : one;
		same = c->channels[i] == u->channels[level] && one > 0 && scale == one * place;
	}
	return same ? SUMI_OK
		    : error_set(err, SUMI_INVALID,
				"the T2I-Adapter is not made for this model: its levels have other channels or "
				"sizes than the UNet's");
}

/* --- a picture's features --- */

/* Light of a pixel, in whole steps of a byte as PIL's "L" has it. */
static float light_of(const float *rgb)
{
	long sum = 0x8000;
	static const long parts[] = {19595, 38470, 7471};
	for (int k = 0; k < 3; k++)
		sum += parts[k] * lrintf(rgb[k] * 255);
	return (float)(sum >> 16) / 255;
}

/* torch.nn.PixelUnshuffle: [height / factor, width / factor, channels]; new memory, or NULL. */
static float *unshuffle(const struct t2i_config *c, const float *picture, int height, int width)
{
	size_t f = (size_t)c->factor, rows = (size_t)height, columns = (size_t)width;
	size_t channels = (size_t)channels_in(c), colours = (size_t)c->colours;
	float *out = malloc(rows * columns * colours * sizeof *out);
	for (size_t i = 0; out && i < rows * columns; i++) {
		size_t y = i / columns, x = i % columns;
		const float *rgb = picture + 3 * i;
		float *to = out + (y / f * (columns / f) + x / f) * channels + y % f * f + x % f;
		for (size_t k = 0; k < colours; k++)
			to[k * f * f] = colours == 3 ? rgb[k] : light_of(rgb);
	}
	return out;
}

/* Means of 2×2 pixels, at an odd edge of those that there are; x is replaced. It happens a few times a run. */
static void halve(struct pass *p, struct map *x)
{
	int h = (x->h + 1) / 2, w = (x->w + 1) / 2, c = x->t.c;
	float *in = malloc((size_t)x->h * (size_t)x->w * (size_t)c * sizeof *in);
	float *out = calloc((size_t)h * (size_t)w * (size_t)c, sizeof *out);
	if (!in || !out)
		pass_fail(p, SUMI_NOMEM, "no memory for a picture's features");
	pass_download(p, x, in);
	for (int y = 0; y < x->h && p->device && !p->status; y++)
		for (int k = 0; k < x->w; k++) {
			float share = (y / 2 * 2 + 1 < x->h ? 0.5f : 1) * (k / 2 * 2 + 1 < x->w ? 0.5f : 1);
			const float *from = in + ((size_t)y * (size_t)x->w + (size_t)k) * (size_t)c;
			float *to = out + ((size_t)(y / 2) * (size_t)w + (size_t)(k / 2)) * (size_t)c;
			for (int i = 0; i < c; i++)
				to[i] += share * from[i];
		}
	pass_free(p, x);
	*x = pass_upload(p, out, 1, h, w, c);
	free(out);
	free(in);
}

/* x += two(relu(one(x))) */
static void block_forward(struct pass *p, const struct t2i_block *b, struct map x)
{
	struct map h = pass_new(p, x.n, x.h, x.w, x.t.c);
	pass_conv(p, &b->one, x, h, (struct conv2d_args){.act = ACT_RELU});
	pass_conv(p, &b->two, h, x, (struct conv2d_args){.residual = x.t});
	pass_free(p, &h);
}

static void replace(struct pass *p, const struct linear_layer *layer, struct map *x)
{
	if (layer->cout == 0)
		return;
	struct map y = pass_new(p, x->n, x->h, x->w, layer->cout);
	pass_linear(p, layer, *x, y, (struct linear_args){0});
	pass_free(p, x);
	*x = y;
}

/* Into f->maps; a level's features are what the next one begins with. */
static void forward(struct pass *p, const struct t2i_adapter *t2i, const float *unshuffled, int h, int w,
		    struct t2i_features *f)
{
	const struct t2i_config *c = &t2i->config;
	struct map x = pass_upload(p, unshuffled, 1, h, w, channels_in(c));
	if (!c->light) {
		struct map y = pass_new(p, 1, h, w, c->channels[0]);
		pass_conv(p, &t2i->in, x, y, (struct conv2d_args){0});
		pass_free(p, &x);
		x = y;
	}
	for (int i = 0; i < c->levels; i++) {
		const struct t2i_level *level = &t2i->levels[i];
		if (c->halves[i])
			halve(p, &x);
		replace(p, &level->in, &x);
		for (int k = 0; k < c->blocks; k++)
			block_forward(p, &level->blocks[k], x);
		replace(p, &level->out, &x);
		f->maps[f->levels++] = x;
		struct map next = pass_new(p, 1, x.h, x.w, x.t.c);
		pass_scale(p, x, 1, next);
		x = next;
	}
	pass_free(p, &x);
}

int t2i_features_new(struct t2i_adapter *t2i, const float *picture, int height, int width,
		     unsigned wrap, struct t2i_features **out, struct error *err)
{
	int factor = t2i->config.factor;
	*out = NULL;
	if (height % factor || width % factor)
		return error_set(err, SUMI_INVALID,
				 "the T2I-Adapter wants sides that are multiples of %d, not %dx%d", factor,
				 width, height);
	struct t2i_features *f = calloc(1, sizeof *f);
	float *unshuffled = unshuffle(&t2i->config, picture, height, width);
	if (!f || !unshuffled) {
		free(f);
		free(unshuffled);
		return error_set(err, SUMI_NOMEM, "no memory for a T2I-Adapter's picture");
	}
	struct pass p = pass_begin(t2i->set.device, NULL, err);
	f->device = t2i->set.device;
	p.wrap = wrap;
	forward(&p, t2i, unshuffled, height / factor, width / factor, f);
	free(unshuffled);
	if (p.status) {
		t2i_features_free(f);
		return p.status;
	}
	*out = f;
	return SUMI_OK;
}

void t2i_features_free(struct t2i_features *f)
{
	if (!f)
		return;
	for (int i = 0; i < f->levels; i++)
		device_buffer_free(f->device, f->maps[i].t.buffer);
	free(f);
}

int t2i_features_put(const struct t2i_features *f, float strength, int levels, int n, struct residuals *r,
		     struct error *err)
{
	struct pass p = pass_begin(f->device, NULL, err);
	for (int i = 0; i < f->levels; i++)
		for (int k = 0; k < n; k++) {
			if (i < levels)
				residuals_put(&p, r, RESIDUAL_LEVEL, i, f->maps[i], strength, k, n);
			else
				residuals_put(&p, r, RESIDUAL_MIDDLE, 0, f->maps[i], strength, k, n);
		}
	return p.status;
}

/* --- planning --- */

uint64_t t2i_bytes(const struct t2i_config *c, int height, int width, enum dtype dtype, uint64_t *peak)
{
	uint64_t bytes = 0, h = (uint64_t)(height / c->factor), w = (uint64_t)(width / c->factor);
	*peak = h * w * (uint64_t)(channels_in(c) + 2 * c->channels[0]) * dtype_size(dtype);
	for (int i = 0; i < c->levels; i++) {
		h = c->halves[i] ? (h + 1) / 2 : h;
		w = c->halves[i] ? (w + 1) / 2 : w;
		bytes += h * w * (uint64_t)c->channels[i] * dtype_size(dtype);
	}
	return bytes;
}
