/* What a worker's models can do and propose, for forms and clients. */
#ifndef SUMI_DAEMON_OFFER_H
#define SUMI_DAEMON_OFFER_H

#include "diffusion/catalogue.h"
#include "queue/queue.h"

/* Tells the queue of every model of the catalogue: {modality, defaults, sizes, moods, fast, edits: it changes a
 * picture that it is shown, licence}. What
 * fails is logged: jobs are made all the same. */
void offer_models(struct queue *queue, const struct catalogue *catalogue);

#endif
