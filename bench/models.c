/* What a pack's models take on a device: time of one text encoding, UNet step and decoding,
 * memory, and where the time goes by kind of operation.
 *
 *     build/bench/models PACK [--device NAME] [--size WxH] [--batch N] [--repeat N]
 *
 * Each model is run once to warm up, --repeat times for its time, and once more with a wait
 * after every operation for the shares (which add up to a little more than the time). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "backends/implement.h"
#include "base/clock.h"
#include "base/files.h"
#include "diffusion/text_encoder.h"
#include "diffusion/unet.h"
#include "diffusion/vae.h"

/* --- a device that stands before another one and takes the time of each operation --- */

enum kind {
	CONV3,
	CONV3_S2,
	CONV3_UP,
	CONV1,
	LINEAR,
	ATTENTION_SELF,
	ATTENTION_TEXT,
	GROUP_NORM,
	LAYER_NORM,
	OTHER,
	KINDS
};

static const char *const kind_names[KINDS] = {
    "conv 3x3",       "conv 3x3 stride 2", "conv 3x3 up", "conv 1x1",   "linear",
    "self-attention", "text attention",    "group norm",  "layer norm", "other"};

static struct {
	struct device *inner;
	bool on;
	double us[KINDS], macs[KINDS];
	int calls[KINDS];
} profile;

static double pixels(const struct tensor *t)
{
	return (double)t->n * t->h * t->w;
}

static int timed(enum kind kind, double macs, int status, int64_t start, struct error *err)
{
	if (!profile.on || status)
		return status;
	status = device_sync(profile.inner, err);
	profile.us[kind] += (double)(clock_mono_us() - start);
	profile.macs[kind] += macs;
	profile.calls[kind]++;
	return status;
}

static void p_close(struct device *d)
{
	(void)d;
}

static int p_buffer_new(struct device *d, size_t bytes, struct buffer **out, struct error *err)
{
	(void)d;
	return device_buffer_new(profile.inner, bytes, out, err);
}

static void p_buffer_free(struct device *d, struct buffer *b)
{
	(void)d;
	device_buffer_free(profile.inner, b);
}

static int p_write(struct device *d, struct buffer *b, size_t offset, const void *data,
		   size_t bytes, struct error *err)
{
	(void)d;
	return device_write(profile.inner, b, offset, data, bytes, err);
}

static int p_read(struct device *d, const struct buffer *b, size_t offset, void *data, size_t bytes,
		  struct error *err)
{
	(void)d;
	return device_read(profile.inner, b, offset, data, bytes, err);
}

static int p_sync(struct device *d, struct error *err)
{
	(void)d;
	return device_sync(profile.inner, err);
}

static int p_weight_new(struct device *d, const struct weight_desc *desc, struct weight **out,
			struct error *err)
{
	(void)d;
	return device_weight_new(profile.inner, desc, out, err);
}

static void p_weight_free(struct device *d, struct weight *w)
{
	(void)d;
	device_weight_free(profile.inner, w);
}

static int p_conv2d(struct device *d, const struct conv2d_args *a, struct error *err)
{
	(void)d;
	int kernel = weight_head(a->weight)->kernel;
	enum kind kind = kernel == 1      ? CONV1
			 : a->stride == 2 ? CONV3_S2
			 : a->upsample    ? CONV3_UP
					  : CONV3;
	int64_t start = clock_mono_us();
	int status = device_conv2d(profile.inner, a, err);
	return timed(kind, pixels(&a->y) * a->y.c * a->x.c * kernel * kernel, status, start, err);
}

static int p_linear(struct device *d, const struct linear_args *a, struct error *err)
{
	(void)d;
	int64_t start = clock_mono_us();
	int status = device_linear(profile.inner, a, err);
	return timed(LINEAR, pixels(&a->y) * weight_head(a->weight)->cout * a->x.c, status, start,
		     err);
}

static int p_attention(struct device *d, const struct attention_args *a, struct error *err)
{
	(void)d;
	double tq = (double)a->q.h * a->q.w, tk = (double)a->k.h * a->k.w;
	int64_t start = clock_mono_us();
	int status = device_attention(profile.inner, a, err);
	return timed(tq == tk ? ATTENTION_SELF : ATTENTION_TEXT, 2 * a->q.n * tq * tk * a->q.c,
		     status, start, err);
}

#define P_SIMPLE(op, kind)                                                                         \
	static int p_##op(struct device *d, const struct op##_args *a, struct error *err)          \
	{                                                                                          \
		(void)d;                                                                           \
		int64_t start = clock_mono_us();                                                   \
		int status = device_##op(profile.inner, a, err);                                   \
		return timed(kind, 0, status, start, err);                                         \
	}

