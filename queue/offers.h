/* What models can do and propose, told by workers to those who ask for jobs. */
#ifndef SUMI_QUEUE_OFFERS_H
#define SUMI_QUEUE_OFFERS_H

#include <jansson.h>

#include "queue/queue.h"

/* An object about a model takes the place of what was said of it before. */
int queue_offer(struct queue *queue, const char *model, const json_t *about, struct error *err);

/* A new object: model → object. What is none is left out, and models that no worker has any more may be
 * among them (queue_classes()). */
int queue_offers(struct queue *queue, json_t **out, struct error *err);

#endif
