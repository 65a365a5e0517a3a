/* The heartbeat thread. */
#include "daemon/beat.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

enum {
	WORKER_BEAT_MS = 4000, /* of the worker's own sign of life */
	HEAR_MS = 2000,        /* of a job whose lease would let it be silent for longer: it may be cancelled */
	PROGRESS_BEAT_MS = 200 /* steps that follow each other faster share one beat */
};

struct beat {
	struct beat_options options;
	struct queue *queue;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	/* everything below: under lock */
	bool stop, busy, lost, news;
	int64_t unwanted_ms;      /* boot clock: since when nobody wants the job; 0: somebody does */
	bool unsaid;              /* waits is another than was told */
	const char *waits;
	struct queue_figures figures; /* memory is the worker's to say */
	bool sending;             /* a beat of the present lease is on its way */
	struct queue_lease lease; /* id, token, worker and lease_ms only */
	struct queue_progress progress;
	int64_t deadline_ms; /* boot clock: no progress until then is a hang */
	int64_t limit_ms;    /* for how long it may be silent */
	uint64_t done;       /* options.done when it was asked last */
	enum queue_hint hint;
};

static void wait_ms(struct beat *b, int64_t ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	pthread_cond_timedwait(&b->wake, &b->lock, &t);
}

/* Called and returns with the lock held; lets go of it while Redis is asked. */
static void beat_job(struct beat *b)
{
	struct queue_lease lease = b->lease;
	struct queue_progress progress = b->progress;
	bool tell = b->news;
	enum queue_hint hint = QUEUE_GO_ON;
	struct error err = {0};
	b->news = false;
	b->sending = true;
	pthread_mutex_unlock(&b->lock);
	int status = queue_beat(b->queue, &lease, tell ? &progress : NULL, &hint, &err);
	pthread_mutex_lock(&b->lock);
	b->sending = false;
	pthread_cond_broadcast(&b->wake);
	if (!b->busy || strcmp(b->lease.token, lease.token) != 0)
		return;
	if (status == SUMI_OK)
		b->hint = hint;
	else if (status == SUMI_LOST)
		b->lost = true;
	else
		log_warn("beat.failed", "id=%s error=\"%s\"", lease.id, err.text);
	if (!b->unwanted_ms && (b->lost || b->hint == QUEUE_STOP_CANCEL))
		b->unwanted_ms = clock_boot_ms();
}

/* A step of a large picture takes minutes, and a device is not told to stop within one. */
static void leave_unwanted(struct beat *b)
{
	if (b->busy && b->unwanted_ms && b->options.leave &&
	    clock_boot_ms() - b->unwanted_ms >= b->options.leave_ms)
		b->options.leave(b->lease.id);
}

/* A step of a large picture on a slow device takes hours. */
static void see_work(struct beat *b, int64_t now)
{
	uint64_t done = b->busy && b->options.done ? b->options.done(b->options.context) : b->done;
	if (done == b->done)
		return;
	b->done = done;
	if (b->deadline_ms < now + b->limit_ms)
		b->deadline_ms = now + b->limit_ms;
	if (b->options.alive)
		b->options.alive(b->options.context);
}

static void *beat_main(void *context)
{
	struct beat *b = context;
	int64_t next_worker = 0, next_job = 0;
	pthread_mutex_lock(&b->lock);
	while (!b->stop) {
		int64_t now = clock_boot_ms();
		see_work(b, now);
		if (b->busy && !b->lost && (b->news || now >= next_job) && now < b->deadline_ms) {
			beat_job(b);
			next_job = now + (b->options.lease_ms / 3 < HEAR_MS ? b->options.lease_ms / 3 : HEAR_MS);
		}
		leave_unwanted(b);
		if ((now >= next_worker || b->unsaid) && !b->options.seat) {
			struct error err;
			struct queue_worker worker = *b->options.worker;
			worker.waits = b->waits;
			worker.figures.memory_used = b->figures.memory_used;
			worker.figures.steps = b->figures.steps;
			b->unsaid = false;
			pthread_mutex_unlock(&b->lock);
			if (queue_worker_beat(b->queue, &worker, &err))
				log_warn("beat.failed", "error=\"%s\"", err.text);
			pthread_mutex_lock(&b->lock);
			next_worker = now + WORKER_BEAT_MS;
		}
		if (!b->stop)
			wait_ms(b, b->busy && b->options.lease_ms / 3 < PROGRESS_BEAT_MS
				       ? b->options.lease_ms / 3
				       : PROGRESS_BEAT_MS);
	}
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

int beat_start(const struct beat_options *options, struct beat **out, struct error *err)
{
	struct beat *b = calloc(1, sizeof *b);
	if (!b)
		return error_set(err, SUMI_NOMEM, "out of memory");
	b->options = *options;
	int status = queue_open(&options->queue, &b->queue, err);
	if (status) {
		free(b);
		return status;
	}
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&b->lock, NULL);
	errno = pthread_create(&b->thread, NULL, beat_main, b);
	if (errno != 0) {
		status = error_errno(err, "starting the heartbeat thread");
		queue_close(b->queue);
		free(b);
		return status;
	}
	*out = b;
	return SUMI_OK;
}

void beat_stop(struct beat *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_broadcast(&b->wake);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->wake);
	queue_close(b->queue);
	free(b);
}

void beat_figures(struct beat *b, int steps, int64_t memory_used)
{
	pthread_mutex_lock(&b->lock);
	b->figures.steps += steps;
	b->figures.memory_used = memory_used;
	pthread_mutex_unlock(&b->lock);
}

void beat_waits(struct beat *b, const char *waits)
{
	pthread_mutex_lock(&b->lock);
	b->unsaid |= waits != b->waits &&
		       (!waits || !b->waits || strcmp(waits, b->waits) != 0);
	b->waits = waits;
	pthread_mutex_unlock(&b->lock);
}

void beat_lease(struct beat *b, const struct queue_lease *lease, int64_t limit_ms)
{
	pthread_mutex_lock(&b->lock);
	memset(&b->lease, 0, sizeof b->lease);
	strcpy(b->lease.id, lease->id);
	strcpy(b->lease.token, lease->token);
	strcpy(b->lease.worker, lease->worker);
	b->lease.lease_ms = lease->lease_ms;
	b->busy = true;
	b->lost = b->news = false;
	b->unwanted_ms = 0;
	b->hint = QUEUE_GO_ON;
	b->limit_ms = limit_ms;
	b->deadline_ms = clock_boot_ms() + limit_ms;
	pthread_mutex_unlock(&b->lock);
}

void beat_progress(struct beat *b, const struct queue_progress *progress, int64_t limit_ms)
{
	pthread_mutex_lock(&b->lock);
	b->progress = *progress;
	b->news = true;
	if (b->unwanted_ms) /* it comes to an end by itself */
		b->unwanted_ms = clock_boot_ms();
	b->limit_ms = limit_ms;
	b->deadline_ms = clock_boot_ms() + limit_ms;
	pthread_mutex_unlock(&b->lock);
}

enum queue_hint beat_hint(struct beat *b, bool *lost)
{
	pthread_mutex_lock(&b->lock);
	enum queue_hint hint = b->hint;
	*lost = b->lost;
	pthread_mutex_unlock(&b->lock);
	return hint;
}

void beat_release(struct beat *b)
{
	pthread_mutex_lock(&b->lock);
	b->busy = false;
	while (b->sending)
		pthread_cond_wait(&b->wake, &b->lock);
	pthread_mutex_unlock(&b->lock);
}
