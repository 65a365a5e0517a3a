/* Recurring jobs: the next occurrence of one that has ended. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/schedule.h"
#include "queue/internal.h"

/* Changes a job that has ended into its next occurrence. */
static int next_occurrence(struct job *job, int64_t created_ms, bool draw, struct error *err)
{
	char id[JOB_ID_SIZE], stamp[32], time[CLOCK_TEXT_SIZE];
	int64_t before = job->not_before ? job->not_before : created_ms, next;
	if (!job->every || !job->id)
		return error_set(err, SUMI_CORRUPT, "the job says nothing of a next one");
	int status = schedule_every_next(job->every, job->tz ? job->tz : "UTC", before,
					 clock_wall_ms(), &next, err);
	if (status)
		return status;
	clock_text(next, time); /* 2026-11-22T22:00:00.000Z → 20261122T220000Z */
	snprintf(stamp, sizeof stamp, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", time, time + 5, time + 8,
		 time + 11, time + 14, time + 17);
	snprintf(id, sizeof id, "%.*s.%s", (int)job_series_length(job->id), job->id, stamp);
	int64_t deadline = job->deadline ? job->deadline - before + next : 0;
	if (deadline) { /* first, so that it is never before not_before */
		char text[CLOCK_TEXT_SIZE];
		clock_text(deadline, text);
		status = job_set(job, "deadline", json_string(text), err);
	}
	if (status == SUMI_OK)
		status = job_set(job, "not_before", json_string(time), err);
	if (status == SUMI_OK)
		status = job_set(job, "id", json_string(id), err);
	if (status == SUMI_OK && draw)
		status = job_set(job, "seed", json_integer(-1), err);
	return status;
}

/* A series that cannot go on is told, not dropped, and not tried for ever. */
static int recur_not(struct queue *queue, const char *id, const struct error *why, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	command_script(&command, queue, SCRIPT_REJECT);
	command_text(&command, "recur");
	command_text(&command, id);
	command_text(&command, id);
	command_format(&command, "next occurrence: %s", why->text);
	for (int i = 0; i < 3; i++) /* no text, modality, prompt */
		command_text(&command, "");
	command_text(&command, "operation");
	int status = script_call(queue, SCRIPT_REJECT, &command, &reply, err);
	freeReplyObject(reply);
	command_free(&command);
	return status;
}

int recur(struct queue *queue, const char *id, struct error *err)
{
	struct command command = {0};
	redisReply *reply = NULL;
	struct job job = {0};
	struct error why = {0}, failed = {0};
	command_text(&command, "HMGET");
	command_key(&command, queue, "job:", id);
	command_text(&command, "job");
	command_text(&command, "created");
	command_text(&command, "every");
	int status = link_call(queue, &command, &reply, &failed);
	command_free(&command);
	if (status == SUMI_CORRUPT)
		return recur_not(queue, id, &failed, err);
	if (status)
		return error_set(err, status, "%s", failed.text);
	const char *json = reply_text(reply_at(reply, 0));
	int made = job_parse_json(json, strlen(json), &job, &why);
	if (made == SUMI_OK)
		made = next_occurrence(&job, reply_int(reply_at(reply, 1)),
				       reply_is(reply_at(reply, 2), "draw"), &why);
	if (made == SUMI_OK)
		made = admit_command(queue, "recur", id, &job, &command, &why);
	freeReplyObject(reply);
	reply = NULL;
	if (made == SUMI_OK) {
		status = script_call(queue, SCRIPT_ADMIT, &command, &reply, &failed);
		freeReplyObject(reply);
	}
	command_free(&command);
	job_clear(&job);
	if (made != SUMI_OK || status == SUMI_CORRUPT)
		return recur_not(queue, id, made != SUMI_OK ? &why : &failed, err);
	return status ? error_set(err, status, "%s", failed.text) : SUMI_OK;
}
