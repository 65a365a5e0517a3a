/* Is a CPU device as fast as its own peak says it should be? Each operation's rate, as a share
 * of the multiply-adds a second measured beside it, against a floor. Shares hold from machine
 * to machine and under load, times do not: both are processor time (meter.h), and a row has
 * several tries, since what disturbs can only make it slower.
 *
 * usage: floors [--device SELECTOR] [--only PART] [--tries N]
 *
 * Prints "ok NAME …" or "not ok NAME …" a row; exits with 1 when a row is below its floor.
 * The device is the one that sumi chooses by itself, a CPU's in place of a GPU; --device puts
 * another one's operations against the first OpenCL CPU's peak. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/options.h"
#include "bench/peak.h"
#include "bench/work.h"

/* About two thirds of what is reached (docs/performance.md). Winograd's are out of reach of a
 * direct convolution, which has a ceiling here to prove it. */
#define HALF PRECISION_HALF
#define INT8 PRECISION_INT8 /* with weights of q8_0 */
/* Winograd saves three quarters of the multiplications at most: what has such a share has a wrong peak beside it. */
#define WRONG_PEAK 5
static const struct floor {
	const char *what;
	struct work_row row;
	double floor, ceiling; /* shares of the peak; ceiling 0: WRONG_PEAK */
	enum precision precision; /* its own peak */
} floors[] = {
    {"linear", {LINEAR, 1, 32, 0, 640, .cout = 640}, .floor = 0.5},
    {"GEGLU", {LINEAR, 1, 32, 0, 640, .cout = 640, .act = ACT_GEGLU}, .floor = 0.5},
    {"1x1 convolution", {CONV, 1, 32, 0, 640, .cout = 320, .kernel = 1}, .floor = 0.5},
    {"Winograd", {CONV, 1, 32, 0, 320, .cout = 640, .kernel = 3}, .floor = 1.4},
    {"Winograd, upsampled",
     {CONV, 1, 16, 0, 640, .cout = 320, .kernel = 3, .upsample = true},
     .floor = 1.4},
    {"direct convolution",
     {CONV, 1, 64, 0, 320, .cout = 320, .kernel = 3, .stride = 2},
     .floor = 0.45,
     .ceiling = 1.1},
    {"self-attention", {ATTENTION, 1, 32, 0, 640, .cout = 640, .heads = 8}, .floor = 0.4},
    {"VAE attention", {ATTENTION, 1, 32, 0, 512, .cout = 512, .heads = 1}, .floor = 0.4},
    {"half linear", {LINEAR, 1, 32, 0, 640, .cout = 640}, .floor = 0.6, .precision = HALF},
    {"half GEGLU",
     {LINEAR, 1, 32, 0, 640, .cout = 640, .act = ACT_GEGLU},
     .floor = 0.6,
     .precision = HALF},
    {"half 1x1 convolution",
     {CONV, 1, 32, 0, 640, .cout = 320, .kernel = 1},
     .floor = 0.6,
     .precision = HALF},
    {"half Winograd",
     {CONV, 1, 32, 0, 320, .cout = 640, .kernel = 3},
     .floor = 1.7,
     .precision = HALF},
    {"half direct convolution",
     {CONV, 1, 64, 0, 320, .cout = 320, .kernel = 3, .stride = 2},
     .floor = 0.6,
     .ceiling = 1.1,
     .precision = HALF},
    {"half self-attention",
     {ATTENTION, 1, 32, 0, 640, .cout = 640, .heads = 8},
     .floor = 0.6,
     .precision = HALF},
    {"half VAE attention",
     {ATTENTION, 1, 32, 0, 512, .cout = 512, .heads = 1},
     .floor = 0.6,
     .precision = HALF},
    {"int8 linear", {LINEAR, 1, 32, 0, 640, .cout = 640}, .floor = 0.5, .precision = INT8},
    {"int8 GEGLU",
     {LINEAR, 1, 32, 0, 640, .cout = 640, .act = ACT_GEGLU},
     .floor = 0.5,
     .precision = INT8},
    {"int8 1x1 convolution",
     {CONV, 1, 32, 0, 640, .cout = 320, .kernel = 1},
     .floor = 0.5,
     .precision = INT8},
};

struct options {
	const char *device, *only;
	int tries;
};

struct bench {
	struct device *device; /* whose operations are measured */
	struct device *meter;  /* whose peak they are held against; may be the same */
	struct peak *peaks[PRECISIONS];
	struct options options;
	int missed;
};

