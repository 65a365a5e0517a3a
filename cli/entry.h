/* Jobs as JSON and as lines for people. Both sources (queue and store) give objects with
 * the same names: id, state, modality, prompt, then the schema's fields and the times. */
#ifndef SUMI_CLI_ENTRY_H
#define SUMI_CLI_ENTRY_H

#include <jansson.h>

#include "queue/queue.h"

/* A new object; the caller releases it. */
json_t *entry_json(const struct queue_entry *entry);

/* One line: id, state, modality, when, prompt. */
void entry_print_row(const json_t *row);

/* All fields, one a line. */
void entry_print_details(const json_t *row);

#endif
