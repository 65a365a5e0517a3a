/* The scalar device: plain C with double accumulators. Slow and simple on purpose, it is
 * what every kernel is compared with, and it runs where there is no OpenCL. */
#ifndef SUMI_BACKENDS_REFERENCE_REFERENCE_H
#define SUMI_BACKENDS_REFERENCE_REFERENCE_H

#include "backends/backend.h"

void reference_info(struct device_info *info);

/* The caller closes it by its ops. SUMI_NOMEM. */
int reference_open(struct device **out, struct error *err);

#endif