P_SIMPLE(group_norm, GROUP_NORM)
P_SIMPLE(layer_norm, LAYER_NORM)
P_SIMPLE(axpby, OTHER)
P_SIMPLE(embedding, OTHER)
P_SIMPLE(timestep, OTHER)
P_SIMPLE(permute, OTHER)

static const struct device_ops p_ops = {
    .close = p_close,
    .buffer_new = p_buffer_new,
    .buffer_free = p_buffer_free,
    .write = p_write,
    .read = p_read,
    .sync = p_sync,
    .weight_new = p_weight_new,
    .weight_free = p_weight_free,
    .conv2d = p_conv2d,
    .linear = p_linear,
    .group_norm = p_group_norm,
    .layer_norm = p_layer_norm,
    .attention = p_attention,
    .axpby = p_axpby,
    .embedding = p_embedding,
    .timestep = p_timestep,
    .permute = p_permute,
};

static void print_profile(void)
{
	double all = 0;
	for (int i = 0; i < KINDS; i++)
		all += profile.us[i];
	for (int i = 0; i < KINDS; i++) {
		if (profile.calls[i] == 0)
			continue;
		printf("  %-18s %4d calls %9.1f ms %5.1f %%", kind_names[i], profile.calls[i],
		       profile.us[i] / 1e3, 100 * profile.us[i] / all);
		if (profile.macs[i] > 0)
			printf(" %8.1f GMAC %7.1f GFLOP/s", profile.macs[i] / 1e9,
			       2 * profile.macs[i] / profile.us[i] / 1e3);
		printf("\n");
	}
}

/* --- the models --- */

struct bench {
	struct device device; /* the one that takes times */
	const char *pack;
	int width, height, batch, repeat;
};

static double memory_now(const char *field)
{
	char line[256];
	double kib = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, field, strlen(field)) == 0)
			kib = strtod(line + strlen(field) + 1, NULL);
	if (f)
		fclose(f);
	return kib / 1024;
}

static void print_memory(const char *when)
{
	printf(
	    "%s: %.0f MiB resident, %.0f at the peak; the device counts %.0f, %.0f at the peak\n",
	    when, memory_now("VmRSS"), memory_now("VmHWM"),
	    (double)profile.inner->bytes_in_use / 1048576,
	    (double)profile.inner->bytes_peak / 1048576);
}

static int measure(const struct bench *b, const char *what,
		   int (*call)(void *user, struct error *err), void *user, struct error *err)
{
	double best = HUGE_VAL, sum = 0;
	int64_t start = clock_mono_us();
	int status = call(user, err);
	printf("%s: first %.3f s", what, (double)(clock_mono_us() - start) / 1e6);
	for (int i = 0; i < b->repeat && !status; i++) {
		start = clock_mono_us();
		status = call(user, err);
		double seconds = (double)(clock_mono_us() - start) / 1e6;
		best = fmin(best, seconds);
		sum += seconds;
	}
	printf(", best %.3f s, mean %.3f s of %d\n", best, sum / b->repeat, b->repeat);
	memset(profile.us, 0, sizeof profile.us);
	memset(profile.macs, 0, sizeof profile.macs);
	memset(profile.calls, 0, sizeof profile.calls);
	profile.on = true;
	if (!status)
		status = call(user, err);
	profile.on = false;
	print_profile();
	print_memory(what);
	fflush(stdout);
	return status;
}

