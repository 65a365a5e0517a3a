/* What the gateway answers: one table. */
#ifndef SUMI_GATEWAY_ROUTES_H
#define SUMI_GATEWAY_ROUTES_H

#include "gateway/call.h"

extern const struct route route_table[]; /* ends with path == NULL */

/* The route of a request and its arguments; NULL with 404, or with 405 and the methods that there are. */
const struct route *route_find(const struct head *head, const char *args[CALL_ARGS_MAX], int *status,
			       char allow[128]);

/* The API of the routes that share most with a path under which there is nothing. */
enum dialect route_dialect(const struct head *head);

#endif
