/* The gateway's own state: keys, calls that wait, what has happened in the queue. Everything here runs in
 * the event loop but for the handlers. */
#ifndef SUMI_GATEWAY_SERVICE_H
#define SUMI_GATEWAY_SERVICE_H

#include "gateway/call.h"

struct service_options {
	struct event_base *base;
	const struct config *config;
	const char *queue_url;
};

int service_new(const struct service_options *options, struct service **out, struct error *err);
struct http_server *service_http(struct service *s);
/* The keys as they stand in the queue now, before anything is served. *count: how many. */
int service_load_keys(struct service *s, size_t *count, struct error *err);
/* Nothing new is taken, what is under way goes on. True when nothing is left. */
bool service_stop(struct service *s);
void service_free(struct service *s);

#endif
