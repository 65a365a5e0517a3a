/* What a Redis server or a Sentinel may answer. The first byte chooses what is asked; what follows
 * are the bytes that the server says, FUZZ_CUT where it breaks off and is connected to anew. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "queue/inputs.h"
#include "queue/internal.h"
#include "queue/saved.h"
#include "tests/fuzz/fuzz.h"

static struct fuzz_part said; /* what the server has still to say */
static int server_end = -1;
static struct queue *queue;

/* In the place of hiredis' own: see the Makefile. */
redisContext *__wrap_redisConnectWithTimeout(const char *host, int port, const struct timeval tv);
int __wrap_redisEnableKeepAlive(redisContext *c);

static redisContext *connected(void)
{
	int ends[2];
	struct fuzz_part part = fuzz_next(&said);
	fuzz_require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "no sockets");
	if (part.size)
		fuzz_require(write(ends[1], part.data, part.size) == (ssize_t)part.size,
			     "no room for a reply");
	shutdown(ends[1], SHUT_WR);
	/* Open as long as nobody connects anew: what is asked has somewhere to go. */
	if (server_end >= 0)
		close(server_end);
	server_end = ends[1];
	return redisConnectFd(ends[0]);
}

redisContext *__wrap_redisConnectWithTimeout(const char *host, int port, const struct timeval tv)
{
	(void)host, (void)port, (void)tv;
	return connected();
}

int __wrap_redisEnableKeepAlive(redisContext *c)
{
	(void)c;
	return REDIS_OK;
}

/* ---- what is asked -------------------------------------------------------------------- */

