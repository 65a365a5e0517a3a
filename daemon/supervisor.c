/* The supervisor's life: prepare, loop, drain. */
#include "daemon/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/changes.h"
#include "daemon/children.h"
#include "daemon/deliver.h"
#include "daemon/group.h"
#include "daemon/keep.h"
#include "daemon/notify.h"
#include "daemon/room.h"
#include "daemon/settle.h"
#include "modalities/admission.h"
#include "queue/inputs.h"
#include "queue/private_redis.h"
#include "queue/queue.h"
#include "storage/storage.h"

enum {
	TICK_MS = 250,
	REAP_MS = 1000,
	SETTLE_MS = 15000,
	TRIM_MS = 60000,
	COLLECT_MS = 3600000,
	WORD_MS = 5000, /* between two log lines that Redis is waited for */
	ORPHAN_AGE_MS = 3600000,
	REDIS_STOP_MS = 30000,
	STOP_EXTEND_US = 60000000, /* asked of systemd while a step is being finished */
	WARNING_SIZE = 512,
	THUMBS_AT_ONCE = 10
};

struct supervisor {
	const struct supervisor_options *options;
	struct config config;
	int lock_fd, signal_fd;
	bool private;
	struct private_redis redis;
	char url[FILES_PATH_MAX];
	struct queue *queue;
	struct store *store;
	struct children children;
	struct notifier *notifier;
	struct keeper keeper;
	struct changer changer;
	struct admission admission;
	struct room_store stored;
	bool draining;
	bool drained_before; /* when Redis was started */
	int64_t next_look, next_reap, next_settle, next_trim, next_collect, next_redis;
	int64_t thumbs_after;         /* of results that have none yet, this one was the last */
	int64_t next_feed, next_word; /* while Redis starts */
};

static int load_config(struct supervisor *s, struct config *config, struct error *err)
{
	int status = config_load(s->options->config_file, config, err);
	if (!status && s->options->state_dir)
		status = files_path(config->state_dir, err, "%s", s->options->state_dir);
	if (!status)
		status = files_make_absolute(config->state_dir, err);
	if (!status)
		log_set_level((enum log_level)log_level_from_word(config->log));
	return status;
}

