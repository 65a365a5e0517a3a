/* Upscalers: which network a file holds, and pictures through it. */
#include "networks/upscaler.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "networks/upscaler_internal.h"
#include "weights/recognise.h"
#include "weights/source.h"

struct upscaler {
	struct upscaler_info info;
	const struct upscaler_kind *kind;
	void *state; /* the kind's */
	struct weight_set set;
};

static const struct upscaler_kind *const kinds[] = {&upscaler_srvgg, &upscaler_rrdb, &upscaler_span};

/* Trainers put their state dict into one of these, or wrap the network (torch's DataParallel, traiNNer). */
static const char *const prefixes[] = {"", "params_ema.", "params-ema.", "params.", "state_dict.", "model.", "net.", "module.", "netG.", "generator."};

/* --- for the networks --- */

const struct weight_tensor *upscaler_find(const struct upscaler_names *n, const char *format, ...)
{
	char name[WEIGHT_NAME_MAX];
	va_list args;
	int at = snprintf(name, sizeof name, "%s", n->prefix);
	va_start(args, format);
	vsnprintf(name + at, sizeof name - (size_t)at, format, args);
	va_end(args);
	return weights_find(n->files, name);
}

void upscaler_conv(struct pass *p, const struct conv_layer *layer, struct map *x,
		   enum activation act, bool up)
{
	int times = up ? 2 : 1;
	struct map y = pass_new(p, x->n, times * x->h, times * x->w, layer->cout);
	pass_conv(p, layer, *x, y, (struct conv2d_args){.act = act, .upsample = up});
	pass_free(p, x);
	*x = y;
}

/* The shape of NAME.weight; false: the load has failed. */
static bool read_shape(struct loader *l, const struct upscaler_names *n, int cin, const char *name,
		       int *cout, int *in, int *kernel)
{
	enum { CHANNELS_MAX = 4096 };
	const struct weight_tensor *t = upscaler_find(n, "%s.weight", name);
	char shape[80];
	*cout = *in = *kernel = 1;
	if (l->status)
		return false;
	if (!t) {
		loader_fail(l, SUMI_INVALID, "%s: tensor '%s%s.weight' is missing",
			    weights_folder(n->files), n->prefix, name);
		return false;
	}
	if (t->rank != 4 || t->shape[0] < 1 || t->shape[0] > CHANNELS_MAX || t->shape[1] < 1 ||
	    t->shape[1] > CHANNELS_MAX || (cin && t->shape[1] != cin) ||
	    t->shape[2] != t->shape[3] || (t->shape[2] != 1 && t->shape[2] != 3)) {
		loader_fail(l, SUMI_INVALID,
			    "%s: tensor '%s' has the shape %s, which is no convolution of %d channels",
			    weights_folder(n->files), t->name,
			    tensor_shape_text(t->shape, t->rank, shape, sizeof shape), cin);
		return false;
	}
	*cout = (int)t->shape[0];
	*in = (int)t->shape[1];
	*kernel = (int)t->shape[2];
	return true;
}

static void load(struct loader *l, const struct upscaler_names *n, struct conv_layer *out, int cin,
		 const char *name, unsigned flags)
{
	int cout, in, kernel;
	*out = (struct conv_layer){0};
	if (read_shape(l, n, cin, name, &cout, &in, &kernel))
		load_conv(l, out, cout, in, kernel, flags, "%s%s", n->prefix, name);
}

void upscaler_load_plain(struct loader *l, const struct upscaler_names *n, struct conv_layer *out,
			 int cin, const char *name)
{
	load(l, n, out, cin, name, 0);
}

void upscaler_load(struct loader *l, const struct upscaler_names *n, struct conv_layer *out, int cin,
		   const char *name, const char *slopes, float slope)
{
	char full[WEIGHT_NAME_MAX], at[WEIGHT_NAME_MAX];
	load(l, n, out, cin, name, LOAD_NO_BIAS);
	weight_name(full, "%s%s.bias", n->prefix, name);
	weight_name(at, "%s%s.weight", n->prefix, slopes ? slopes : "");
	load_prelu(l, out, full, slopes ? at : NULL, slope);
}

/* --- opening --- */

/* Under which names which network stands; NULL: none that is known. */
static const struct upscaler_kind *find_kind(struct upscaler_names *names, struct upscaler_info *info)
{
	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
		names->prefix = prefixes[i];
		for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
			*info = (struct upscaler_info){.architecture = kinds[k]->name, .resize = 1, .multiple = 1};
			if (kinds[k]->is(names, info))
				return kinds[k];
		}
	}
	return NULL;
}

/* For a file that is none of those: what it is. */
static int refuse(const char *path, struct error *err)
{
	struct source s = {.file_count = 0};
	struct recognition r;
	char text[160];
	int status = source_open(path, &s, err);
	if (!status) {
		recognise(&s.list, &r);
		bool upscales = r.kind && strcmp(r.kind, "upscaler") == 0;
		status = error_set(err, SUMI_UNSUPPORTED,
				   upscales ? "%s is %s of a kind that is not known here: ESRGAN's "
					      "(RRDB), Real-ESRGAN's compact one (SRVGG) and SPAN are"
					    : "%s is %s, not an upscaler",
				   path, recognition_text(&r, text, sizeof text));
	}
	source_close(&s);
	return status;
}

