/* GET /events: what happens to the caller's jobs, as it happens. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/handlers.h"
#include "gateway/hub.h"

static bool is_cursor(const char *text)
{
	size_t a = strspn(text, "0123456789"), b = text[a] == '-' ? strspn(text + a + 1, "0123456789") : 0;
	return a && b && !text[a + 1 + b] && a <= 20 && b <= 20;
}

/* A page's EventSource says by a header where it was, when it comes again by itself. */
void events_open(struct call *call, struct worker *w)
{
	(void)w;
	bool ok = true;
	char *job = call_query(call, "job", &ok), *after = call_query(call, "after", &ok);
	char *previews = call_query(call, "previews", &ok);
	const char *last = head_value(&call->http->head, "last-event-id");
	struct hub_filter *filter = calloc(1, sizeof *filter);
	if (!last || !*last)
		last = after ? after : "";
	if (ok && job && (!job_id_valid(job) || strlen(job) > JOB_ID_MAX)) {
		call_refuse(call, 400, "job", "job must be the id of a job");
		ok = false;
	} else if (ok && *last && !is_cursor(last)) {
		call_refuse(call, 400, "after", "after, and Last-Event-ID, must be the id of an event");
		ok = false;
	}
	bool head = strcmp(call->http->head.method, "HEAD") == 0;
	if (ok && head) { /* what would come has no end */
		call_text(call, 200, "text/event-stream", calloc(1, 1), 0);
		http_header(&call->answer, "Cache-Control: no-store");
	}
	if (ok && filter && !head) {
		snprintf(filter->job, sizeof filter->job, "%s", job ? job : "");
		snprintf(filter->after, sizeof filter->after, "%s", last);
		filter->quiet = previews && strcmp(previews, "false") == 0;
		call->state = filter;
		call->streams = true;
	} else {
		free(filter);
	}
	free(job);
	free(after);
	free(previews);
}
