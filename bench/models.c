/* What a pack's models take on a device: time of one text encoding, UNet step, decoding and
 * encoding, memory, and where the time goes by kind of operation.
 *
 *     models PACK [--device NAME] [--size WxH] [--batch N] [--frames N] [--precision exact|half|int8]
 *            [--repeat N] [--only text|step|decode|encode] [--weights FOLDER] [--json FILE]
 *     models PACK --serve yes [--device NAME] [--size WxH] [--batch N] [--frames N]
 *            [--precision exact|half|int8] [--weights FOLDER]
 *
 * --weights: packed weights are kept there and mapped, as sumi does it; else they are packed into the
 * process's own memory.
 * --frames: a step is of so many frames that the pack's motion modules let know of each other.
 * Each model is run once to warm up, --repeat times for its time, and once more with a wait
 * after every operation for the shares (which add up to a little more than the time). Times
 * are busy time (meter.h), walls beside them.
 *
 * With --serve every model is loaded, and each line of standard input (text, step, decode,
 * encode) runs one of them and is answered with "WALL BUSY", its seconds; so another program
 * can take turns with it. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/meter.h"
#include "bench/options.h"
#include "bench/profile.h"
#include "bench/subject.h"
#include "weights/packed.h"

struct options {
	const char *pack, *device, *json, *serve, *precision, *only, *weights;
	struct subject_size size;
	int repeat;
};

struct bench {
	struct device *device;
	struct options options;
	json_t *models;
};

static int measure(struct bench *b, struct subject *s, struct meter_time *first,
		   struct meter_time *best, struct error *err)
{
	*best = (struct meter_time){INFINITY, INFINITY};
	int status = SUMI_OK;
	for (int i = 0; i <= b->options.repeat && !status; i++) {
		struct meter_time start = meter_now(b->device);
		status = subject_call(s, err);
		struct meter_time took = meter_since(b->device, start);
		if (i == 0) {
			*first = took;
			continue;
		}
		best->wall = fmin(best->wall, took.wall);
		best->busy = fmin(best->busy, took.busy);
	}
	profile_begin(b->device);
	if (!status)
		status = subject_call(s, err);
	profile_end(b->device);
	return status;
}

static void report(struct bench *b, enum subject_kind kind, const struct subject *s,
		   const struct meter_time times[3])
{
	const double mib = 1048576;
	double resident = meter_memory("VmRSS:"), device = (double)b->device->bytes_in_use / mib;
	double plan = (double)subject_plan(s) / mib;
	printf("%s: %.3f s busy, %.3f s wall; loaded in %.2f s, first %.2f s; %.0f MiB resident, "
	       "%.0f of them the device's, temporaries %.0f\n",
	       subject_names[kind], times[2].busy, times[2].wall, times[0].wall, times[1].wall,
	       resident, device, plan);
	profile_print();
	fflush(stdout);
	json_array_append_new(
	    b->models,
	    json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:o}", "name",
		      subject_names[kind], "load_wall_seconds", times[0].wall, "load_busy_seconds",
		      times[0].busy, "first_wall_seconds", times[1].wall, "wall_seconds",
		      times[2].wall, "busy_seconds", times[2].busy, "resident_mib", resident,
		      "device_mib", device, "planned_mib", plan, "operations", profile_json()));
}

static int bench_subject(struct bench *b, enum subject_kind kind, struct error *err)
{
	struct subject *s;
	struct meter_time times[3] = {{0}}; /* loading, first call, best call */
	struct meter_time start = meter_now(b->device);
	int status = subject_open(b->device, b->options.pack, kind, &b->options.size, &s, err);
	times[0] = meter_since(b->device, start);
	if (!status)
		status = measure(b, s, &times[1], &times[2], err);
	if (!status)
		report(b, kind, s, times);
	subject_close(s);
	device_trim(b->device);
	return status;
}

static int write_json(const struct bench *b, struct error *err)
{
	const struct options *o = &b->options;
	json_t *root = json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:O}", "pack", o->pack, "device",
				 b->device->info.name, "precision", o->precision, "width", o->size.width, "height",
				 o->size.height, "batch", o->size.batch, "frames", o->size.frames, "peak_resident_mib",
				 meter_memory("VmHWM:"), "models", b->models);
	int status = SUMI_OK;
	if (!root || json_dump_file(root, o->json, JSON_INDENT(1) | JSON_REAL_PRECISION(6)))
		status = error_set(err, SUMI_IO, "%s: cannot be written", o->json);
	json_decref(root);
	return status;
}