static float *numbers(size_t count)
{
	float *x = malloc(count * sizeof *x);
	uint32_t seed = 1;
	for (size_t i = 0; x && i < count; i++) {
		seed = seed * 1664525u + 1013904223u;
		x[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
	}
	return x;
}

struct text_call {
	struct text_encoder *te;
	struct text_input in;
	float *out;
};

static int call_text(void *user, struct error *err)
{
	struct text_call *c = user;
	return text_encoder_forward(c->te, &c->in, c->out, err);
}

static int bench_text(struct bench *b, struct error *err)
{
	char folder[FILES_PATH_MAX];
	struct text_call c = {0};
	int32_t ids[77] = {0};
	int status = files_path(folder, err, "%s/text_encoder", b->pack);
	if (status || (status = text_encoder_open(&b->device, folder, &c.te, err)))
		return status;
	c.in = (struct text_input){.ids = ids, .n = 1, .tokens = text_encoder_config(c.te)->tokens};
	if (c.in.tokens > 77)
		c.in.tokens = 77;
	c.out = numbers((size_t)c.in.tokens * (size_t)text_encoder_config(c.te)->width);
	status = measure(b, "text encoder", call_text, &c, err);
	free(c.out);
	text_encoder_close(c.te);
	return status;
}

struct unet_call {
	struct unet *unet;
	struct unet_input in;
	float *out;
};

static int call_unet(void *user, struct error *err)
{
	struct unet_call *c = user;
	return unet_forward(c->unet, &c->in, c->out, err);
}

static int bench_unet(struct bench *b, int scale, struct error *err)
{
	char folder[FILES_PATH_MAX];
	struct unet_call c = {0};
	struct unet_text *text = NULL;
	int status = files_path(folder, err, "%s/unet", b->pack);
	int64_t start = clock_mono_us();
	if (status || (status = unet_open(&b->device, folder, &c.unet, err)))
		return status;
	printf("UNet: loaded in %.1f s\n", (double)(clock_mono_us() - start) / 1e6);
	print_memory("UNet loaded");
	const struct unet_config *config = unet_config(c.unet);
	int h = b->height / scale, w = b->width / scale;
	float *context = numbers((size_t)b->batch * 77 * (size_t)config->context);
	float *timesteps = calloc((size_t)b->batch, sizeof *timesteps);
	size_t count = (size_t)b->batch * (size_t)h * (size_t)w;
	float *latents = numbers(count * (size_t)config->in_channels);
	c.out = numbers(count * (size_t)config->out_channels);
	for (int i = 0; i < b->batch; i++)
		timesteps[i] = 500;
	status = unet_text_new(c.unet, context, b->batch, 77, &text, err);
	c.in = (struct unet_input){.latents = latents,
				   .n = b->batch,
				   .h = h,
				   .w = w,
				   .timesteps = timesteps,
				   .text = text};
	if (!status)
		status = measure(b, "UNet step", call_unet, &c, err);
	struct unet_plan plan = {.config = config,
				 .texts = b->batch,
				 .tokens = 77,
				 .n = b->batch,
				 .h = h,
				 .w = w,
				 .dtype = b->device.activation_dtype};
	printf("UNet plan: %.0f MiB of temporaries\n", (double)unet_memory(&plan, NULL) / 1048576);
	unet_text_free(text);
	free(context);
	free(timesteps);
	free(latents);
	free(c.out);
	unet_close(c.unet);
	return status;
}

struct vae_call {
	struct vae *vae;
	struct vae_input in;
	float *out;
};

static int call_vae(void *user, struct error *err)
{
	struct vae_call *c = user;
	return vae_decode(c->vae, &c->in, c->out, err);
}

/* Opens the VAE only to learn *scale when scale is given. */
static int bench_vae(struct bench *b, int *scale, struct error *err)
{
	char folder[FILES_PATH_MAX];
	struct vae_call c = {0};
	struct vae_config config;
	int status = files_path(folder, err, "%s/vae", b->pack);
	if (status || (status = vae_config_read(folder, &config, err)))
		return status;
	if (scale) {
		*scale = config.scale;
		return SUMI_OK;
	}
	if ((status = vae_open(&b->device, folder, &c.vae, err)))
		return status;
	int h = b->height / config.scale, w = b->width / config.scale;
	float *latents = numbers((size_t)h * (size_t)w * (size_t)config.latent_channels);
	c.in = (struct vae_input){.values = latents, .n = 1, .h = h, .w = w};
	c.out = numbers((size_t)b->height * (size_t)b->width * (size_t)config.out_channels);
	status = measure(b, "VAE decode", call_vae, &c, err);
	printf("VAE plan: %.0f MiB of temporaries\n",
	       (double)vae_memory(&config, 1, h, w, b->device.activation_dtype) / 1048576);
	free(latents);
	free(c.out);
	vae_close(c.vae);
	return status;
}

/* --- the program --- */

static int read_options(int argc, char **argv, struct bench *b, const char **device)
{
	for (int i = 2; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--device") == 0)
			*device = argv[i + 1];
		else if (strcmp(argv[i], "--batch") == 0)
			b->batch = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--repeat") == 0)
			b->repeat = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--size") != 0 ||
			 sscanf(argv[i + 1], "%dx%d", &b->width, &b->height) != 2)
			return -1;
	}
	return argc >= 2 && argc % 2 == 0 && b->batch > 0 && b->repeat > 0 && b->width > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct error err = {0};
	const char *device = NULL;
	int scale;
	struct bench b = {.width = 512, .height = 512, .batch = 2, .repeat = 3};
	if (read_options(argc, argv, &b, &device)) {
		fprintf(stderr,
			"usage: %s PACK [--device NAME] [--size WxH] [--batch N] [--repeat N]\n",
			argv[0]);
		return 2;
	}
	b.pack = argv[1];
	if (device_open(device, &profile.inner, &err))
		goto failed;
	b.device = *profile.inner;
	b.device.ops = &p_ops;
	printf("%s: %s, %dx%d, batch %d\n", b.pack, b.device.info.name, b.width, b.height, b.batch);
	if (bench_vae(&b, &scale, &err) || bench_text(&b, &err) || bench_unet(&b, scale, &err) ||
	    bench_vae(&b, NULL, &err))
		goto failed;
	device_close(profile.inner);
	return 0;
failed:
	fprintf(stderr, "%s\n", err.text);
	device_close(profile.inner);
	return 1;
}
