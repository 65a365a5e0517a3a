/* Names of requests lie in the queue, so that another gateway, and this one when it starts again, knows them. */
#include "gateway/once.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/ulid.h"

enum {
	NAME_SIZE = 41,
	NAMED_S = 7 * 86400, /* how long the name of a request is remembered */
	BROKEN_S = 900,      /* how long one may be sent again whose connection broke */
	EQUAL_MAX = 16       /* equal requests at once that are told apart */
};

/* Ids of jobs that a client of this gateway is waiting for. */
struct once {
	pthread_mutex_t lock;
	json_t *waited;
};

struct once *once_new(void)
{
	struct once *o = calloc(1, sizeof *o);
	if (!o)
		return NULL;
	pthread_mutex_init(&o->lock, NULL);
	o->waited = json_object();
	return o;
}

void once_free(struct once *o)
{
	if (!o)
		return;
	pthread_mutex_destroy(&o->lock);
	json_decref(o->waited);
	free(o);
}

static bool is_waited(struct once *o, const char *id)
{
	pthread_mutex_lock(&o->lock);
	bool there = json_object_get(o->waited, id) != NULL;
	pthread_mutex_unlock(&o->lock);
	return there;
}

/* Several may wait for one job. */
static void count_waiting(struct once *o, const char *id, int by)
{
	pthread_mutex_lock(&o->lock);
	json_int_t n = json_integer_value(json_object_get(o->waited, id)) + by;
	if (n > 0)
		json_object_set_new(o->waited, id, json_integer(n));
	else
		json_object_del(o->waited, id);
	pthread_mutex_unlock(&o->lock);
}

static void wait_for(struct call *call, const char *id)
{
	struct once *o = call->shared->once;
	count_waiting(o, id, 1);
	once_leave(o, call);
	snprintf(call->waited, sizeof call->waited, "%s", id);
}

/* The first hex digits of the SHA-256 of some texts. */
static void hash_texts(char out[NAME_SIZE], const char *const *texts, size_t count)
{
	char sha256[SHA256_HEX_SIZE], *all = NULL;
	size_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += strlen(texts[i]) + 1;
	if ((all = malloc(size + 1))) {
		size = 0;
		for (size_t i = 0; i < count; i++) {
			memcpy(all + size, texts[i], strlen(texts[i]) + 1);
			size += strlen(texts[i]) + 1;
		}
	}
	sha256_hex(all ? all : "", all ? size : 0, sha256);
	free(all);
	snprintf(out, NAME_SIZE, "%.40s", sha256);
}

/* What is asked for, however the body says it: a form's boundaries differ each time. */
static void hash_jobs(const struct job *jobs, size_t count, char out[NAME_SIZE])
{
	json_t *all = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append(all, jobs[i].fields);
	char *text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
	hash_texts(out, (const char *const[]){text ? text : ""}, 1);
	free(text);
	json_decref(all);
}

static bool refuse(struct call *call, const struct error *err)
{
	call_fail(call, err);
	return false;
}

/* The name of the request, or "". */
static bool named(struct call *call, struct queue *queue, const struct job *jobs, size_t count,
		  char name[NAME_SIZE], bool *known)
{
	const char *key = head_value(&call->http->head, "idempotency-key");
	char said[NAME_SIZE], held[SHA256_HEX_SIZE], memory[NAME_SIZE + 8];
	struct error err;
	*name = '\0';
	if (!key)
		return true;
	if (!*key || strlen(key) > 255) {
		call_refuse(call, 400, NULL, "Idempotency-Key must have 1 to 255 characters");
		return false;
	}
	hash_texts(name, (const char *const[]){call->caller.name, call->route->path, key}, 3);
	hash_jobs(jobs, count, said);
	snprintf(memory, sizeof memory, "named:%s", name);
	bool made;
	if (queue_remember(queue, memory, said, NAMED_S, held, sizeof held, &made, &err))
		return refuse(call, &err);
	*known = !made;
	if (strcmp(held, said) == 0)
		return true;
	call_refuse(call, 422, NULL, "this Idempotency-Key was sent with another request before");
	return false;
}

static bool set_id(struct call *call, struct job *job, const char *id)
{
	struct error err;
	return job_set(job, "id", json_string(id), &err) == SUMI_OK || refuse(call, &err);
}

/* A place among equal requests: a free one is a new job; one that nobody here waits for, or that is
 * tried again, is that job. */
static bool take_place(struct call *call, struct queue *queue, struct job *job, bool *known)
{
	const char *retry = head_value(&call->http->head, "x-stainless-retry-count");
	bool again = retry && atoi(retry) > 0;
	struct once *o = call->shared->once;
	char what[NAME_SIZE], hash[NAME_SIZE], id[ULID_SIZE], held[JOB_ID_SIZE];
	struct error err;
	hash_jobs(job, 1, what);
	hash_texts(hash, (const char *const[]){call->caller.name, call->route->path, what}, 3);
	ulid_new(id);
	/* Before anybody can find it there. */
	wait_for(call, id);
	for (int i = 0; i < EQUAL_MAX; i++) {
		bool made;
		snprintf(call->place, sizeof call->place, "equal:%s:%d", hash, i);
		if (queue_remember(queue, call->place, id, BROKEN_S, held, sizeof held, &made, &err))
			return refuse(call, &err);
		*known = !made && job_id_valid(held);
		if (made)
			return set_id(call, job, id);
		if (*known && (again || !is_waited(o, held))) {
			wait_for(call, held);
			return set_id(call, job, held);
		}
	}
	call->place[0] = '\0';
	*known = false;
	return set_id(call, job, id);
}

bool once_name(struct call *call, struct worker *w, struct job *job, bool attach, bool *known)
{
	char name[NAME_SIZE], id[ULID_SIZE];
	struct queue *queue;
	*known = job->id != NULL;
	if (job->id)
		return true;
	if (!call_queue(call, w, &queue) || !named(call, queue, job, 1, name, known))
		return false;
	if (*name ? !set_id(call, job, name) : attach && !take_place(call, queue, job, known))
		return false;
	if (!job->id) {
		ulid_new(id);
		if (!set_id(call, job, id))
			return false;
	}
	return true;
}

bool once_name_list(struct call *call, struct worker *w, struct job *jobs, size_t count, bool *known)
{
	char name[NAME_SIZE], id[NAME_SIZE + 24];
	struct queue *queue;
	*known = false;
	if (!call_queue(call, w, &queue) || !named(call, queue, jobs, count, name, known))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (jobs[i].id)
			continue;
		snprintf(id, sizeof id, "%s-%zu", name, i + 1);
		if (!*name)
			ulid_new(id);
		if (!set_id(call, &jobs[i], id))
			return false;
	}
	return true;
}

void once_hold(struct call *call, struct worker *w)
{
	struct queue *queue;
	struct error ignored;
	if (*call->place && worker_queue(w, &queue, &ignored) == SUMI_OK)
		queue_remember_longer(queue, call->place, BROKEN_S, &ignored);
}

void once_answered(struct call *call, struct worker *w)
{
	struct queue *queue;
	struct error ignored;
	if (*call->place && worker_queue(w, &queue, &ignored) == SUMI_OK)
		queue_remember_longer(queue, call->place, 0, &ignored);
	call->place[0] = '\0';
}

void once_leave(struct once *o, struct call *call)
{
	if (*call->waited)
		count_waiting(o, call->waited, -1);
	call->waited[0] = '\0';
}
