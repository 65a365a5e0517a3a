/* What happens in the queue, told to streams of events and to calls that wait. In the event loop. */
#ifndef SUMI_GATEWAY_HUB_H
#define SUMI_GATEWAY_HUB_H

#include "gateway/call.h"

struct hub;

struct hub_options {
	struct event_base *base;
	struct pool *pool;
	const struct config *config;
	const char *queue_url;
	void *context;
	void (*ended)(void *context, const char *id); /* a job has ended */
};

int hub_new(const struct hub_options *options, struct hub **out, struct error *err);
/* Once a second. */
void hub_tick(struct hub *hub);
void hub_free(struct hub *hub); /* the pool runs no more */

/* What a stream of events is for. */
struct hub_filter {
	char job[JOB_ID_SIZE];            /* "": all of the caller's */
	char after[QUEUE_CURSOR_SIZE];    /* what came behind that too; "": from now on */
	bool quiet;                       /* without progress and pictures */
};
/* The stream is the hub's until hub_leave(), when the client has gone. */
void hub_join(struct hub *hub, struct call *call, const struct hub_filter *filter);
void hub_leave(struct hub *hub, struct call *call);
size_t hub_streams(const struct hub *hub);
/* Ends the streams of those who may not listen any more. */
void hub_sift(struct hub *hub, bool (*may)(void *context, const struct caller *caller), void *context);

#endif
