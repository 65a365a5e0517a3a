/* Threads, a list of tasks to do, and a list of those that are done. */
#include "gateway/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "modalities/admission.h"
#include "storage/blobs.h"

enum { THREADS_MAX = 16, QUEUE_MS = 2000, STORE_BUSY_MS = 2000 };

struct worker {
	struct pool *pool;
	pthread_t thread;
	struct queue *queue;
	struct store *store;
	struct admission admission;
	int64_t next_look; /* at what living workers hold; monotonic ms */
	dev_t device; /* of the database that is open: another may have taken its place */
	ino_t inode;
};

struct list {
	struct task *first, **last;
};

struct pool {
	const struct config *config;
	char url[FILES_PATH_MAX];
	struct worker workers[THREADS_MAX];
	int threads;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list todo, finished;
	bool stop;
	int bell; /* eventfd: something is finished */
	struct event *event;
};

static void append(struct list *l, struct task *t)
{
	t->next = NULL;
	*l->last = t;
	l->last = &t->next;
}

static struct task *take_all(struct list *l)
{
	struct task *first = l->first;
	*l = (struct list){NULL, &l->first};
	return first;
}

/* The store of a host whose files this process may not see says nothing. */
static enum queue_stored stored(void *context, const char *name)
{
	struct worker *w = context;
	struct store *store;
	struct error ignored;
	bool there;
	if (worker_store(w, &store, &ignored) || store_has(store, name, &there, &ignored))
		return QUEUE_MAY_BE_STORED;
	return there ? QUEUE_STORED : w->pool->config->redis[0] ? QUEUE_MAY_BE_STORED : QUEUE_NOT_STORED;
}

int worker_queue(struct worker *w, struct queue **queue, struct error *err)
{
	struct queue_options options = {.url = w->pool->url,
					.prefix = w->pool->config->prefix,
					.command_ms = QUEUE_MS,
					.patience_ms = -1,
					.max_attempts = (int)w->pool->config->max_attempts,
					.stored = stored,
					.stored_context = w};
	int status = w->queue ? SUMI_OK : queue_open(&options, &w->queue, err);
	*queue = w->queue;
	return status;
}

int worker_store(struct worker *w, struct store **store, struct error *err)
{
	struct store_options options = {
	    .dir = w->pool->config->state_dir, .mode = STORE_READ, .busy_ms = STORE_BUSY_MS};
	char path[FILES_PATH_MAX];
	struct stat st = {0};
	int status = files_path(path, err, "%s/sumi.db", options.dir);
	if (status)
		return status;
	bool there = stat(path, &st) == 0;
	if (w->store && (!there || st.st_ino != w->inode || st.st_dev != w->device)) {
		store_close(w->store);
		w->store = NULL;
	}
	if (!w->store)
		status = store_open(&options, &w->store, err);
	w->device = st.st_dev;
	w->inode = st.st_ino;
	*store = w->store;
	return status;
}

const struct config *worker_config(const struct worker *w)
{
	return w->pool->config;
}

/* A pack may lie where the daemon may look and the gateway may not: what living workers have is there, and what it
 * can do is theirs to say. */
static int admit(struct worker *w, const struct job *job, struct error *err)
{
	struct admission *a = &w->admission;
	struct queue *queue;
	struct error ignored;
	bool served = false, shared = a->config->redis[0], seen = admission_pack(a, job) != NULL;
	a->others = shared || !seen;
	int status = admission_check(a, job, err);
	a->others = shared;
	if (!status && !seen)
		status = admission_installed(a, job, err);
	if (status == SUMI_NOTFOUND && !seen && !worker_queue(w, &queue, &ignored) &&
	    !queue_served(queue, job->modality, job->model, &served, &ignored) && served)
		return SUMI_OK;
	return status;
}

/* Largest device of a living worker, anew every few seconds. */
static void look_for_room(struct worker *w)
{
	struct admission *a = &w->admission;
	struct queue *queue;
	struct error ignored;
	if (!worker_queue(w, &queue, &ignored))
		queue_look_for_room(queue, clock_mono_us() / 1000, &w->next_look, &a->memory, a->device, sizeof a->device);
}