static const char id[] = "01J0000000000000000000000A";
static const char sha[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static const char *const classes[] = {"image/", "image/ink"};
static const struct queue_worker worker = {
    .name = "host.0", .classes = classes, .class_count = 2, .pid = 1};
static const struct queue_lease lease = {.token = "0123", .worker = "host.0", .lease_ms = 1000};

static int ask_link(struct error *err)
{
	redisContext *c;
	int status = link_open(queue, &c, err);
	if (!status)
		redisFree(c);
	return status;
}

static int ask_sentinel(struct error *err)
{
	enum url_kind kind = queue->url.kind;
	queue->url.kind = URL_SENTINEL;
	int status = ask_link(err);
	queue->url.kind = kind;
	return status;
}

static int ask_server(struct error *err)
{
	char warning[256];
	return queue_check_server(queue, warning, sizeof warning, err);
}

static int ask_entry(struct error *err)
{
	struct queue_entry entry;
	int status = queue_get(queue, id, &entry, err);
	if (!status)
		queue_entry_clear(&entry);
	return status;
}

static int ask_list(struct error *err)
{
	struct queue_entry *entries;
	size_t count;
	int status = queue_list(queue, JOB_READY, 0, 8, &entries, &count, err);
	if (!status)
		queue_list_free(entries, count);
	return status;
}

static int ask_stats(struct error *err)
{
	struct queue_stats stats;
	return queue_stats(queue, &stats, err);
}

static int ask_workers(struct error *err)
{
	struct queue_worker_info *workers = NULL;
	size_t count;
	int status = queue_workers(queue, &workers, &count, err);
	free(workers);
	return status;
}

static int ask_unserved(struct error *err)
{
	struct queue_unserved *list = NULL;
	size_t count;
	int status = queue_unserved(queue, &list, &count, err);
	free(list);
	return status;
}

static int ask_served(struct error *err)
{
	bool served;
	return queue_served(queue, "image", "ink", &served, err);
}

static int ask_troubles(struct error *err)
{
	struct queue_troubles troubles;
	return queue_troubles(queue, &troubles, err);
}

static int ask_letters(struct error *err)
{
	struct queue_dead_letter *letters;
	size_t count;
	int status = queue_dead_letters(queue, 8, &letters, &count, err);
	if (!status)
		queue_dead_letters_free(letters, count);
	return status;
}

static int ask_event(struct error *err)
{
	struct queue_follower *follower;
	struct queue_event event;
	int status = queue_follow(queue, id, "$", &follower, err);
	if (status)
		return status;
	status = queue_follow_next(follower, 0, &event, err);
	if (!status) {
		fuzz_require(event.event != NULL, "an event has a name");
		queue_event_value(&event, "data");
		for (size_t i = 0; i < event.field_count; i++)
			fuzz_require(event.fields[i].name && event.fields[i].value,
				     "a field has a name and a value");
		queue_event_clear(&event);
	}
	queue_follow_close(follower);
	return status;
}

static int ask_intake(struct error *err)
{
	struct queue_admitted admitted;
	bool rang;
	int status = queue_doorbell(queue, 0, &rang, err);
	return status ? status : queue_admit(queue, 8, &admitted, err);
}

static int ask_reap(struct error *err)
{
	struct queue_reaped reaped;
	return queue_reap(queue, 0, &reaped, err);
}

static int ask_claim(struct error *err)
{
	struct queue_lease got;
	int status = queue_claim(queue, &worker, 1000, &got, err);
	if (!status)
		queue_lease_clear(&got);
	return status;
}

static struct queue_lease held(void)
{
	struct queue_lease l = lease;
	strcpy(l.id, id);
	return l;
}

static int ask_beat(struct error *err)
{
	struct queue_lease l = held();
	enum queue_hint hint;
	int status = queue_beat(queue, &l, NULL, &hint, err);
	return status ? status : queue_worker_beat(queue, &worker, err);
}

static int ask_end(struct error *err)
{
	struct queue_lease l = held();
	struct queue_finish finish = {.id = id, .token = l.token, .worker = l.worker};
	struct queue_failure failure = {.status = SUMI_DEVICE, .text = "x"};
	enum queue_finish_result result;
	enum job_state after;
	int status = queue_variant(queue, &l, 0, "{}", err);
	if (!status)
		status = queue_finish(queue, &finish, &result, err);
	return status ? status : queue_fail(queue, &l, &failure, &after, err);
}

static int ask_saved(struct error *err)
{
	void *data = NULL;
	size_t size;
	int status = queue_saved(queue, id, 0, &data, &size, err);
	free(data);
	return status;
}

static int ask_input(struct error *err)
{
	void *data = NULL;
	size_t size;
	int status = queue_input_get(queue, sha, &data, &size, err);
	free(data);
	return status;
}

static int ask_wanted(struct error *err)
{
	char names[QUEUE_WANTED_MAX][SHA256_HEX_SIZE];
	size_t count;
	return queue_inputs_wanted(queue, names, &count, err);
}

static int ask_sweep(struct error *err)
{
	size_t n;
	int status = queue_inputs_sweep(queue, &n, err);
	return status ? status
		      : queue_trim(queue, &(struct queue_trim_options){.limit = 8}, &n, err);
}

static int ask_cancel(struct error *err)
{
	enum queue_cancel_result result;
	char last[JOB_ID_SIZE];
	int status = queue_cancel_series(queue, id, &result, last, err);
	return status ? status : queue_retry(queue, id, err);
}

static int ask_died(struct error *err)
{
	size_t n;
	return queue_worker_died(queue, "host.0", 2, QUEUE_SPARE_CACHES, &n, err);
}

static int (*const asks[])(struct error *err) = {
    ask_link,    ask_sentinel, ask_server,   ask_entry,    ask_list,    ask_stats,
    ask_workers, ask_served,   ask_unserved, ask_troubles, ask_letters, ask_event,
    ask_intake,  ask_reap,     ask_claim,    ask_beat,     ask_end,     ask_saved,
    ask_input,   ask_wanted,   ask_sweep,    ask_cancel,   ask_died,
};

/* ---- one input ------------------------------------------------------------------------ */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char hello[] = "+OK\r\n+OK\r\n$0\r\n\r\n";
	struct queue_options options = {.url = "redis://u:p@h/1", .patience_ms = -1};
	(void)argc, (void)argv;
	said = (struct fuzz_part){(const uint8_t *)hello, sizeof hello - 1};
	struct error err = {0};
	fuzz_require(queue_open(&options, &queue, &err) == SUMI_OK, err.text);
	strcpy(queue->url.master, "m");
	return 0;
}

/* hiredis takes memory for as many elements as an array claims to have. */
static bool claims_much(struct fuzz_part p)
{
	for (size_t i = 0; i + 5 < p.size; i++)
		if (p.data[i] == '*' && strspn((const char *)p.data + i + 1, "0123456789+- ") > 4)
			return true;
	return false;
}

static void forget(void)
{
	link_drop(queue);
	if (queue->bell)
		redisFree(queue->bell);
	freeReplyObject(queue->rung);
	for (size_t i = 0; i < queue->zone_count; i++)
		free(queue->zones[i]);
	free(queue->zones);
	queue->bell = NULL;
	queue->rung = NULL;
	queue->zones = NULL;
	queue->zone_count = 0;
	queue->claim_class = queue->claim_place = 0;
	queue->wound_ms = -1;
	queue->run_id[0] = '\0';
	queue->refusal = NULL;
	strcpy(queue->bell_cursor, "0-0");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = {0};
	if (size == 0 || size > 32768)
		return 0;
	char *text = fuzz_text((struct fuzz_part){data + 1, size - 1}); /* ends in a NUL */
	said = (struct fuzz_part){(const uint8_t *)text, size - 1};
	if (!claims_much(said))
		fuzz_outcome(asks[data[0] % (sizeof asks / sizeof asks[0])](&err), &err);
	forget();
	free(text);
	return 0;
}
