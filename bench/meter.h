/* Times that mean something on a machine that does other work too: beside the wall clock the
 * processor time that the process took, as if it had been shared out over the device's
 * compute units. */
#ifndef SUMI_BENCH_METER_H
#define SUMI_BENCH_METER_H

#include "backends/backend.h"

struct meter_time {
	double wall; /* seconds */
	double busy; /* on CPUs the processor time divided by the device's compute units, which
			is the wall clock of a machine with nothing else to do, if all units work
			all the time; elsewhere the wall clock */
};

/* Since an arbitrary moment; the difference of two is what came between. */
struct meter_time meter_now(const struct device *d);
struct meter_time meter_since(const struct device *d, struct meter_time start);

typedef int meter_call(void *user, struct error *err);

/* The best of batches, each of them at least 20 ms of calls and a wait for the device, until
 * `seconds` have passed (one batch at least). A first call is not counted where warm says so.
 * best gets seconds of one call. */
int meter_best(struct device *d, meter_call *call, void *user, bool warm, double seconds,
	       struct meter_time *best, struct error *err);

/* MiB, from /proc/self/status: "VmRSS:" or "VmHWM:". 0 where there is no such file. */
double meter_memory(const char *field);

#endif
