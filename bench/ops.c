/* The device's peak rates, then every operation at the shapes of Stable Diffusion 1.5 at
 * 512×512 with its share of them.
 *
 * usage: ops [--device SELECTOR] [--json FILE] [--only PART] [--dtype f32|f16]
 *            [--seconds S] [--precision exact|half|int8] [--weight FORMAT]
 *
 * A row's time is the best of several runs; the peak it is held against is measured just
 * before and just after it. Both are busy time (meter.h). Convolutions are counted as direct
 * ones, whatever algorithm runs: a share above 100 % is Winograd. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/internal.h"
#include "bench/options.h"
#include "bench/peak.h"
#include "bench/work.h"

static const struct work_row rows[] = {
    {CONV, 1, 64, 0, 4, .cout = 320, .kernel = 3},
    {CONV, 1, 64, 0, 320, .cout = 320, .kernel = 3},
    {CONV, 1, 64, 0, 960, .cout = 320, .kernel = 3},
    {CONV, 1, 32, 0, 640, .cout = 640, .kernel = 3},
    {CONV, 1, 32, 0, 1920, .cout = 640, .kernel = 3},
    {CONV, 1, 16, 0, 1280, .cout = 1280, .kernel = 3},
    {CONV, 1, 16, 0, 2560, .cout = 1280, .kernel = 3},
    {CONV, 1, 8, 0, 1280, .cout = 1280, .kernel = 3},
    {CONV, 1, 8, 0, 2560, .cout = 1280, .kernel = 3},
    {CONV, 1, 64, 0, 320, .cout = 320, .kernel = 3, .stride = 2},
    {CONV, 1, 32, 0, 640, .cout = 640, .kernel = 3, .upsample = true},
    {CONV, 1, 64, 0, 640, .cout = 320, .kernel = 1},
    {CONV, 1, 64, 0, 512, .cout = 512, .kernel = 3},
    {CONV, 1, 256, 0, 256, .cout = 256, .kernel = 3},
    {CONV, 1, 512, 0, 128, .cout = 128, .kernel = 3},
    {CONV, 1, 512, 0, 128, .cout = 3, .kernel = 3},
    {LINEAR, 1, 64, 0, 320, .cout = 320},
    {LINEAR, 1, 64, 0, 320, .cout = 1280, .act = ACT_GEGLU},
    {LINEAR, 1, 64, 0, 1280, .cout = 320},
    {LINEAR, 1, 32, 0, 640, .cout = 640},
    {LINEAR, 1, 32, 0, 640, .cout = 2560, .act = ACT_GEGLU},
    {LINEAR, 1, 16, 0, 1280, .cout = 1280},
    {LINEAR, 1, 16, 0, 1280, .cout = 5120, .act = ACT_GEGLU},
    {LINEAR, 1, 16, 0, 5120, .cout = 1280},
    {LINEAR, 1, 64, 0, 640, .cout = 640},
    {LINEAR, 1, 32, 0, 1280, .cout = 1280},
    {LINEAR, 1, 32, 0, 1280, .cout = 5120, .act = ACT_GEGLU},
    {LINEAR, 1, 32, 0, 5120, .cout = 1280},
    {LINEAR, 1, 0, 77, 768, .cout = 320},
    {LINEAR, 1, 0, 1, 320, .cout = 1280, .act = ACT_SILU},
    {ATTENTION, 1, 64, 0, 320, .cout = 320, .heads = 8},
    {ATTENTION, 1, 64, 0, 320, .cout = 320, .heads = 8, .keys = 77},
    {ATTENTION, 1, 32, 0, 640, .cout = 640, .heads = 8},
    {ATTENTION, 1, 16, 0, 1280, .cout = 1280, .heads = 8},
    {ATTENTION, 1, 64, 0, 640, .cout = 640, .heads = 10},
    {ATTENTION, 1, 32, 0, 1280, .cout = 1280, .heads = 20},
    {ATTENTION, 1, 64, 0, 512, .cout = 512, .heads = 1},
    {GROUP_NORM, 1, 64, 0, 320, .cout = 320, .act = ACT_SILU},
    {GROUP_NORM, 1, 64, 0, 960, .cout = 960, .act = ACT_SILU},
    {GROUP_NORM, 1, 16, 0, 1280, .cout = 1280, .act = ACT_SILU},
    {GROUP_NORM, 1, 8, 0, 1280, .cout = 1280},
    {GROUP_NORM, 1, 512, 0, 128, .cout = 128, .act = ACT_SILU},
    {LAYER_NORM, 1, 64, 0, 320, .cout = 320},
    {LAYER_NORM, 1, 16, 0, 1280, .cout = 1280},
    {AXPBY, 1, 64, 0, 320, .cout = 320},
    {AXPBY, 1, 512, 0, 128, .cout = 128, .act = ACT_SILU},
    {PERMUTE, 16, 32, 0, 320, .cout = 320},
};

struct options {
	const char *device, *json, *only, *precision;
	enum dtype dtype, weight;
	bool dtype_given;
	double seconds; /* of each row */
};

struct bench {
	struct device *d;
	struct options options;
	struct peak *peak;
	double gflops, gbytes; /* the best peaks seen */
	json_t *results;
};

/* The peak that bounds such a work, now. */
static int measure_peak(struct bench *b, bool matrix, double seconds, double *rate,
			struct error *err)
{
	double now, *best = matrix ? &b->gflops : &b->gbytes;
	int status = matrix ? peak_gflops(b->peak, seconds, &now, err)
			    : peak_gbytes(b->peak, seconds, &now, err);
	*rate = fmax(*rate, now);
	*best = fmax(*best, now);
	return status;
}

