/* Events of a job as JSON, for programs that watch. */
#ifndef SUMI_CLI_EVENT_JSON_H
#define SUMI_CLI_EVENT_JSON_H

#include <jansson.h>

#include "queue/queue.h"

/* {"id", "event", "cursor", …}: numbers as numbers, pictures in base64, what is JSON as JSON.
 * NULL: no memory. */
json_t *event_json(const struct queue_event *event);

#endif
