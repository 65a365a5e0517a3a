/* SRVGGNetCompact (Real-ESRGAN, arXiv:2107.10833): convolutions with PReLU one behind the other, the
 * last one makes scale² pixels of each, and the picture itself, every pixel scale² times, is added.
 * Tensors: body.0 … body.2n, the even ones convolutions, the odd ones slopes. */
#include <stdio.h>
#include <stdlib.h>

#include "networks/upscaler_internal.h"

enum { LAYERS_MAX = 256, SCALE_MAX = 8 };

struct srvgg {
	struct conv_layer *layers;
	int count, scale;
};

static void srvgg_free(void *state)
{
	struct srvgg *s = state;
	if (s)
		free(s->layers);
	free(s);
}

/* "body.%d.weight", or as the ncnn reader has it: "%d.weight". */
static const char *const dialects[] = {"body.%d", "%d"};

static int count_layers(const struct upscaler_names *n, const char *dialect)
{
	int count = 0;
	for (char name[32]; count <= LAYERS_MAX; count++) {
		snprintf(name, sizeof name, dialect, 2 * count);
		const struct weight_tensor *conv = upscaler_find(n, "%s.weight", name);
		if (!conv || conv->rank != 4)
			break;
		snprintf(name, sizeof name, dialect, 2 * count + 1);
		const struct weight_tensor *slopes = upscaler_find(n, "%s.weight", name);
		if (slopes && slopes->rank != 1)
			return 0;
		if (!slopes)
			return count + 1;
	}
	return 0;
}

static int find_scale(int64_t channels)
{
	for (int scale = 1; scale <= SCALE_MAX; scale++)
		if (channels == 3 * scale * scale)
			return scale;
	return 0;
}

/* Its dialect and layers; NULL: it is another network. */
static const char *find_layers(const struct upscaler_names *n, int *count)
{
	for (size_t i = 0; i < sizeof dialects / sizeof dialects[0]; i++)
		if ((*count = count_layers(n, dialects[i])) >= 2)
			return dialects[i];
	return NULL;
}

static bool srvgg_is(const struct upscaler_names *n, struct upscaler_info *info)
{
	int count;
	char name[32];
	const char *dialect = find_layers(n, &count);
	if (!dialect)
		return false;
	snprintf(name, sizeof name, dialect, 2 * (count - 1));
	info->scale = find_scale(upscaler_find(n, "%s.weight", name)->shape[0]);
	info->margin = count; /* a pixel a convolution */
	return true;
}

static int srvgg_load(struct loader *l, const struct upscaler_names *n, void **state)
{
	int count;
	const char *dialect = find_layers(n, &count);
	struct srvgg *s = calloc(1, sizeof *s);
	if (s)
		s->layers = calloc((size_t)count, sizeof *s->layers);
	*state = s;
	if (!s || !s->layers)
		return error_set(l->err, SUMI_NOMEM, "out of memory while loading an upscaler");
	s->count = count;
	for (int i = 0, cin = 3; i < count; i++) {
		char name[32], slopes[32];
		snprintf(name, sizeof name, dialect, 2 * i);
		snprintf(slopes, sizeof slopes, dialect, 2 * i + 1);
		if (i < count - 1)
			upscaler_load(l, n, &s->layers[i], cin, name, slopes, 0);
		else
			upscaler_load_plain(l, n, &s->layers[i], cin, name);
		cin = s->layers[i].cout;
	}
	s->scale = find_scale(s->layers[count - 1].cout);
	if (!l->status && !s->scale)
		loader_fail(l, SUMI_INVALID, "%s: its last convolution gives %d channels, which are "
			"not 3 for each of 1 to 64 pixels", weights_folder(n->files),
			s->layers[count - 1].cout);
	return l->status;
}

static void srvgg_forward(struct pass *p, const void *state, struct map *x)
{
	const struct srvgg *s = state;
	for (int i = 0; i < s->count - 1; i++)
		upscaler_conv(p, &s->layers[i], x, ACT_PRELU, false);
	upscaler_conv(p, &s->layers[s->count - 1], x, ACT_NONE, false);
}

static void srvgg_shapes(const void *state, int *down, int *shuffle, bool *adds_picture)
{
	const struct srvgg *s = state;
	*down = 1;
	*shuffle = s->scale;
	*adds_picture = true;
}

const struct upscaler_kind upscaler_srvgg = {
    .name = "SRVGG",
    .is = srvgg_is,
    .load = srvgg_load,
    .free = srvgg_free,
    .forward = srvgg_forward,
    .shapes = srvgg_shapes,
};