/* One daemon a state directory: two would start two servers over one file. */
static int lock_state(struct supervisor *s, struct error *err)
{
	char path[FILES_PATH_MAX];
	int status = files_make_dirs(s->config.state_dir, 0750, err);
	if (!status)
		status = files_path(path, err, "%s/sumid.lock", s->config.state_dir);
	if (status)
		return status;
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (s->lock_fd < 0)
		return error_errno(err, "%s", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return error_set(err, SUMI_BUSY,
				 "another sumid serves %s: stop it, or give this one another "
				 "state_dir",
				 s->config.state_dir);
	return SUMI_OK;
}

static bool while_redis_starts(void *context);

static int start_redis(struct supervisor *s, struct error *err)
{
	struct private_redis_options options = {
	    .state_dir = s->config.state_dir, .waiting = while_redis_starts, .context = s};
	s->drained_before = s->draining;
	s->next_word = clock_mono_us() / 1000 + WORD_MS;
	int status = private_redis_start(&options, &s->redis, err);
	if (!status)
		log_info("redis.private", "socket=%s pid=%ld", s->redis.socket, (long)s->redis.pid);
	return status;
}

static int open_queue(struct supervisor *s, struct error *err)
{
	char warning[WARNING_SIZE];
	int status;
	s->private = s->config.redis[0] == '\0';
	if (s->private && (status = start_redis(s, err)))
		return status;
	status = files_path(s->url, err, "%s", s->private ? s->redis.url : s->config.redis);
	if (status)
		return status;
	s->admission = (struct admission){.config = &s->config, .others = !s->private, .deep = true};
	s->stored = (struct room_store){.store = &s->store, .others = !s->private};
	struct queue_options options = {.url = s->url,
					.prefix = s->config.prefix,
					.max_attempts = (int)s->config.max_attempts,
					.check = admission_ask,
					.settle = admission_settle,
					.check_context = &s->admission,
					.stored = room_stored,
					.stored_context = &s->stored};
	if ((status = queue_open(&options, &s->queue, err)) ||
	    (status = queue_check_server(s->queue, warning, sizeof warning, err)))
		return status;
	if (warning[0])
		log_warn("redis.settings", "warning=\"%s\"", warning);
	return SUMI_OK;
}

/* A full disk is a state to wait in, not a reason not to start. */
static void fill_ballast(struct supervisor *s)
{
	struct error err;
	if (store_ballast_fill(s->store, &err))
		log_warn("disk.ballast", "error=\"%s\"", err.text);
}

static int open_store(struct supervisor *s, struct error *err)
{
	struct store_options options = {
	    .dir = s->config.state_dir,
	    .mode = STORE_WRITE,
	    .reserve = s->config.reserve_bytes ? s->config.reserve_bytes : -1,
	};
	int status = store_open(&options, &s->store, err);
	if (!status)
		fill_ballast(s);
	return status;
}

static int open_signals(struct supervisor *s, struct error *err)
{
	static const int taken[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a write that is refused is told, also by the private Redis */
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signal_fd < 0 ? error_errno(err, "signalfd") : SUMI_OK;
}

static void reap(struct supervisor *s);

/* children.tell_end: a worker with a job has died; what it held waits for nobody. */
static bool tell_end(void *context, int index, enum queue_spare spare)
{
	struct supervisor *s = context;
	char name[QUEUE_NAME_SIZE], host[WORKER_HOST_SIZE];
	size_t held;
	struct error err;
	worker_name((long)getpid(), index, name, host);
	if (queue_worker_died(s->queue, name, GROUP_MAX - 1, spare, &held, &err)) {
		log_warn("worker.jobs", "worker=%s error=\"%s\"", name, err.text);
		return false;
	}
	if (held)
		log_info("worker.jobs", "worker=%s given_back=%zu spared=%d", name, held, spare != QUEUE_SPARE_NONE);
	if (held)
		reap(s);
	return true;
}

/* The lock file keeps what the workers of this state directory are named after. Who holds the lock
 * knows that those of the supervisor before have died with it: what they held waits for nobody. */
static void bury_former(struct supervisor *s)
{
	char text[QUEUE_NAME_SIZE] = "", name[QUEUE_NAME_SIZE], host[WORKER_HOST_SIZE];
	size_t held, all = 0;
	struct error err;
	ssize_t size = pread(s->lock_fd, text, sizeof text - 1, 0);
	size_t length = strcspn(text, "\n");
	text[length] = '\0';
	/* Room for the number of a worker: what is longer was never written here. */
	for (int i = 0; length && length < sizeof text - 8 && i < DEVICES_MAX; i++) {
		snprintf(name, sizeof name, "%s.%d", text, i);
		if (queue_worker_died(s->queue, name, GROUP_MAX - 1, QUEUE_SPARE_NONE, &held, &err)) {
			log_warn("worker.jobs", "worker=%s error=\"%s\"", name, err.text);
			break;
		}
		all += held;
	}
	if (all)
		log_info("worker.jobs", "worker=%s given_back=%zu", text, all);
	worker_name((long)getpid(), 0, name, host);
	size = snprintf(text, sizeof text, "%s.%ld\n", host, (long)getpid());
	/* A full disk: the jobs wait for their leases then, as those of an unknown worker do. */
	if (ftruncate(s->lock_fd, 0) || pwrite(s->lock_fd, text, (size_t)size, 0) != size)
		log_warn("lock.unnamed", "error=\"%s\"", strerror(errno));
}

static int prepare(struct supervisor *s, struct error *err)
{
	struct device_choice devices;
	int status;
	/* First: who is told to stop while he starts shall stop in order too. */
	if ((status = open_signals(s, err)) || (status = load_config(s, &s->config, err)) ||
	    (status = lock_state(s, err)) || (status = open_queue(s, err)) ||
	    (status = open_store(s, err)) ||
	    (status = devices_choose(s->config.devices, s->options->program, &devices, err)))
		return status;
	devices_warn(s->config.devices, s->options->program);
	children_init(&s->children, &devices);
	s->children.program = s->options->program;
	s->children.config_file = s->config.file[0] ? s->config.file : NULL;
	s->children.state_dir = s->config.state_dir;
	s->children.redis_url = s->url;
	s->children.tell_end = tell_end;
	s->children.context = s;
	s->children.lease_ms = s->config.lease_ms;
	bury_former(s);
	return SUMI_OK;
}

static void begin_drain(struct supervisor *s)
{
	if (s->draining) {
		log_warn("drain.impatient", "again=1");
		children_kill(&s->children);
		return;
	}
	log_info("drain", "workers=%d", s->children.count);
	s->draining = true;
	sd_notify(0, "STOPPING=1\nSTATUS=finishing the current step");
	children_drain(&s->children);
}

/* What can change without a restart of the supervisor: everything the workers read. */
static void reload(struct supervisor *s)
{
	struct config fresh;
	struct error err;
	if (load_config(s, &fresh, &err)) {
		log_error("reload.refused", "error=\"%s\"", err.text);
		return;
	}
	if (strcmp(fresh.redis, s->config.redis) != 0 ||
	    strcmp(fresh.state_dir, s->config.state_dir) != 0 ||
	    strcmp(fresh.prefix, s->config.prefix) != 0 ||
	    strcmp(fresh.devices, s->config.devices) != 0)
		log_warn("reload.partial",
			 "warning=\"redis, prefix, state_dir and devices change with a restart\"");
	s->config.lease_ms = s->children.lease_ms = fresh.lease_ms;
	s->config.keep_done_ms = fresh.keep_done_ms;
	s->config.keep_done_count = fresh.keep_done_count;
	s->config.keep_results = fresh.keep_results;
	s->keeper = (struct keeper){0};
	s->config.input_memory = fresh.input_memory;
	queue_set_max_attempts(s->queue, (int)fresh.max_attempts);
	/* Jobs are admitted by what the workers will have. */
	admission_free(&s->admission);
	memcpy(s->config.packs, fresh.packs, sizeof fresh.packs);
	memcpy(s->config.models, fresh.models, sizeof fresh.models);
	s->next_collect = 0; /* which tells the senders */
	log_info("reload", "file=%s", fresh.file);
	children_restart(&s->children);
}

static void take_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			begin_drain(s);
		else if (info.ssi_signo == SIGHUP && !s->draining)
			reload(s);
	}
}

