/* One worker: claim, run, claim. */
#include "daemon/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/devices.h"
#include "daemon/execute.h"
#include "daemon/offer.h"
#include "daemon/room.h"
#include "daemon/settle.h"
#include "modalities/admission.h"
#include "modalities/modality.h"
#include "queue/private_redis.h"
#include "weights/packed.h"

enum {
	IDLE_LIMIT_MS = 60000,   /* an idle worker reports at least so often */
	START_LIMIT_MS = 600000, /* opening a device may compile its kernels */
	DOORBELL_MS = 1000,
	NO_SPACE_MS = 5000,
	LEAVE_MS = 5000, /* what a job that nobody wants may take to its next word */
	ADMIT_BATCH = 1000,
	REPEAT_SHARE = 16 /* part of its limit within which a report need not be repeated */
};

struct worker {
	const struct worker_options *options;
	struct queue_worker self;
	char name[QUEUE_NAME_SIZE], host[WORKER_HOST_SIZE];
	char (*classes)[sizeof((struct pack_info *)0)->name +
			sizeof((struct pack_info *)0)->modality];
	const char **class_names;
	struct device *device;
	struct queue *queue;
	struct store *store;
	struct beat *beat;
	struct seats *seats;
	struct packed_store *packed; /* NULL: packed weights are not kept */
	struct models *models;
	struct catalogue catalogue;
	struct admission admission;
	struct room_store stored;
	char trouble[512]; /* with the device; see queue_worker */
	pthread_mutex_t telling;   /* the heartbeat's thread tells too */
	struct worker_report told; /* to the supervisor, last; under that lock */
	int64_t told_ms;           /* when; monotonic; likewise */
	uint64_t generation;
	int64_t next_look;       /* at the devices that there are; monotonic ms */
	int64_t no_claims_until; /* monotonic ms */
	bool store_doubtful;     /* it is tried before the next claim */
};

static volatile sig_atomic_t drain;

static void on_drain(int signal)
{
	(void)signal;
	drain = 1;
}

/* The heartbeat's leave: what the process holds is as after a crash, which costs nothing but the loading of
 * a model. Its supervisor gives back what others wait for. */
static void leave(const char *id)
{
	log_info("job.left", "id=%s", id);
	_exit(WORKER_LEFT);
}

/* Called with the lock held. Each report wakes the supervisor, which takes a core from a job that is just
 * beginning. */
static void tell_supervisor(struct worker *w, const struct worker_report *r)
{
	int64_t now = clock_mono_us() / 1000;
	if (memcmp(r, &w->told, sizeof *r) == 0 && now - w->told_ms < r->limit_ms / REPEAT_SHARE)
		return;
	w->told = *r;
	w->told_ms = now;
	if (w->options->report_fd >= 0 &&
	    write(w->options->report_fd, r, sizeof *r) != (ssize_t)sizeof *r)
		drain = 1; /* the supervisor is gone */
}

static void report(void *context, int64_t limit_ms, const char *text)
{
	struct worker *w = context;
	struct worker_report r = {.limit_ms = limit_ms};
	snprintf(r.text, sizeof r.text, "%s", text);
	pthread_mutex_lock(&w->telling);
	tell_supervisor(w, &r);
	pthread_mutex_unlock(&w->telling);
}

/* The heartbeat's alive: what was reported holds still. */
static void still_at_it(void *context)
{
	struct worker *w = context;
	pthread_mutex_lock(&w->telling);
	struct worker_report r = w->told;
	tell_supervisor(w, &r);
	pthread_mutex_unlock(&w->telling);
}

static uint64_t work_done(void *context)
{
	return device_done(((struct worker *)context)->device);
}

void worker_name(long supervisor, int index, char name[QUEUE_NAME_SIZE],
		 char host[WORKER_HOST_SIZE])
{
	if (gethostname(host, WORKER_HOST_SIZE) != 0)
		strcpy(host, "host");
	host[WORKER_HOST_SIZE - 1] = '\0';
	for (char *p = host; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
			    *p))
			*p = '-';
	/* Several daemons may share a host: the supervisor's process tells them apart. */
	snprintf(name, QUEUE_NAME_SIZE, "%s.%ld.%d", host, supervisor, index);
}

