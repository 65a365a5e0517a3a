/* Figures of the queue on this machine, with a redis-server of its own (append-only file,
 * fsync every second):
 *
 *   submit     jobs a second, pipelined, each checked and written as JSON
 *   admit      jobs a second from the intake to ready
 *   pickup     from one client's XADD to the claim by a waiting worker, p50 and p99
 *   cycle      claim + beat + finish, jobs a second of one worker
 *   listing    a page of 50 out of the finished jobs, p50 and p99
 *
 * usage: queue [JOBS] [FINISHED]     default 100000 200000 */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "queue/private_redis.h"
#include "queue/queue.h"

#define CHUNK 1000
#define PICKUPS 1000
#define LISTINGS 200
#define PAGE 50

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
	printf("%-8s p50 %7.3f ms   p99 %7.3f ms   (%zu times)\n", what,
	       (double)us[count / 2] / 1e3, (double)us[count * 99 / 100] / 1e3, count);
}

static void print_rate(const char *what, size_t count, int64_t us)
{
	printf("%-8s %9.0f jobs/s   (%zu jobs)\n", what, (double)count * 1e6 / (double)us, count);
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
	struct private_redis redis;
	struct queue *q;
	if (!mkdtemp(dir))
		return 1;
	struct private_redis_options server = {.state_dir = dir};
	must(private_redis_start(&server, &redis, &err));
	struct queue_options options = {.url = redis.url};
	must(queue_open(&options, &q, &err));
	bench_pickup(q, redis.url);
	bench_submit(q, jobs);
	bench_cycle(q);
	bench_listing(q, redis.socket, finished);
	queue_close(q);
	private_redis_stop(&redis, 20000);
	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command) != 0;
}