int worker_links(struct worker *w, struct job *job, queue_coming *coming, void *context, struct error *err)
{
	struct queue *queue;
	struct error ignored;
	int status = worker_queue(w, &queue, &ignored) ? SUMI_OK : queue_sources_check(queue, job, coming, context, err);
	if (!status)
		status = admission_strength(&w->admission, job, err);
	if (status == SUMI_NOTFOUND) /* it is the job that names what is not there */
		err->status = status = SUMI_INVALID;
	return status;
}

int worker_admit(struct worker *w, const struct job *job, struct error *err)
{
	struct admission *a = &w->admission;
	bool fresh = !a->listed;
	a->config = w->pool->config;
	look_for_room(w);
	int status = admit(w, job, err);
	if (!status)
		return status;
	/* Nothing is refused by an old list; and where no pack can be seen it is all left to the daemon. */
	if (!fresh)
		admission_free(a);
	if (!admission_packs(a))
		return SUMI_OK;
	status = admit(w, job, err);
	/* It is the job that names what is not there. */
	if (status == SUMI_NOTFOUND)
		err->status = status = SUMI_INVALID;
	return status;
}

static void *work(void *context)
{
	struct worker *w = context;
	struct pool *p = w->pool;
	uint64_t one = 1;
	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		struct task *t = p->todo.first;
		if (!t) {
			pthread_cond_wait(&p->more, &p->lock);
			continue;
		}
		p->todo.first = t->next;
		if (!t->next)
			p->todo.last = &p->todo.first;
		pthread_mutex_unlock(&p->lock);
		t->run(t, w);
		pthread_mutex_lock(&p->lock);
		append(&p->finished, t);
		if (write(p->bell, &one, sizeof one) < 0)
			log_error("pool.bell", "error=\"cannot ring\"");
	}
	pthread_mutex_unlock(&p->lock);
	queue_close(w->queue);
	store_close(w->store);
	admission_free(&w->admission);
	return NULL;
}

static void on_bell(evutil_socket_t fd, short what, void *context)
{
	struct pool *p = context;
	uint64_t count;
	(void)what;
	if (read(fd, &count, sizeof count) < 0)
		return;
	pthread_mutex_lock(&p->lock);
	struct task *t = take_all(&p->finished);
	pthread_mutex_unlock(&p->lock);
	for (struct task *next; t; t = next) {
		next = t->next;
		t->done(t);
	}
}

int pool_new(struct event_base *base, const struct config *config, const char *queue_url, int threads,
	     struct pool **out, struct error *err)
{
	struct pool *p = calloc(1, sizeof *p);
	sigset_t all, old;
	*out = NULL;
	if (!p)
		return error_set(err, SUMI_NOMEM, "out of memory");
	p->config = config;
	p->todo.last = &p->todo.first;
	p->finished.last = &p->finished.first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	int status = files_path(p->url, err, "%s", queue_url);
	p->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!status && p->bell < 0)
		status = error_errno(err, "eventfd");
	p->event = status ? NULL : event_new(base, p->bell, EV_READ | EV_PERSIST, on_bell, p);
	if (!status && (!p->event || event_add(p->event, NULL)))
		status = error_set(err, SUMI_NOMEM, "out of memory");
	/* Signals are the event loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	for (; !status && p->threads < threads && p->threads < THREADS_MAX; p->threads++) {
		p->workers[p->threads].pool = p;
		if (pthread_create(&p->workers[p->threads].thread, NULL, work,
				   &p->workers[p->threads]))
			status = error_errno(err, "starting a thread");
		if (status)
			break;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (status)
		pool_free(p);
	else
		*out = p;
	return status;
}

void pool_add(struct pool *p, struct task *task)
{
	pthread_mutex_lock(&p->lock);
	append(&p->todo, task);
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

static void drop_all(struct task *t)
{
	for (struct task *next; t; t = next) {
		next = t->next;
		if (t->drop)
			t->drop(t);
	}
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < p->threads; i++)
		pthread_join(p->workers[i].thread, NULL);
	drop_all(p->todo.first);
	drop_all(p->finished.first);
	if (p->event)
		event_free(p->event);
	if (p->bell >= 0)
		close(p->bell);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
