/* Lists of what lies in models folders. */
#ifndef SUMI_GATEWAY_SHELVES_H
#define SUMI_GATEWAY_SHELVES_H

#include "gateway/call.h"
#include "modalities/shelf.h"

/* shelf_list() of this host; NULL: it has been refused. The caller releases it. */
json_t *shelves_list(struct call *call, struct worker *w, enum shelf shelf);

#endif
