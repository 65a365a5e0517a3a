/* Jobs as JSON and as lines for people. Both sources (queue and store) give objects with
 * the same names: id, state, modality, prompt, then the schema's fields and the times. */
#ifndef SUMI_CLI_ENTRY_H
#define SUMI_CLI_ENTRY_H

#include <jansson.h>

#include "queue/queue.h"

/* Adds why it does not go on, where there is a reason: "waits". */
void entry_add_waits(json_t *row, const char *why);

/* One line: id, state, modality, when, prompt. */
void entry_print_row(const json_t *row);

/* All fields, one a line. */
void entry_print_details(const json_t *row);

/* Prints text that somebody else has written: control characters, which a terminal would obey,
 * and what is not UTF-8 become '?'. size: bytes at most. */
void entry_print_text(const char *text, size_t size);
void entry_put_text(FILE *out, const char *text, size_t size); /* the same, anywhere */

#endif