/* Redis reads a million jobs for longer than systemd waits, and the workers go on. */
static bool while_redis_starts(void *context)
{
	struct supervisor *s = context;
	int64_t now = clock_mono_us() / 1000;
	if (now < s->next_feed)
		return true;
	s->next_feed = now + TICK_MS;
	take_signals(s);
	children_tick(&s->children, now);
	sd_notifyf(0, "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=%d\nSTATUS=waiting for Redis",
		   STOP_EXTEND_US);
	if (now >= s->next_word) {
		s->next_word = now + WORD_MS;
		log_info("redis.waits", "log=%s/redis/redis.log", s->config.state_dir);
	}
	/* In a drain Redis is wanted for as long as a worker has something to give back. */
	return !s->draining || (s->drained_before && children_any(&s->children));
}

static void keep_redis(struct supervisor *s, int64_t now)
{
	struct error err;
	pid_t pid = s->redis.pid;
	if (!s->private || now < s->next_redis || private_redis_alive(&s->redis))
		return;
	s->next_redis = now + REAP_MS;
	log_error("redis.died", "pid=%ld", (long)pid);
	int status = start_redis(s, &err);
	if (status && status != SUMI_CANCELLED)
		log_error("redis.restart", "error=\"%s\"", err.text);
}

static void reap(struct supervisor *s)
{
	struct queue_reaped r;
	struct queue_admitted admitted;
	struct error err;
	queue_look_for_room(s->queue, clock_mono_us() / 1000, &s->next_look, &s->admission.memory, s->admission.device,
			    sizeof s->admission.device);
	int status = queue_admit(s->queue, 1000, &admitted, &err);
	if (!status)
		status = queue_reap(s->queue, s->config.lease_ms, &r, &err);
	if (status)
		log_warn("reap.failed", "error=\"%s\"", err.text);
	else if (r.recovered || r.failed)
		log_info("reap", "recovered=%zu failed=%zu", r.recovered, r.failed);
}