/* What the file itself says of the result's size. */
static double read_resize(const char *path)
{
	struct tensor_file *f;
	double factor = 1;
	if (tensors_open(path, &f, NULL))
		return 1;
	const json_t *value = json_object_get(tensors_metadata(f), "outscale");
	if (json_is_number(value) && json_number_value(value) > 0 && json_number_value(value) < 1)
		factor = json_number_value(value);
	tensors_close(f);
	return factor;
}

int upscaler_open(struct device *device, const char *path, struct upscaler **out, struct error *err)
{
	struct upscaler_names names = {NULL, ""};
	struct upscaler *u = calloc(1, sizeof *u);
	*out = NULL;
	if (!u)
		return error_set(err, SUMI_NOMEM, "out of memory while loading %s", path);
	u->set.device = device;
	int status = weights_open(path, &names.files, err);
	if (!status && !(u->kind = find_kind(&names, &u->info)))
		status = refuse(path, err);
	struct loader l = {.files = names.files, .set = &u->set, .err = err};
	if (!status)
		status = u->kind->load(&l, &names, &u->state);
	if (!status)
		status = loader_end(&l);
	if (!status)
		status = weights_check_unused(names.files, "", err);
	weights_close(names.files);
	if (status) {
		upscaler_close(u);
		return status;
	}
	u->info.resize = read_resize(path);
	*out = u;
	return SUMI_OK;
}

int upscaler_read(const char *path, struct upscaler_info *out, struct error *err)
{
	struct upscaler_names names = {NULL, ""};
	int status = weights_open(path, &names.files, err);
	if (status)
		return status;
	if (!find_kind(&names, out))
		status = refuse(path, err);
	else if (!out->scale)
		status = error_set(err, SUMI_INVALID, "%s: its tensors are no upscaler that is whole", path);
	weights_close(names.files);
	out->resize = read_resize(path);
	return status;
}

void upscaler_close(struct upscaler *u)
{
	if (!u)
		return;
	if (u->state)
		u->kind->free(u->state);
	weight_set_clear(&u->set);
	free(u);
}

const struct upscaler_info *upscaler_info(const struct upscaler *u)
{
	return &u->info;
}

/* --- running --- */

/* [h, w, 3] → [h/down, w/down, 3·down²]: torch's pixel_unshuffle, channel (c, y, x). */
static void unshuffle(const float *in, int h, int w, int down, float *out)
{
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++)
			for (int c = 0; c < 3; c++) {
				size_t to = (size_t)(y / down) * (size_t)(w / down) + (size_t)(x / down);
				int channel = (c * down + y % down) * down + x % down;
				out[to * (size_t)(3 * down * down) + (size_t)channel] =
				    in[((size_t)y * (size_t)w + (size_t)x) * 3 + (size_t)c];
			}
}

/* [h, w, 3·up²] → [h·up, w·up, 3]: torch's pixel_shuffle; and the picture added, if there is one. */
static void shuffle(const float *in, int h, int w, int up, const float *picture, float *out)
{
	for (int y = 0; y < h * up; y++)
		for (int x = 0; x < w * up; x++)
			for (int c = 0; c < 3; c++) {
				size_t from = (size_t)(y / up) * (size_t)w + (size_t)(x / up);
				int channel = (c * up + y % up) * up + x % up;
				float v = in[from * (size_t)(3 * up * up) + (size_t)channel];
				out[((size_t)y * (size_t)(w * up) + (size_t)x) * 3 + (size_t)c] =
				    v + (picture ? picture[from * 3 + (size_t)c] : 0);
			}
}

static void forward(const struct upscaler *u, struct pass *p, const float *picture, int h, int w,
		    float *out)
{
	int down, up;
	bool adds;
	u->kind->shapes(u->state, &down, &up, &adds);
	size_t in_values = (size_t)h * (size_t)w * 3, side = (size_t)u->info.scale;
	float *in = out ? malloc(in_values * sizeof *in) : NULL;
	float *result = out ? malloc(in_values * side * side * sizeof *result) : NULL;
	if (out && (!in || !result)) {
		pass_fail(p, SUMI_NOMEM, "no memory to enlarge a picture of %dx%d", w, h);
	} else {
		if (out)
			unshuffle(picture, h, w, down, in);
		struct map x = pass_upload(p, in, 1, h / down, w / down, 3 * down * down);
		u->kind->forward(p, u->state, &x);
		int rows = x.h, columns = x.w;
		if (out)
			pass_download(p, &x, result);
		pass_free(p, &x);
		if (out && !p->status)
			shuffle(result, rows, columns, up, adds ? picture : NULL, out);
	}
	free(result);
	free(in);
}

int upscaler_run(const struct upscaler *u, const float *picture, int h, int w, float *out,
		 struct error *err)
{
	if (h < 1 || w < 1 || h > 16384 || w > 16384 || h % u->info.multiple || w % u->info.multiple)
		return error_set(err, SUMI_INVALID, "this upscaler takes no picture of %dx%d", w, h);
	struct pass p = pass_begin(u->set.device, NULL, err);
	forward(u, &p, picture, h, w, out);
	return p.status;
}

uint64_t upscaler_memory(const struct upscaler *u, int h, int w)
{
	struct pass p = pass_plan(u->set.device->activation_dtype);
	forward(u, &p, NULL, h, w, NULL);
	return p.bytes_peak;
}
