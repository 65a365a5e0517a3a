/* What a device can do at most: multiply-adds and bytes moved a second (kernels/peak.cl). */
#ifndef SUMI_BENCH_PEAK_H
#define SUMI_BENCH_PEAK_H

#include "bench/meter.h"

struct peak;

/* Of the precision that the device has now. OpenCL devices only: SUMI_UNSUPPORTED for others. The device must outlive the peak. The caller
 * closes *out, also after a failure. */
int peak_open(struct device *d, struct peak **out, struct error *err);
void peak_close(struct peak *p); /* NULL is fine */

/* The best rates within so many seconds, by busy time (see meter.h): 1e9 floating point
 * operations a second (a multiply-add is two), 1e9 bytes read and written a second. */
int peak_gflops(struct peak *p, double seconds, double *rate, struct error *err);
int peak_gbytes(struct peak *p, double seconds, double *rate, struct error *err);

#endif
