/* Figures of the queue on this machine, with a redis-server of its own (append-only file,
 * fsync every second):
 *
 *   submit     jobs a second, pipelined, each checked and written as JSON
 *   admit      jobs a second from the intake to ready
 *   ping       one round trip to Redis and back: what the machine adds to any of the following
 *   pickup     from one client's XADD to the claim by a waiting worker, p50 and p99
 *   begin      from XADD to the moment at which an idle sumid turns to the job's prompt: taken in,
 *              claimed, its model found, no finished job found that asked for the same
 *   first step from XADD to the beginning of the first step, the prompt encoded and the run begun;
 *              sumid is a real one, with the tiny pack of the tests
 *   cycle      claim + beat + finish, jobs a second of one worker
 *   listing    a page of 50 out of the finished jobs, p50 and p99
 *
 * Run it in the root of the sources, when sumid is built.
 *
 * usage: queue [JOBS] [FINISHED]     default 100000 200000 */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "queue/private_redis.h"
#include "queue/queue.h"

#define CHUNK 1000
#define PICKUPS 1000
#define LISTINGS 200
#define STARTS 300
#define PAGE 50
#define LOG_WAIT_MS 20
#define LOG_WAITS 1500

static struct error err;

static void must(int status)
{
	if (status == SUMI_OK)
		return;
	fprintf(stderr, "bench queue: %s\n", err.text);
	exit(1);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static void print_times(const char *what, int64_t *us, size_t count)
{
	qsort(us, count, sizeof *us, by_value);
	printf("%-10s p50 %7.3f ms   p99 %7.3f ms   (%zu times)\n", what,
	       (double)us[count / 2] / 1e3, (double)us[count * 99 / 100] / 1e3, count);
}

static void print_rate(const char *what, size_t count, int64_t us)
{
	printf("%-10s %9.0f jobs/s   (%zu jobs)\n", what, (double)count * 1e6 / (double)us, count);
}

static void make_job(struct job *job, size_t number)
{
	char json[256];
	int n = snprintf(json, sizeof json,
			 "{\"modality\":\"image\",\"prompt\":\"watercolour mountains, number %zu\","
			 "\"steps\":20,\"width\":512,\"height\":512,\"submitter\":\"s%zu\"}",
			 number, number % 10);
	must(job_parse_json(json, (size_t)n, job, &err));
}

static void bench_submit(struct queue *q, size_t count)
{
	struct job *jobs = calloc(CHUNK, sizeof *jobs);
	struct queue_admitted admitted;
	int64_t spent = 0;
	for (size_t done = 0; done < count; done += CHUNK) {
		size_t sent;
		for (size_t i = 0; i < CHUNK; i++)
			make_job(&jobs[i], done + i);
		int64_t start = clock_mono_us();
		must(queue_submit_many(q, jobs, CHUNK, &sent, &err));
		spent += clock_mono_us() - start;
		for (size_t i = 0; i < CHUNK; i++)
			job_clear(&jobs[i]);
	}
	free(jobs);
	print_rate("submit", count, spent);
	int64_t start = clock_mono_us();
	must(queue_admit(q, count, &admitted, &err));
	print_rate("admit", admitted.jobs, clock_mono_us() - start);
}

static const char *const classes[] = {"image/", "image/ink"};
static const struct queue_worker worker = {.name = "bench", .classes = classes, .class_count = 2};

static void finish(struct queue *q, struct queue_lease *lease)
{
	struct queue_finish f = {.id = lease->id, .token = lease->token, .worker = worker.name};
	enum queue_finish_result result;
	must(queue_finish(q, &f, &result, &err));
	queue_lease_clear(lease);
}

static void bench_cycle(struct queue *q)
{
	struct queue_lease lease;
	enum queue_hint hint;
	size_t count = 0;
	int64_t start = clock_mono_us();
	while (count < 5000 && queue_claim(q, &worker, 30000, &lease, &err) == SUMI_OK) {
		must(queue_beat(q, &lease, NULL, &hint, &err));
		finish(q, &lease);
		count++;
	}
	print_rate("cycle", count, clock_mono_us() - start);
}

static void bench_ping(const char *socket)
{
	static int64_t us[PICKUPS];
	redisContext *c = redisConnectUnix(socket);
	for (int i = 0; i < PICKUPS; i++) {
		clock_sleep_ms(2);
		int64_t start = clock_mono_us();
		freeReplyObject(redisCommand(c, "PING"));
		us[i] = clock_mono_us() - start;
	}
	redisFree(c);
	print_times("ping", us, PICKUPS);
}

struct pickup {
	const char *url;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int64_t claimed_us; /* 0 while a job is under way */
};

/* A worker as the daemon's: waits at the doorbell, admits, claims. */
static void *pickup_worker(void *argument)
{
	struct pickup *p = argument;
	struct queue_options options = {.url = p->url};
	struct queue *q;
	must(queue_open(&options, &q, &err));
	for (int i = 0; i < PICKUPS;) {
		struct queue_lease lease;
		struct queue_admitted admitted;
		bool rang;
		if (queue_claim(q, &worker, 30000, &lease, &err) != SUMI_OK) {
			must(queue_doorbell(q, 1000, &rang, &err));
			if (rang)
				must(queue_admit(q, 100, &admitted, &err));
			continue;
		}
		pthread_mutex_lock(&p->lock);
		p->claimed_us = clock_mono_us();
		pthread_cond_signal(&p->changed);
		pthread_mutex_unlock(&p->lock);
		finish(q, &lease);
		i++;
	}
	queue_close(q);
	return NULL;
}

static void bench_pickup(struct queue *q, const char *url)
{
	struct pickup p = {
	    .url = url, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	static int64_t us[PICKUPS];
	pthread_t thread;
	pthread_create(&thread, NULL, pickup_worker, &p);
	for (int i = 0; i < PICKUPS; i++) {
		struct job job;
		make_job(&job, (size_t)i);
		clock_sleep_ms(2); /* an idle daemon */
		pthread_mutex_lock(&p.lock);
		p.claimed_us = 0;
		pthread_mutex_unlock(&p.lock);
		int64_t start = clock_mono_us();
		must(queue_submit(q, &job, &err));
		pthread_mutex_lock(&p.lock);
		while (!p.claimed_us)
			pthread_cond_wait(&p.changed, &p.lock);
		us[i] = p.claimed_us - start;
		pthread_mutex_unlock(&p.lock);
		job_clear(&job);
	}
	pthread_join(thread, NULL);
	print_times("pickup", us, PICKUPS);
}

/* ---- a whole daemon -------------------------------------------------------------------- */

/* sumid with a folder of its own; its debug log says when a job got how far. */
struct daemon {
	char dir[32];
	pid_t pid;
	FILE *log;
};

static void daemon_start(struct daemon *d, const char *program, const char *packs)
{
	char path[64], log[64];
	strcpy(d->dir, "/tmp/sumi-bench-XXXXXX");
	if (!mkdtemp(d->dir))
		exit(1);
	snprintf(path, sizeof path, "%s/sumi.conf", d->dir);
	snprintf(log, sizeof log, "%s/log", d->dir);
	FILE *conf = fopen(path, "w");
	fprintf(conf,
		"packs = %s\nmodel_image = sd1-tiny\nstate_dir = %s/state\nlog = debug\n"
		"reserve = 1M\n",
		packs, d->dir);
	fclose(conf);
	/* A file, not a pipe: who reads along is woken by every line, and takes a core from the
	 * daemon in the very moment that is measured. */
	FILE *out = fopen(log, "a");
	d->log = fopen(log, "r");
	if (!out || !d->log)
		exit(1);
	d->pid = fork();
	if (d->pid == 0) {
		dup2(fileno(out), STDERR_FILENO);
		execl(program, "sumid", "--config", path, (char *)NULL);
		_exit(127);
	}
	fclose(out);
}

static void daemon_stop(struct daemon *d)
{
	char command[64];
	kill(d->pid, SIGTERM);
	waitpid(d->pid, NULL, 0);
	fclose(d->log);
	snprintf(command, sizeof command, "rm -r %s", d->dir);
	if (system(command) != 0)
		exit(1);
}

/* Reads the log up to the line of an event, about a job or (id NULL) about anything; the
 * moment that it tells, or 0. */
static int64_t daemon_says(struct daemon *d, const char *event, const char *id)
{
	char line[1024], name[80], mark[96] = "";
	snprintf(name, sizeof name, " %s ", event);
	if (id)
		snprintf(mark, sizeof mark, " id=%s ", id);
	for (int waits = 0; waits < LOG_WAITS;) {
		if (!fgets(line, sizeof line, d->log)) {
			clearerr(d->log);
			clock_sleep_ms(LOG_WAIT_MS);
			waits++;
			continue;
		}
		const char *us = strstr(line, " us=");
		if (strstr(line, name) && strstr(line, mark))
			return us ? strtoll(us + 4, NULL, 10) : 0;
	}
	fprintf(stderr, "bench queue: sumid did not say %s\n", event);
	exit(1);
}

/* Each job has a prompt of its own, so that none is found encoded already. */
static void bench_starts(const char *program, const char *packs)
{
	static int64_t begin_us[STARTS], step_us[STARTS];
	struct daemon d;
	struct queue *q;
	char url[FILES_PATH_MAX], state[64];
	daemon_start(&d, program, packs);
	daemon_says(&d, "worker.ready", NULL);
	snprintf(state, sizeof state, "%s/state", d.dir);
	must(private_redis_url(state, url, &err));
	must(queue_open(&(struct queue_options){.url = url}, &q, &err));
	for (int i = -1; i < STARTS; i++) { /* the first one loads the model and does not count */
		char json[256];
		struct job job;
		int n =
		    snprintf(json, sizeof json,
			     "{\"modality\":\"image\",\"prompt\":\"fog over lake %d\",\"steps\":1,"
			     "\"width\":64,\"height\":64,\"id\":\"b%d\"}",
			     i, i);
		must(job_parse_json(json, (size_t)n, &job, &err));
		int64_t start = clock_mono_us();
		must(queue_submit(q, &job, &err));
		clock_sleep_ms(LOG_WAIT_MS);
		int64_t begin = daemon_says(&d, "run.begins", job.id);
		int64_t step = daemon_says(&d, "steps.begin", job.id);
		daemon_says(&d, "job.done", job.id);
		clock_sleep_ms(20); /* an idle daemon */
		if (i >= 0) {
			begin_us[i] = begin - start;
			step_us[i] = step - start;
		}
		job_clear(&job);
	}
	queue_close(q);
	daemon_stop(&d);
	print_times("begin", begin_us, STARTS);
	print_times("first step", step_us, STARTS);
}

static void bench_listing(struct queue *q, const char *socket, size_t finished)
{
	/* Finished jobs as the scripts leave them, written by one loop inside Redis. */
	static const char fill[] =
	    "for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do local id = 'f' .. i "
	    "redis.call('HSET', '{sumi}:job:' .. id, 'job', '{\"id\":\"' .. id .. "
	    "'\",\"modality\":\"image\",\"prompt\":\"mountains in fog\",\"seed\":7}', 'state', "
	    "'done', "
	    "'created', 1, 'finished', i, 'attempts', 1, 'result', '{}') "
	    "redis.call('ZADD', '{sumi}:done', i, id) end";
	static int64_t us[LISTINGS];
	redisContext *c = redisConnectUnix(socket);
	for (size_t i = 0; i < finished; i += 10000)
		freeReplyObject(redisCommand(c, "EVAL %s 0 %zu %zu", fill, i, i + 9999));
	redisFree(c);
	for (size_t i = 0; i < LISTINGS; i++) {
		struct queue_entry *entries;
		size_t count;
		int64_t start = clock_mono_us();
		must(queue_list(q, JOB_DONE, i * (finished / LISTINGS), PAGE, &entries, &count,
				&err));
		us[i] = clock_mono_us() - start;
		queue_list_free(entries, count);
	}
	print_times("listing", us, LISTINGS);
}

int main(int argc, char **argv)
{
	size_t jobs = argc > 1 ? strtoul(argv[1], NULL, 10) / CHUNK * CHUNK : 100000;
	size_t finished = argc > 2 ? strtoul(argv[2], NULL, 10) : 200000;
	char dir[] = "/tmp/sumi-bench-XXXXXX", command[64];
	const char *slash = strrchr(argv[0], '/');
	char program[512];
	struct private_redis redis;
	struct queue *q;
	snprintf(program, sizeof program, "%.*s../bin/sumid",
		 slash ? (int)(slash + 1 - argv[0]) : 0, argv[0]);
	char packs[FILES_PATH_MAX];
	if (!realpath("tests/vectors", packs)) {
		fprintf(stderr, "bench queue: there is no tests/vectors here\n");
		return 1;
	}
	bench_starts(program, packs);
	if (!mkdtemp(dir))
		return 1;
	struct private_redis_options server = {.state_dir = dir};
	must(private_redis_start(&server, &redis, &err));
	struct queue_options options = {.url = redis.url};
	must(queue_open(&options, &q, &err));
	bench_ping(redis.socket);
	bench_pickup(q, redis.url);
	bench_submit(q, jobs);
	bench_cycle(q);
	bench_listing(q, redis.socket, finished);
	queue_close(q);
	private_redis_stop(&redis, 20000);
	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command) != 0;
}