static int bench_all(struct bench *b, struct error *err)
{
	const struct subject_size *size = &b->options.size;
	printf("%s: %s, %dx%d, batch %d\n", b->options.pack, b->device->info.name, size->width,
	       size->height, size->batch);
	b->models = json_array();
	int status = SUMI_OK;
	for (int kind = 0; kind < SUBJECTS && !status; kind++)
		if (!b->options.only || strcmp(b->options.only, subject_words[kind]) == 0)
			status = bench_subject(b, kind, err);
	if (!status)
		printf("%.0f MiB resident at the peak\n", meter_memory("VmHWM:"));
	return status || !b->options.json ? status : write_json(b, err);
}

static int answer(struct bench *b, struct subject *const *subjects, const char *word,
		  struct error *err)
{
	for (int i = 0; i < SUBJECTS; i++) {
		if (strcmp(word, subject_words[i]) != 0)
			continue;
		struct meter_time start = meter_now(b->device);
		int status = subject_call(subjects[i], err);
		struct meter_time took = meter_since(b->device, start);
		if (!status)
			printf("%.6f %.6f\n", took.wall, took.busy);
		fflush(stdout);
		return status;
	}
	return error_set(err, SUMI_INVALID, "'%s' is none of text, step, decode, encode", word);
}

static int serve(struct bench *b, struct error *err)
{
	struct subject *subjects[SUBJECTS] = {NULL};
	char line[32];
	int status = SUMI_OK;
	for (int i = 0; i < SUBJECTS && !status; i++)
		status = subject_open(b->device, b->options.pack, i, &b->options.size, &subjects[i],
				      err);
	while (!status && fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		status = answer(b, subjects, line, err);
	}
	for (int i = 0; i < SUBJECTS; i++)
		subject_close(subjects[i]);
	return status;
}

static bool parse(int argc, char **argv, struct options *o)
{
	const char *size = "512x512";
	*o = (struct options){
	    .size = {.batch = 1, .frames = 1}, .repeat = 3, .precision = "exact"};
	const struct bench_option table[] = {{"--device", &o->device, NULL},
					     {"--batch", NULL, &o->size.batch},
					     {"--frames", NULL, &o->size.frames},
					     {"--only", &o->only, NULL},
					     {"--weights", &o->weights, NULL},
					     {"--repeat", NULL, &o->repeat},
					     {"--json", &o->json, NULL},
					     {"--serve", &o->serve, NULL},
					     {"--size", &size, NULL},
					     {"--precision", &o->precision, NULL},
					     {NULL, NULL, NULL}};
	if (argc < 2 || !bench_options(argc, argv, 2, table))
		return false;
	o->pack = argv[1];
	return sscanf(size, "%dx%d", &o->size.width, &o->size.height) == 2 && o->size.width > 0 &&
	       o->size.height > 0;
}

int main(int argc, char **argv)
{
	struct error err = {0};
	struct bench b = {0};
	if (!parse(argc, argv, &b.options)) {
		fprintf(stderr,
			"usage: models PACK [--device NAME] [--size WxH] [--batch N] [--frames N] "
			"[--precision exact|half|int8] [--repeat N] [--only text|step|decode|encode] [--weights FOLDER] "
			"[--json FILE] [--serve yes]\n");
		return 2;
	}
	enum precision precision;
	int status = device_open(b.options.device, &b.device, &err);
	if (!status)
		status = precision_of(b.options.precision, &precision, &err);
	if (!status)
		status = device_set_precision(b.device, precision, &err);
	if (!status && b.options.weights)
		status = packed_store_open(b.options.weights, UINT64_MAX, &b.options.size.store, &err);
	if (!status)
		status = b.options.serve ? serve(&b, &err) : bench_all(&b, &err);
	if (status)
		fprintf(stderr, "%s\n", err.text);
	json_decref(b.models);
	packed_store_close(b.options.size.store);
	device_close(b.device);
	return status ? 1 : 0;
}
