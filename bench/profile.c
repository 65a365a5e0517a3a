/* Times of a device's operations by kind. */
#include "bench/profile.h"

#include <stdio.h>
#include <string.h>

#include "backends/implement.h"
#include "bench/meter.h"

enum kind {
	CONV3,
	CONV3_S2,
	CONV3_UP,
	CONV1,
	LINEAR,
	ATTENTION_SELF,
	ATTENTION_SHORT,
	ATTENTION_TEXT,
	GROUP_NORM,
	LAYER_NORM,
	OTHER,
	KINDS
};

/* A self-attention of up to so many: that of motion modules, over the frames at each pixel, and of maps of 4x4. */
#define SHORT 32

static const char *const kind_names[KINDS] = {
    "conv 3x3",       "conv 3x3 stride 2", "conv 3x3 up", "conv 1x1",   "linear",
    "self-attention", "short self-attention", "text attention",    "group norm",  "layer norm", "other"};

static struct {
	const struct device_ops *own; /* the device's table */
	struct device_ops ours;
	double seconds[KINDS], macs[KINDS];
	int calls[KINDS];
} profile;

static int timed(struct device *d, enum kind kind, double macs, int status, struct meter_time start,
		 struct error *err)
{
	if (!status)
		status = profile.own->sync(d, err);
	profile.seconds[kind] += meter_since(d, start).busy;
	profile.macs[kind] += macs;
	profile.calls[kind]++;
	return status;
}

static int timed_conv2d(struct device *d, const struct conv2d_args *a, struct error *err)
{
	int kernel = weight_head(a->weight)->kernel;
	enum kind kind = kernel == 1      ? CONV1
			 : a->stride == 2 ? CONV3_S2
			 : a->upsample    ? CONV3_UP
					  : CONV3;
	struct meter_time start = meter_now(d);
	int status = profile.own->conv2d(d, a, err);
	return timed(d, kind, (double)a->y.rows * a->y.c * a->x.c * kernel * kernel, status, start,
		     err);
}

static int timed_linear(struct device *d, const struct linear_args *a, struct error *err)
{
	struct meter_time start = meter_now(d);
	int status = profile.own->linear(d, a, err);
	return timed(d, LINEAR, (double)a->y.rows * weight_head(a->weight)->cout * a->x.c, status,
		     start, err);
}

static int timed_attention(struct device *d, const struct attention_args *a, struct error *err)
{
	double tq = (double)a->q.rows / a->n, tk = (double)a->k.rows / a->n;
	struct meter_time start = meter_now(d);
	int status = profile.own->attention(d, a, err);
	enum kind kind = tq != tk ? ATTENTION_TEXT : tq > SHORT ? ATTENTION_SELF : ATTENTION_SHORT;
	return timed(d, kind, 2 * a->n * tq * tk * a->q.c, status, start, err);
}

#define TIMED(op, kind)                                                                            \
	static int timed_##op(struct device *d, const struct op##_args *a, struct error *err)      \
	{                                                                                          \
		struct meter_time start = meter_now(d);                                            \
		int status = profile.own->op(d, a, err);                                           \
		return timed(d, kind, 0, status, start, err);                                      \
	}

TIMED(group_norm, GROUP_NORM)
TIMED(layer_norm, LAYER_NORM)
TIMED(axpby, OTHER)
TIMED(embedding, OTHER)
TIMED(timestep, OTHER)
TIMED(permute, OTHER)

void profile_begin(struct device *d)
{
	memset(&profile, 0, sizeof profile);
	profile.own = d->ops;
	profile.ours = *d->ops;
	profile.ours.conv2d = timed_conv2d;
	profile.ours.linear = timed_linear;
	profile.ours.attention = timed_attention;
	profile.ours.group_norm = timed_group_norm;
	profile.ours.layer_norm = timed_layer_norm;
	profile.ours.axpby = timed_axpby;
	profile.ours.embedding = timed_embedding;
	profile.ours.timestep = timed_timestep;
	profile.ours.permute = timed_permute;
	d->ops = &profile.ours;
}

void profile_end(struct device *d)
{
	d->ops = profile.own;
}

static double all_seconds(void)
{
	double all = 0;
	for (int i = 0; i < KINDS; i++)
		all += profile.seconds[i];
	return all;
}

static double gflops(int kind)
{
	return 2e-9 * profile.macs[kind] / profile.seconds[kind];
}

void profile_print(void)
{
	double all = all_seconds();
	for (int i = 0; i < KINDS; i++) {
		if (profile.calls[i] == 0)
			continue;
		printf("  %-20s %4d calls %9.1f ms %5.1f %%", kind_names[i], profile.calls[i],
		       1e3 * profile.seconds[i], 100 * profile.seconds[i] / all);
		if (profile.macs[i] > 0)
			printf(" %8.1f GMAC %7.1f GFLOP/s", profile.macs[i] * 1e-9, gflops(i));
		printf("\n");
	}
}

json_t *profile_json(void)
{
	json_t *rows = json_array();
	double all = all_seconds();
	for (int i = 0; i < KINDS; i++)
		if (profile.calls[i] > 0)
			json_array_append_new(
			    rows, json_pack("{s:s, s:i, s:f, s:f, s:f, s:f}", "kind", kind_names[i],
					    "calls", profile.calls[i], "busy_seconds",
					    profile.seconds[i], "share", profile.seconds[i] / all,
					    "gmac", profile.macs[i] * 1e-9, "gflops", gflops(i)));
	return rows;
}