static void trim(struct supervisor *s)
{
	size_t purged;
	struct error err;
	struct queue_trim_options options = {
	    .max_age_ms = s->config.keep_done_ms,
	    .max_count = s->config.keep_done_count,
	};
	if (queue_trim(s->queue, &options, &purged, &err))
		log_warn("trim.failed", "error=\"%s\"", err.text);
	else if (purged)
		log_info("trim", "purged=%zu", purged);
}

static void settle(struct supervisor *s)
{
	struct error err;
	if (settle_strays(s->store, s->queue, s->config.keep_done_ms, &err))
		log_warn("settle.failed", "error=\"%s\"", err.text);
}

/* A file that a waiting job starts from. What the queue does not say now is kept. */
static bool is_needed(void *context, const char *sha256)
{
	struct error ignored;
	bool used;
	return queue_inputs_used(context, (char *[]){(char *)sha256}, 1, &used, &ignored) || used;
}

/* While jobs lie in the intake, any blob may be what one starts from. */
static bool any_is_needed(void *context, const char *sha256)
{
	(void)context;
	(void)sha256;
	return true;
}

/* Removes what belongs to nobody. */
static void collect(struct supervisor *s, int64_t older_than_ms)
{
	struct queue_stats stats;
	struct store_collected c;
	struct error err;
	bool settled = queue_stats(s->queue, &stats, &err) == SUMI_OK && stats.intake == 0;
	struct store_needs needs = {settled ? is_needed : any_is_needed, s->queue};
	if (store_collect(s->store, older_than_ms, &needs, &c, &err)) {
		log_warn("collect.failed", "error=\"%s\"", err.text);
		return;
	}
	if (c.temps || c.orphans || c.thumbs || c.blobs)
		log_info("collect", "temps=%d orphans=%d thumbs=%d blobs=%d bytes=%lld", c.temps, c.orphans, c.thumbs,
			 c.blobs, (long long)c.bytes);
	if (c.kept)
		log_warn("store.strays", "files=%d error=\"files of jobs that the database does not know: it was lost, or is an "
			 "older one; stop sumid and run sumi db rebuild, which brings them back\"", c.kept);
}

/* The same of files in the queue that jobs start from. */
static void sweep_inputs(struct supervisor *s)
{
	struct error err;
	size_t dropped = 0;
	int status = queue_inputs_limit(s->queue, s->config.input_memory, &err);
	if (!status)
		status = queue_inputs_sweep(s->queue, &dropped, &err);
	if (status)
		log_warn("inputs.failed", "error=\"%s\"", err.text);
	else if (dropped)
		log_info("inputs.dropped", "count=%zu", dropped);
}

/* Results of a sumi that made no thumbnails get theirs, a few at a time. */
static void fill_thumbs(struct supervisor *s)
{
	struct error err;
	if (s->thumbs_after == INT64_MAX)
		return;
	if (store_thumbs_fill(s->store, false, &s->thumbs_after, THUMBS_AT_ONCE, &err)) {
		log_warn("thumbs.failed", "error=\"%s\"", err.text);
		s->thumbs_after = INT64_MAX; /* until the next start */
	}
}

/* What workers of other hosts ask for. */
static void deliver(struct supervisor *s)
{
	struct error err;
	if (!s->private && deliver_inputs(s->store, s->queue, &err))
		log_warn("inputs.failed", "error=\"%s\"", err.text);
}

/* Before any worker runs: what a crash left between two steps goes on to its end, and then
 * every file that no row names belongs to nobody, however young it is. */
static void recover(struct supervisor *s)
{
	struct error err;
	if (settle_pending(s->store, s->queue, "supervisor", &err))
		log_warn("settle.failed", "error=\"%s\"", err.text);
	settle(s);
	collect(s, 0);
	sweep_inputs(s);
}