/* "image/ink" for every pack, and "image/" once for the one that jobs without a model get. A
 * pack of a modality that this build cannot make is left out. */
static int make_classes(struct worker *w, struct error *err)
{
	const struct catalogue *c = &w->catalogue;
	const struct pack_info *def;
	struct error ignored;
	size_t n = 0, room = (size_t)c->count * 2 + MODALITIES;
	w->classes = calloc(room, sizeof *w->classes);
	w->class_names = calloc(room, sizeof *w->class_names);
	if (!w->classes || !w->class_names)
		return error_set(err, SUMI_NOMEM, "out of memory");
	/* What needs no pack is anybody's. */
	for (int i = MODALITIES_OF_PACKS; i < MODALITIES; i++)
		snprintf(w->classes[n++], sizeof *w->classes, "%s/", modality_names[i]);
	for (int i = 0; i < c->count && n + 2 <= QUEUE_MAX_CLASSES; i++) {
		const struct pack_info *p = &c->packs[i];
		const struct modality *m = modality_find(p->modality);
		if (!m || m->packless) {
			log_warn("model.unusable", "model=%s error=\"this sumi cannot make '%s'\"",
				 p->name, p->modality);
			continue;
		}
		snprintf(w->classes[n++], sizeof *w->classes, "%s/%s", p->modality, p->name);
		if (!catalogue_default(c, w->options->config, p->modality, &def, &ignored) &&
		    def == p)
			snprintf(w->classes[n++], sizeof *w->classes, "%s/", p->modality);
	}
	if (n + 2 > QUEUE_MAX_CLASSES)
		log_warn("model.unusable", "error=\"of %d models a worker offers %d: put some "
					   "elsewhere\"",
			 c->count, (int)n);
	for (size_t i = 0; i < n; i++)
		w->class_names[i] = w->classes[i];
	w->self = (struct queue_worker){
	    .name = w->name,
	    .classes = w->class_names,
	    .class_count = n,
	    .device = w->device->info.name,
	    .host = w->host,
	    .pid = getpid(),
	    .trouble = w->trouble,
	    .figures.memory = (int64_t)w->device->info.memory,
	};
	return SUMI_OK;
}

/* Nothing falls back in silence: the log and `sumi status` say it. */
static void tell_health(struct worker *w)
{
	struct device_health health;
	device_health(&health);
	bool fell = strcmp(w->device->info.platform, "reference") == 0 &&
		    strcmp(w->options->config->devices, "auto") == 0;
	devices_tell_renewed();
	if (health.cache[0])
		log_warn("cache.elsewhere", "warning=\"%s\"", health.cache);
	if (fell)
		log_warn("device.scalar",
			 "warning=\"the scalar device is used, which is hundreds of times slower "
			 "than OpenCL\" reason=\"%s\"",
			 health.missing);
	if (fell)
		snprintf(w->trouble, sizeof w->trouble,
			 "hundreds of times slower than OpenCL, which has no device: %.400s",
			 health.missing);
	else
		snprintf(w->trouble, sizeof w->trouble, "%s", health.cache);
}

static void log_catalogue(const struct catalogue *c, const struct config *config)
{
	struct error err;
	for (int i = 0; i < c->count; i++)
		log_info("model.found", "model=%s modality=%s path=%s", c->packs[i].name,
			 c->packs[i].modality, c->packs[i].path);
	for (int i = 0; i < c->count; i++)
		if (c->packs[i].note[0])
			log_warn("model.note", "model=%s note=\"%s\"", c->packs[i].name,
				 c->packs[i].note);
	for (int i = 0; i < c->count; i++)
		if (c->packs[i].unread[0])
			log_warn("model.unread", "model=%s fields=\"%s\"", c->packs[i].name, c->packs[i].unread);
	for (int i = 0; i < c->problem_count; i++)
		log_warn("model.unusable", "error=\"%s\"", c->problems[i]);
	/* Jobs that name no model wait then, as those do that name one which is not there. */
	if (catalogue_check_defaults(c, config, &err))
		log_warn("model.default_missing", "error=\"%s\"", err.text);
}

