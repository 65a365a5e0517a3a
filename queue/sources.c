/* Files that a job names, sought where they may lie. */
#include "queue/sources.h"

#include <string.h>

#include "queue/inputs.h"
#include "queue/internal.h"
#include "request/files.h"

void queue_result_told(struct queue *queue, const struct result_name *r, char sha256[SHA256_HEX_SIZE])
{
	struct queue_entry entry;
	struct error ignored;
	json_t *files, *file;
	size_t i, k;
	*sha256 = '\0';
	if (!job_id_valid(r->job) || queue_get(queue, r->job, &entry, &ignored))
		return;
	long left = r->number > 0 ? r->number : 1;
	json_array_foreach(entry.variant_results, i, files)
	{
		json_array_foreach(files, k, file)
		{
			const char *role = json_string_value(json_object_get(file, "role"));
			const char *name = json_string_value(json_object_get(file, "sha256"));
			json_int_t variant = json_integer_value(json_object_get(file, "variant"));
			bool fits = !r->variant || (variant == r->variant - 1 && role &&
						    strcmp(role, r->role) == 0);
			if (fits && name && --left == 0 && !sha256_is_name(name, sha256))
				sha256[0] = '\0';
		}
	}
	queue_entry_clear(&entry);
}

static bool waits_for(const struct job *job, const char *id)
{
	for (size_t i = 0; i < job->after.count; i++)
		if (strcmp(job->after.at[i], id) == 0)
			return true;
	return false;
}

/* As if the sender had said so. A job that waits for as many as it may is left as it is. */
static int wait_for(struct job *job, const char *id, struct error *err)
{
	json_t *after = json_array();
	if (waits_for(job, id) || job->after.count >= PARAM_LIST_MAX)
		return json_decref(after), SUMI_OK;
	for (size_t i = 0; i < job->after.count; i++)
		json_array_append_new(after, json_string(job->after.at[i]));
	json_array_append_new(after, json_string(id));
	return job_set(job, "after", after, err);
}

static int check_hash(struct queue *queue, const struct request_file *f, const char *sha256, struct error *err)
{
	struct error ignored;
	bool there = true;
	if (queue_input_there(queue, sha256, &there, &ignored) || there ||
	    queue->stored(queue->stored_context, f->value) != QUEUE_NOT_STORED)
		return SUMI_OK;
	return error_set(err, SUMI_NOTFOUND,
			 "%s: %s is neither in the queue nor on this host: send the file, and then the job", f->name, sha256);
}

static int check_result(struct queue *queue, struct job *job, const struct request_file *f, queue_coming *coming,
			void *context, struct error *err)
{
	enum queue_stored stored = queue->stored(queue->stored_context, f->value);
	const char *ended = NULL;
	struct result_name r, last = {0};
	struct error ignored;
	for (int way = 0; way < RESULT_NAME_WAYS && stored != QUEUE_STORED; way++) {
		char sha256[SHA256_HEX_SIZE];
		int state = -1;
		if (!result_name_read(f->value, way, &r) || !job_id_valid(r.job))
			continue;
		if (waits_for(job, r.job) || queue_state(queue, r.job, &state, &ignored))
			return SUMI_OK;
		if (state < 0 ? coming && coming(context, r.job) : !job_state_is_final((enum job_state)state))
			return wait_for(job, r.job, err);
		queue_result_told(queue, &r, sha256);
		if (*sha256)
			return SUMI_OK;
		if (state >= 0) {
			ended = job_state_word((enum job_state)state);
			last = r;
		}
	}
	if (stored != QUEUE_NOT_STORED)
		return SUMI_OK;
	if (ended)
		return error_set(err, SUMI_NOTFOUND, "%s: job %s is %s and has no result '%.140s'", f->name, last.job, ended,
				 f->value);
	return error_set(err, SUMI_NOTFOUND,
			 "%s: there is no result '%.140s', and nobody has sent a job of that name: send it first, or name "
			 "its id in 'after'",
			 f->name, f->value);
}

int queue_source_check(struct queue *queue, struct job *job, const struct request_file *f, queue_coming *coming,
		       void *context, struct error *err)
{
	char sha256[SHA256_HEX_SIZE];
	if (!queue->stored || strchr(f->value, '/'))
		return SUMI_OK;
	return sha256_is_name(f->value, sha256) ? check_hash(queue, f, sha256, err)
						: check_result(queue, job, f, coming, context, err);
}

int queue_sources_check(struct queue *queue, struct job *job, queue_coming *coming, void *context, struct error *err)
{
	struct request_file f;
	int status = SUMI_OK;
	for (size_t i = 0; !status && request_file(&job->request, i, &f); i++)
		status = queue_source_check(queue, job, &f, coming, context, err);
	return status;
}
