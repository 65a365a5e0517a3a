/* A job's rendering parameters as the request of a modality. */
#ifndef SUMI_QUEUE_JOB_REQUEST_H
#define SUMI_QUEUE_JOB_REQUEST_H

#include "modalities/modality.h"
#include "queue/job.h"

/* The request of variant k (seed + k); strings are borrowed from the job, whose seed must
 * have been drawn (job_complete). */
struct request job_request(const struct job *job, int variant);

#endif
