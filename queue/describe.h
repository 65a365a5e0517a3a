/* Jobs and events of the queue as JSON, for whoever shows them. */
#ifndef SUMI_QUEUE_DESCRIBE_H
#define SUMI_QUEUE_DESCRIBE_H

#include <jansson.h>

#include "queue/queue.h"

/* The job's fields with id, state, times and progress; a new object, which the caller releases. */
json_t *queue_entry_json(const struct queue_entry *entry);

/* {"id", "event", "cursor", …}: numbers as numbers, pictures in base64, what is JSON as JSON.
 * NULL: no memory. */
json_t *queue_event_json(const struct queue_event *event);

#endif
