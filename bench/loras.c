/* What LoRAs cost a model that stays loaded: the time to put each in the place of another, to give it another
 * weight, a step with it beside the same step without, and the memory that it takes.
 *
 *     loras PACK FILE[,FILE…] [--device NAME] [--size WxH] [--precision exact|half|int8] [--repeat N] [--steps N]
 *
 * In each round the pack is put through: without, each of the files, in turn, --steps steps each. Times are busy time
 * (meter.h): medians of the rounds, and the median of what each round's step took relative to its own without. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/meter.h"
#include "bench/options.h"
#include "diffusion/adapters.h"
#include "diffusion/run.h"

enum { LORAS = 8, ROUNDS = 64 };

struct options {
	const char *pack, *device, *precision;
	int width, height, repeat, steps;
};

struct subject {
	struct adapter_list list; /* empty: without */
	double put[ROUNDS], other[ROUNDS], step[ROUNDS], ratio[ROUNDS];
	double device, resident; /* MiB */
};

static struct subject subjects[1 + LORAS];
static int count = 1;

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof *values, compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static bool add_files(char *files)
{
	char *rest;
	for (char *at = strtok_r(files, ",", &rest); at && count <= LORAS; at = strtok_r(NULL, ",", &rest)) {
		struct adapter_list *list = &subjects[count++].list;
		list->count = 1;
		list->rows[0].weight = (struct adapter_weight){1, 1, 0};
		snprintf(list->rows[0].name, sizeof list->rows[0].name, "%d", count);
		if ((size_t)snprintf(list->rows[0].path, sizeof list->rows[0].path, "%s", at) >=
		    sizeof list->rows[0].path)
			return false;
	}
	return count > 1;
}

static int measure(struct pack *pack, const struct options *o, double *step, struct error *err)
{
	struct run_params p = {.prompt = "a boat", .seed = 7, .steps = o->steps, .cfg_scale = 4, .sampler = "euler",
			       .schedule = "default", .rng = "torch", .width = o->width, .height = o->height,
			       .frames = 1, .guidance_end = 1};
	struct run *run = NULL;
	int status = run_begin(pack, &p, &run, err);
	struct meter_time start = meter_now(pack_device(pack));
	for (int i = 0; i < o->steps && !status; i++)
		status = run_step(run, err);
	*step = meter_since(pack_device(pack), start).busy / o->steps;
	run_free(run);
	return status;
}

/* Another weight, and back. */
static int reweigh(struct pack *pack, struct subject *s, double *took, struct error *err)
{
	struct adapter_list other = s->list;
	bool done;
	if (!other.count)
		return SUMI_OK;
	other.rows[0].weight = (struct adapter_weight){0.5, 0.5, 0};
	struct meter_time start = meter_now(pack_device(pack));
	int status = pack_adapt(pack, &other, &done, err);
	*took = meter_since(pack_device(pack), start).busy;
	return status ? status : pack_adapt(pack, &s->list, &done, err);
}

static int round_of(struct pack *pack, const struct options *o, int round, struct error *err)
{
	struct device *d = pack_device(pack);
	int status = SUMI_OK;
	for (int i = 0; i < count && !status; i++) {
		struct subject *s = &subjects[i];
		bool done;
		struct meter_time start = meter_now(d);
		status = pack_adapt(pack, &s->list, &done, err);
		if (!status && !done)
			status = error_set(err, SUMI_UNSUPPORTED, "%s: it is folded, so a pack is opened anew with it",
					   s->list.rows[0].path);
		s->put[round] = meter_since(d, start).busy;
		if (!status)
			status = reweigh(pack, s, &s->other[round], err);
		if (!status)
			status = measure(pack, o, &s->step[round], err);
		s->ratio[round] = s->step[round] / subjects[0].step[round];
		s->device = (double)d->bytes_in_use / 1048576;
		s->resident = meter_memory("RssAnon:");
	}
	return status;
}

static void report(int rounds)
{
	for (int i = 0; i < count; i++) {
		struct subject *s = &subjects[i];
		printf("%s: put %.4f s, another weight %.4f s, a step %.3f s, %+.1f %% (",
		       i ? s->list.rows[0].path : "without", median(s->put, rounds), median(s->other, rounds),
		       median(s->step, rounds), 100 * (median(s->ratio, rounds) - 1));
		printf("%+.1f to %+.1f), memory %+.1f MiB of the device, %+.1f MiB of the process\n",
		       100 * (s->ratio[0] - 1), 100 * (s->ratio[rounds - 1] - 1),
		       s->device - subjects[0].device, s->resident - subjects[0].resident);
	}
}

static int bench(struct device *d, const struct options *o, struct error *err)
{
	struct pack *pack;
	int status = pack_open(d, o->pack, &pack, err);
	for (int i = -1; i < o->repeat && !status; i++) /* once to warm up */
		status = round_of(pack, o, i < 0 ? 0 : i, err);
	if (!status)
		report(o->repeat);
	pack_close(pack);
	return status;
}

static bool parse(int argc, char **argv, struct options *o)
{
	const char *size = "256x256";
	*o = (struct options){.precision = "exact", .repeat = 5, .steps = 2};
	const struct bench_option table[] = {{"--device", &o->device, NULL}, {"--size", &size, NULL},
					     {"--precision", &o->precision, NULL}, {"--repeat", NULL, &o->repeat},
					     {"--steps", NULL, &o->steps}, {NULL, NULL, NULL}};
	if (argc < 3 || !bench_options(argc, argv, 3, table) || !add_files(argv[2]))
		return false;
	o->pack = argv[1];
	return sscanf(size, "%dx%d", &o->width, &o->height) == 2 && o->repeat <= ROUNDS;
}

int main(int argc, char **argv)
{
	struct error err = {0};
	struct options o;
	struct device *d = NULL;
	enum precision precision;
	if (!parse(argc, argv, &o)) {
		fprintf(stderr, "usage: loras PACK FILE[,FILE...] [--device NAME] [--size WxH] "
				"[--precision exact|half|int8] [--repeat N] [--steps N]\n");
		return 2;
	}
	int status = device_open(o.device, &d, &err);
	if (!status)
		status = precision_of(o.precision, &precision, &err);
	if (!status)
		status = device_set_precision(d, precision, &err);
	if (!status)
		status = bench(d, &o, &err);
	if (status)
		fprintf(stderr, "%s\n", err.text);
	device_close(d);
	return status ? 1 : 0;
}
