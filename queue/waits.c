/* Why jobs wait. Changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/internal.h"

/* Redis says of itself whether it takes writes, so that this can be told where it does not. */
static int ask_server(struct queue *queue, char out[64], struct error *err)
{
	struct queue_server server;
	int status = queue_server(queue, &server, err);
	const char *why = "";
	if (status)
		return status;
	if (strcmp(server.role, "master") != 0)
		why = QUEUE_REFUSES_REPLICA;
	else if ((server.aof && !server.aof_ok) || (!server.rdb_ok && server.stops_at_failed_save))
		why = QUEUE_REFUSES_DISK;
	else if (server.max_memory && server.used_memory >= server.max_memory)
		why = QUEUE_REFUSES_MEMORY;
	else if (link_refusal(queue))
		why = queue->refusal;
	snprintf(out, 64, "%s", why);
	return SUMI_OK;
}

static int ask_workers(struct queue *queue, char out[64], struct error *err)
{
	struct queue_worker_info *workers;
	size_t count, waiting = 0;
	int status = queue_workers(queue, &workers, &count, err);
	if (status)
		return status;
	for (size_t i = 0; i < count; i++)
		waiting += *workers[i].waits != '\0';
	if (count && waiting == count)
		snprintf(out, 64, "%s", workers[0].waits);
	free(workers);
	return SUMI_OK;
}

int queue_troubles(struct queue *queue, struct queue_troubles *troubles, struct error *err)
{
	memset(troubles, 0, sizeof *troubles);
	int status = ask_server(queue, troubles->server, err);
	return status ? status : ask_workers(queue, troubles->workers, err);
}

void queue_waits(const struct queue_troubles *troubles, const struct queue_entry *entry,
		 char out[QUEUE_WAITS_SIZE])
{
	const char *why = "";
	if (job_state_is_final(entry->state))
		why = "";
	else if (*troubles->server)
		why = troubles->server;
	else if (entry->state == JOB_READY && *troubles->workers)
		why = troubles->workers;
	else if (entry->state == JOB_READY)
		why = entry->held;
	snprintf(out, QUEUE_WAITS_SIZE, "%s", why);
}

int queue_state(struct queue *queue, const char *id, int *state, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	command_text(&command, "HGET");
	command_key(&command, queue, "job:", id);
	command_text(&command, "state");
	int status = link_call(queue, &command, &reply, err);
	command_free(&command);
	if (status == SUMI_OK)
		*state = job_state_from_word(reply_text(reply));
	freeReplyObject(reply);
	return status;
}

int queue_knows(struct queue *queue, const char *id, bool *known, struct error *err)
{
	int state = -1, status = queue_state(queue, id, &state, err);
	*known = state >= 0;
	return status;
}

/* "for job a", "for job a and 2 others" */
static void name_them(char out[QUEUE_WAITS_SIZE], const char *first, size_t count, const char *more)
{
	if (count > 1)
		snprintf(out, QUEUE_WAITS_SIZE, "for job %s and %zu other%s%s", first, count - 1,
			 count > 2 ? "s" : "", more);
	else
		snprintf(out, QUEUE_WAITS_SIZE, "for job %s%s", first, more);
}

int queue_waits_after(struct queue *queue, const struct job *job, char out[QUEUE_WAITS_SIZE],
		      struct error *err)
{
	const char *unknown = NULL, *waits = NULL;
	size_t unknowns = 0, waited = 0;
	*out = '\0';
	for (size_t i = 0; i < job->after.count; i++) {
		int state, status = queue_state(queue, job->after.at[i], &state, err);
		if (status)
			return status;
		if (state < 0 && !unknowns++)
			unknown = job->after.at[i];
		else if (state >= 0 && state != JOB_DONE && !waited++)
			waits = job->after.at[i];
	}
	if (unknown)
		name_them(out, unknown, unknowns,
			  ", which nobody has sent: fails unless that comes within a day");
	else if (waits)
		name_them(out, waits, waited, "");
	return SUMI_OK;
}