static void tell_systemd(const struct supervisor *s)
{
	const char *doing = "idle";
	for (int i = 0; i < s->children.count; i++)
		if (s->children.list[i].pid && strcmp(s->children.list[i].text, "idle") != 0)
			doing = s->children.list[i].text;
	if (s->draining)
		sd_notifyf(0, "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=%d", STOP_EXTEND_US);
	else
		sd_notifyf(0, "WATCHDOG=1\nSTATUS=%s", doing);
}

/* Between two pieces of work: each may wait some seconds for a Redis that hangs, and together they
 * must not keep the workers and systemd waiting, nor a Redis that has died from being started anew. */
static void tend(struct supervisor *s)
{
	int64_t now = clock_mono_us() / 1000;
	take_signals(s);
	keep_redis(s, now);
	children_tick(&s->children, now);
	tell_systemd(s);
}

static void clockwork(struct supervisor *s, int64_t now)
{
	if (s->draining || now < s->next_reap)
		return;
	s->next_reap = now + REAP_MS;
	reap(s);
	tend(s);
	deliver(s);
	tend(s);
	if (now >= s->next_settle) {
		s->next_settle = now + SETTLE_MS;
		settle(s);
		tend(s);
	}
	if (now >= s->next_trim) {
		s->next_trim = now + TRIM_MS;
		trim(s);
		fill_ballast(s);
		tend(s);
	}
	keep_results(&s->keeper, &s->config.keep_results, s->store, s->queue, now);
	tend(s);
	fill_thumbs(s);
	tend(s);
	if (now >= s->next_collect) {
		s->next_collect = now + COLLECT_MS;
		collect(s, ORPHAN_AGE_MS);
		sweep_inputs(s);
	}
}

static void loop(struct supervisor *s)
{
	while (!s->draining || children_any(&s->children)) {
		struct pollfd fds[1 + DEVICES_MAX] = {{.fd = s->signal_fd, .events = POLLIN}};
		nfds_t n = 1;
		for (int i = 0; i < s->children.count; i++)
			if (s->children.list[i].report_fd >= 0)
				fds[n++] = (struct pollfd){.fd = s->children.list[i].report_fd,
							   .events = POLLIN};
		poll(fds, n, TICK_MS);
		int64_t now = clock_mono_us() / 1000;
		take_signals(s);
		keep_redis(s, now);
		children_tick(&s->children, now);
		if (!s->draining)
			changes_make(&s->changer, s->store, s->queue, now);
		clockwork(s, now);
		tell_systemd(s);
	}
}

/* Without it jobs are rendered all the same. */
static void start_notifier(struct supervisor *s)
{
	struct error err;
	struct queue_options options = {.url = s->url, .prefix = s->config.prefix};
	if (notifier_start(&options, s->config.notify_secret, &s->notifier, &err))
		log_warn("notify.start", "error=\"%s\"", err.text);
}

int supervisor_run(const struct supervisor_options *options, struct error *err)
{
	struct supervisor s = {.options = options, .lock_fd = -1, .signal_fd = -1};
	log_set_name("supervisor");
	int status = prepare(&s, err);
	if (!status) {
		log_info("ready", "state_dir=%s redis=%s devices=%d version=%s", s.config.state_dir,
			 s.private ? "private" : "configured", s.children.count, SUMI_VERSION);
		recover(&s);
		start_notifier(&s);
		sd_notify(0, "READY=1\nSTATUS=idle");
		loop(&s);
		log_info("stopped", "clean=1");
	}
	if (status == SUMI_CANCELLED && s.draining) /* told to stop before it was ready */
		status = SUMI_OK;
	notifier_stop(s.notifier);
	store_close(s.store);
	queue_close(s.queue);
	admission_free(&s.admission);
	if (s.private && s.redis.pid > 0)
		private_redis_stop(&s.redis, REDIS_STOP_MS);
	if (s.signal_fd >= 0)
		close(s.signal_fd);
	if (s.lock_fd >= 0)
		close(s.lock_fd);
	return status;
}
