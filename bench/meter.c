/* Wall clock and processor time of what a device does. */
#include "bench/meter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double clock_seconds(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

struct meter_time meter_now(const struct device *d)
{
	struct meter_time now = {.wall = clock_seconds(CLOCK_MONOTONIC)};
	now.busy = d->info.is_cpu
		       ? clock_seconds(CLOCK_PROCESS_CPUTIME_ID) / fmax(1, d->info.compute_units)
		       : now.wall;
	return now;
}

struct meter_time meter_since(const struct device *d, struct meter_time start)
{
	struct meter_time now = meter_now(d);
	return (struct meter_time){now.wall - start.wall, now.busy - start.busy};
}

int meter_best(struct device *d, meter_call *call, void *user, bool warm, double seconds,
	       struct meter_time *best, struct error *err)
{
	int status = warm ? call(user, err) : SUMI_OK, calls = 1;
	if (!status)
		status = device_sync(d, err);
	struct meter_time begin = meter_now(d);
	*best = (struct meter_time){INFINITY, INFINITY};
	while (!status) {
		struct meter_time from = meter_now(d);
		for (int i = 0; i < calls && !status; i++)
			status = call(user, err);
		if (!status)
			status = device_sync(d, err);
		struct meter_time took = meter_since(d, from);
		if (took.wall < 0.02) {
			calls *= 2;
			continue;
		}
		best->wall = fmin(best->wall, took.wall / calls);
		best->busy = fmin(best->busy, took.busy / calls);
		if (meter_since(d, begin).wall >= seconds)
			break;
	}
	return status;
}

double meter_memory(const char *field)
{
	char line[256];
	double kib = 0;
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, field, strlen(field)) == 0)
			kib = strtod(line + strlen(field), NULL);
	if (f)
		fclose(f);
	return kib / 1024;
}
