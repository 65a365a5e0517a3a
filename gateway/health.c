/* Whether the gateway lives, and whether it is of any use. */
#include <stdlib.h>

#include "gateway/handlers.h"

void health_live(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200, json_pack("{s:s}", "status", "ok"));
}

/* Says no more than that: it is open to everybody. */
void health_ready(struct call *call, struct worker *w)
{
	struct queue *queue;
	struct queue_worker_info *workers = NULL;
	struct error err;
	size_t count = 0;
	int status = worker_queue(w, &queue, &err);
	if (!status)
		status = queue_workers(queue, &workers, &count, &err);
	free(workers);
	if (status)
		call_refuse(call, 503, NULL, "the queue does not answer");
	else if (!count)
		call_refuse(call, 503, NULL, "no worker lives");
	else
		call_json(call, 200, json_pack("{s:s}", "status", "ok"));
}