static void report(struct bench *b, const struct work *w, struct meter_time best, double peak)
{
	bool matrix = w->flops > 0;
	double gflops = w->flops / best.busy * 1e-9, gbytes = w->bytes / best.busy * 1e-9;
	double share = (matrix ? gflops : gbytes) / peak;
	printf("%-36s %10.3f ms %9.1f %-8s %4.0f %%\n", w->name, best.busy * 1e3,
	       matrix ? gflops : gbytes, matrix ? "GFLOP/s" : "GB/s", 100 * share);
	fflush(stdout);
	json_array_append_new(b->results,
			      json_pack("{s:s, s:f, s:f, s:s, s:f, s:f, s:f}", "name", w->name,
					"wall_seconds", best.wall, "busy_seconds", best.busy,
					"unit", matrix ? "GFLOP/s" : "GB/s", "rate",
					matrix ? gflops : gbytes, "peak", peak, "share", share));
}

static int measure_row(struct bench *b, const struct work_row *r, struct error *err)
{
	struct work w;
	struct meter_time best;
	double peak = 0;
	char name[WORK_NAME_SIZE];
	work_describe(r, name);
	if (b->options.only && !strstr(name, b->options.only))
		return SUMI_OK;
	int status = work_make(b->d, r, b->options.dtype, b->options.weight, &w, err);
	if (!status)
		status = measure_peak(b, w.flops > 0, 0, &peak, err);
	if (!status)
		status = meter_best(b->d, work_run, &w, true, b->options.seconds, &best, err);
	if (!status)
		status = measure_peak(b, w.flops > 0, 0, &peak, err);
	if (status)
		error_prefix(err, "%s", name);
	else
		report(b, &w, best, peak);
	work_free(&w);
	return status;
}

static int write_json(const struct bench *b, struct error *err)
{
	const struct device_info *info = &b->d->info;
	json_t *root = json_pack("{s:{s:s, s:s, s:s, s:i, s:b}, s:s, s:s, s:f, s:f, s:O}", "device",
				 "name", info->name, "platform", info->platform, "driver",
				 info->driver, "compute_units", info->compute_units, "cpu_kernels",
				 cl_device_of(b->d)->quirks.cpu_kernels, "activations",
				 cl_dtype_word(b->options.dtype), "precision", b->options.precision,
				 "peak_gflops", b->gflops,
				 "peak_gbytes", b->gbytes, "operations", b->results);
	int status = SUMI_OK;
	if (!root || json_dump_file(root, b->options.json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)))
		status = error_set(err, SUMI_IO, "%s: cannot be written", b->options.json);
	json_decref(root);
	return status;
}

static bool parse(int argc, char **argv, struct options *o)
{
	const char *seconds = "0.3", *dtype = NULL, *weight = "f16";
	*o = (struct options){.precision = "exact"};
	const struct bench_option table[] = {
	    {"--device", &o->device, NULL}, {"--json", &o->json, NULL}, {"--only", &o->only, NULL},
	    {"--seconds", &seconds, NULL},  {"--dtype", &dtype, NULL},
	    {"--precision", &o->precision, NULL}, {"--weight", &weight, NULL},
	    {NULL, NULL, NULL}};
	if (!bench_options(argc, argv, 1, table))
		return false;
	o->seconds = atof(seconds);
	while (o->weight < DTYPES && strcmp(format_info(o->weight)->name, weight) != 0)
		o->weight++;
	if (o->weight == DTYPES)
		return false;
	o->dtype_given = dtype != NULL;
	if (dtype)
		o->dtype = strcmp(dtype, "f16") == 0 ? DTYPE_F16 : DTYPE_F32;
	return !dtype || strcmp(dtype, cl_dtype_word(o->dtype)) == 0;
}

static int measure_all(struct bench *b, struct error *err)
{
	double rate = 0;
	int status = peak_open(b->d, &b->peak, err);
	if (!status)
		status = measure_peak(b, true, b->options.seconds, &rate, err);
	if (!status)
		status = measure_peak(b, false, b->options.seconds, &rate, err);
	if (status)
		return status;
	printf("%s, %s %s: %.1f GFLOP/s, %.1f GB/s; activations %s, weights %s, %s\n",
	       b->d->info.name, b->d->info.platform, b->d->info.driver, b->gflops, b->gbytes,
	       cl_dtype_word(b->options.dtype), cl_dtype_word(b->options.weight),
	       b->options.precision);
	for (size_t i = 0; i < sizeof rows / sizeof *rows && !status; i++)
		status = measure_row(b, &rows[i], err);
	return status;
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	struct error err = {0};
	if (!parse(argc, argv, &b.options)) {
		fprintf(stderr, "usage: ops [--device SELECTOR] [--json FILE] [--only PART] "
				"[--dtype f32|f16] [--seconds S] [--precision exact|half|int8] "
				"[--weight FORMAT]\n");
		return 2;
	}
	enum precision precision;
	int status = device_open(b.options.device, &b.d, &err);
	if (!status)
		status = precision_of(b.options.precision, &precision, &err);
	if (!status)
		status = device_set_precision(b.d, precision, &err);
	if (status)
		goto done;
	if (!b.options.dtype_given)
		b.options.dtype = b.d->activation_dtype;
	b.results = json_array();
	status = measure_all(&b, &err);
	if (!status && b.options.json)
		status = write_json(&b, &err);
done:
	if (status)
		fprintf(stderr, "%s\n", err.text);
	json_decref(b.results);
	peak_close(b.peak);
	device_close(b.d);
	return status ? 1 : 0;
}