/* The best share of a few tries; one that reaches the floor is enough. */
static int best_share(struct bench *b, struct work *w, const struct floor *f, double *share,
		      struct error *err)
{
	struct peak *peak = b->peaks[f->precision];
	double floor = f->floor;
	int status = SUMI_OK;
	*share = 0;
	for (int i = 0; i < b->options.tries && *share < floor && !status; i++) {
		struct meter_time best;
		double before, after;
		status = peak_gflops(peak, 0, &before, err);
		if (!status)
			status = meter_best(b->device, work_run, w, i == 0, 0.05, &best, err);
		if (!status)
			status = peak_gflops(peak, 0, &after, err);
		if (!status)
			*share = fmax(*share, w->flops / best.busy * 1e-9 / fmax(before, after));
	}
	return status;
}

/* Both devices in this precision, with its peak. Where the tested one has none, *skipped. */
static int set_precision(struct bench *b, enum precision precision, bool *skipped,
			 struct error *err)
{
	*skipped = device_set_precision(b->device, precision, err) != SUMI_OK;
	if (*skipped)
		return SUMI_OK;
	int status = device_set_precision(b->meter, precision, err);
	if (!status && !b->peaks[precision])
		status = peak_open(b->meter, &b->peaks[precision], err);
	return status;
}

static int check_row(struct bench *b, const struct floor *f, struct error *err)
{
	struct work w;
	double share = 0;
	bool skipped;
	int status = set_precision(b, f->precision, &skipped, err);
	if (status || skipped) {
		if (skipped)
			printf("skip %s: %s\n", f->what, err->text);
		return status;
	}
	status = work_make(b->device, &f->row, DTYPE_F32,
			   f->precision == PRECISION_INT8 ? DTYPE_Q8_0 : DTYPE_F16, &w, err);
	if (!status)
		status = best_share(b, &w, f, &share, err);
	bool ok = share >= f->floor && share < (f->ceiling > 0 ? f->ceiling : WRONG_PEAK);
	if (status)
		error_prefix(err, "%s", w.name);
	else
		printf("%s %s (%s): %.0f %% of the peak, the floor is %.0f %%\n",
		       ok ? "ok" : "not ok", f->what, w.name, 100 * share, 100 * f->floor);
	fflush(stdout);
	b->missed += !ok;
	work_free(&w);
	return status;
}

/* Opens the first OpenCL CPU; *out stays NULL when there is none. */
static int open_cpu(struct device **out, struct error *err)
{
	struct device_info list[16];
	int count = device_list(list, 16, err);
	for (int i = 0; i < count && i < 16; i++)
		if (list[i].is_cpu && strncmp(list[i].selector, "opencl:", 7) == 0)
			return device_open(list[i].selector, out, err);
	return count < 0 ? count : SUMI_OK;
}

/* The device that a user gets, so that a wrong choice is noticed; but of a GPU these floors
 * know nothing. */
static int open_tested(struct bench *b, struct error *err)
{
	int status = device_open(b->options.device, &b->device, err);
	if (status || b->options.device || b->device->info.is_cpu)
		return status;
	device_close(b->device);
	return device_open(b->meter->info.selector, &b->device, err);
}

static int check_all(struct bench *b, struct error *err)
{
	int status = open_cpu(&b->meter, err);
	if (!status && !b->meter) {
		printf("skip floors: no CPU has an OpenCL driver here\n");
		return SUMI_OK;
	}
	if (!status)
		status = open_tested(b, err);
	for (size_t i = 0; i < sizeof floors / sizeof *floors && !status; i++)
		if (!b->options.only || strstr(floors[i].what, b->options.only))
			status = check_row(b, &floors[i], err);
	return status;
}

static bool parse(int argc, char **argv, struct options *o)
{
	*o = (struct options){.tries = 12};
	const struct bench_option table[] = {{"--device", &o->device, NULL},
					     {"--only", &o->only, NULL},
					     {"--tries", NULL, &o->tries},
					     {NULL, NULL, NULL}};
	return bench_options(argc, argv, 1, table);
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	struct error err = {0};
	if (!parse(argc, argv, &b.options)) {
		fprintf(stderr, "usage: floors [--device SELECTOR] [--only PART] [--tries N]\n");
		return 2;
	}
	int status = check_all(&b, &err);
	if (status)
		fprintf(stderr, "%s\n", err.text);
	device_close(b.device);
	for (int i = 0; i < PRECISIONS; i++)
		peak_close(b.peaks[i]);
	device_close(b.meter);
	return status || b.missed ? 1 : 0;
}