static uint64_t model_memory(const struct worker *w)
{
	int64_t bytes = w->options->config->model_memory;
	return bytes ? (uint64_t)bytes : models_budget(&w->device->info);
}

/* The queue is the daemon's own: no other host has workers for it. */
static bool is_private(const struct worker *w)
{
	char url[FILES_PATH_MAX];
	struct error ignored;
	return private_redis_url(w->options->config->state_dir, url, &ignored) == SUMI_OK &&
	       strcmp(url, w->options->redis_url) == 0;
}

static int open_all(struct worker *w, struct error *err)
{
	const struct config *c = w->options->config;
	w->admission = (struct admission){.config = c, .others = !is_private(w), .deep = true};
	w->stored = (struct room_store){.store = &w->store, .others = !is_private(w)};
	struct queue_options queue = {.url = w->options->redis_url,
				      .prefix = c->prefix,
				      .max_attempts = (int)c->max_attempts,
				      .check = admission_ask,
				      .settle = admission_settle,
				      .check_context = &w->admission,
				      .stored = room_stored,
				      .stored_context = &w->stored};
	struct store_options store = {
	    .dir = c->state_dir,
	    .mode = STORE_WRITE,
	    .reserve = c->reserve_bytes ? c->reserve_bytes : -1,
	};
	int status;
	if ((status = packed_store_open(c->weight_cache_dir, (uint64_t)c->weight_cache_bytes,
					&w->packed, err)) ||
	    (status = queue_open(&queue, &w->queue, err)) ||
	    (status = store_open(&store, &w->store, err)) ||
	    (status = catalogue_read(c->packs, c->state_dir, &w->catalogue, err)) ||
	    (status = device_open(w->options->selector, &w->device, err)) ||
	    (status = models_new(w->device, w->packed, model_memory(w), &w->models, err)) ||
	    (status = make_classes(w, err)))
		return status;
	tell_health(w);
	log_catalogue(&w->catalogue, c);
	struct beat_options beat = {.queue = queue, .worker = &w->self, .lease_ms = c->lease_ms, .done = work_done,
				    .alive = still_at_it, .context = w};
	if ((status = seats_new(&beat, &w->seats, err)))
		return status;
	beat.leave = leave;
	beat.leave_ms = LEAVE_MS;
	return beat_start(&beat, &w->beat, err);
}

static void close_all(struct worker *w)
{
	struct error err;
	seats_free(w->seats);
	beat_stop(w->beat);
	if (w->queue && w->self.name && queue_worker_leave(w->queue, w->name, &err))
		log_warn("worker.leave", "error=\"%s\"", err.text);
	models_free(w->models);
	packed_store_close(w->packed);
	device_close(w->device);
	catalogue_free(&w->catalogue);
	store_close(w->store);
	queue_close(w->queue);
	admission_free(&w->admission);
	free(w->classes);
	free(w->class_names);
}

/* After a restart of Redis results that it may have forgotten are told once more, and models. */
static int settle(struct worker *w, struct error *err)
{
	w->generation = queue_generation(w->queue);
	offer_models(w->queue, &w->catalogue);
	return settle_pending(w->store, w->queue, w->name, err);
}

static bool may_claim(struct worker *w)
{
	struct error err;
	int64_t now = clock_mono_us() / 1000;
	if (now < w->no_claims_until)
		return false;
	int status = store_space(w->store, NULL, 0, &err);
	if (!status && w->store_doubtful)
		status = store_probe(w->store, &err);
	w->store_doubtful = status != SUMI_OK;
	if (status) {
		bool full = status == SUMI_FULL;
		beat_waits(w->beat, full ? QUEUE_WAITS_DISK : QUEUE_WAITS_STORE);
		log_error(full ? "disk.full" : "store.broken", "error=\"%s\"", err.text);
		w->no_claims_until = now + NO_SPACE_MS;
		return false;
	}
	beat_waits(w->beat, NULL);
	return true;
}

/* One claim and its job. SUMI_NOTFOUND: nothing to do. */
static int work_once(struct worker *w, struct error *err)
{
	struct queue_lease lease;
	if (!may_claim(w))
		return SUMI_NOTFOUND;
	int status = queue_claim(w->queue, &w->self, w->options->config->lease_ms, &lease, err);
	if (status)
		return status;
	struct executor x = {
	    .config = w->options->config,
	    .device = w->device,
	    .queue = w->queue,
	    .store = w->store,
	    .beat = w->beat,
	    .models = w->models,
	    .catalogue = &w->catalogue,
	    .worker = &w->self,
	    .seats = w->seats,
	    .drain = &drain,
	    .report = report,
	    .report_context = w,
	};
	enum execute_result result = execute_job(&x, &lease);
	queue_lease_clear(&lease);
	if (result == EXECUTE_NO_SPACE) {
		beat_waits(w->beat, QUEUE_WAITS_DISK);
		w->store_doubtful = true;
		w->no_claims_until = clock_mono_us() / 1000 + NO_SPACE_MS;
	}
	return result == EXECUTE_BROKEN
		   ? error_set(err, SUMI_DEVICE, "the device or the store failed: starting afresh")
		   : SUMI_OK;
}

static int serve(struct worker *w, struct error *err)
{
	while (!drain) {
		bool rang;
		struct queue_admitted admitted;
		int64_t now = clock_mono_us() / 1000;
		report(w, IDLE_LIMIT_MS, "idle");
		queue_look_for_room(w->queue, now, &w->next_look, &w->admission.memory, w->admission.device,
				    sizeof w->admission.device);
		int status = queue_admit(w->queue, ADMIT_BATCH, &admitted, err);
		if (!status && queue_generation(w->queue) != w->generation)
			status = settle(w, err);
		if (!status)
			status = work_once(w, err);
		if (status == SUMI_NOTFOUND) {
			models_unload_idle(w->models, now, w->options->config->idle_unload_ms);
			beat_figures(w->beat, 0, (int64_t)w->device->bytes_in_use);
			status = queue_doorbell(w->queue, DOORBELL_MS, &rang, err);
		}
		if (status == SUMI_CONNECT || status == SUMI_TIMEOUT || status == SUMI_FULL) {
			/* Away, or out of memory or disk: it comes back, a fresh worker would not
			 * help. */
			log_warn("redis.away", "error=\"%s\"", err->text);
			clock_sleep_ms(DOORBELL_MS);
		} else if (status) {
			return status;
		}
	}
	return SUMI_OK;
}

int worker_run(const struct worker_options *options, struct error *err)
{
	struct worker w = {.options = options, .store_doubtful = true, .telling = PTHREAD_MUTEX_INITIALIZER};
	char log_name[32];
	snprintf(log_name, sizeof log_name, "worker.%d", options->index);
	log_set_name(log_name);
	/* Without its supervisor a worker would write into a folder that another daemon takes over.
	 */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	worker_name((long)getppid(), options->index, w.name, w.host);
	report(&w, START_LIMIT_MS, "starting");
	int status = open_all(&w, err);
	/* Only now: until then it holds nothing, and compiling kernels may take minutes. */
	struct sigaction on_term = {.sa_handler = on_drain};
	sigaction(SIGTERM, &on_term, NULL);
	sigaction(SIGINT, &on_term, NULL);
	if (!status)
		status = settle(&w, err);
	if (!status) {
		log_info("worker.ready", "device=\"%s\" models=%d", w.device->info.name,
			 w.catalogue.count);
		status = serve(&w, err);
	}
	close_all(&w);
	return status;
}
