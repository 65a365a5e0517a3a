/* Webhooks.
 *
 * A notice is sent at most once an end and tried a few times; a receiver that is down for
 * longer asks the queue instead. Redirects are not followed and only http and https are
 * spoken, so that a URL in a job opens nothing else. */
#include "daemon/notify.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "queue/notice.h"

enum { WAIT_MS = 500, RECONNECT_MS = 2000, TRIES = 3, BETWEEN_TRIES_MS = 1000, TIMEOUT_MS = 5000 };

struct notifier {
	struct queue_options options;
	pthread_t thread;
	atomic_bool stop;
	void *secret; /* NULL: notices are not signed */
	size_t secret_size;
};

static size_t ignore_body(char *data, size_t size, size_t count, void *context)
{
	(void)data;
	(void)context;
	return size * count;
}

static char *notice_text(const struct queue_entry *e)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:O}", "id", e->id, "state",
			      job_state_word(e->state), "modality", e->job.modality, "prompt",
			      e->job.prompt ? e->job.prompt : "", "results", e->variant_results);
	if (o && e->error)
		json_object_set_new(o, "error", json_string(e->error));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return text;
}

/* The headers of Standard Webhooks: the id of a notice, its time, and HMAC-SHA256 over both and the body. A try
 * that is repeated has the id and the time of the first. */
static struct curl_slist *sign(const struct notifier *n, const struct queue_entry *e, const char *body,
			       struct curl_slist *headers)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_size = 0;
	char id[JOB_ID_SIZE + 32], line[256];
	size_t room = strlen(body) + sizeof id + 32, length;
	char *text = n->secret ? malloc(room) : NULL;
	if (!text)
		return headers;
	snprintf(id, sizeof id, "%s.%lld", e->id, (long long)e->finished_ms);
	int size = snprintf(text, room, "%s.%lld.%s", id, (long long)(e->finished_ms / 1000), body);
	HMAC(EVP_sha256(), n->secret, (int)n->secret_size, (unsigned char *)text, (size_t)size, mac, &mac_size);
	free(text);
	char *signature = base64_encode(mac, mac_size, &length);
	snprintf(line, sizeof line, "webhook-id: %s", id);
	headers = curl_slist_append(headers, line);
	snprintf(line, sizeof line, "webhook-timestamp: %lld", (long long)(e->finished_ms / 1000));
	headers = curl_slist_append(headers, line);
	snprintf(line, sizeof line, "webhook-signature: v1,%s", signature ? signature : "");
	free(signature);
	return curl_slist_append(headers, line);
}

/* 2xx is success. */
static int post(const struct notifier *n, const struct queue_entry *e, const char *body, struct error *err)
{
	CURL *curl = curl_easy_init();
	if (!curl)
		return error_set(err, SUMI_NOMEM, "out of memory");
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	headers = sign(n, e, body, headers);
	long code = 0;
	curl_easy_setopt(curl, CURLOPT_URL, e->job.notify);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore_body);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "sumi/" SUMI_VERSION);
	CURLcode result = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	if (result != CURLE_OK)
		return error_set(err, SUMI_CONNECT, "%s", curl_easy_strerror(result));
	if (code < 200 || code > 299)
		return error_set(err, SUMI_CONNECT, "the receiver answered %ld", code);
	return SUMI_OK;
}

static void send_notice(struct notifier *n, const struct queue_entry *e)
{
	struct error err = {0};
	char *body = notice_text(e);
	int status = SUMI_NOMEM;
	for (int i = 0; body && status && i < TRIES && !n->stop; i++) {
		if (i > 0)
			clock_sleep_ms(BETWEEN_TRIES_MS);
		status = post(n, e, body, &err);
	}
	if (status)
		log_warn("notify.failed", "id=%s error=\"%s\"", e->id, err.text);
	else
		log_info("notify.sent", "id=%s state=%s", e->id, job_state_word(e->state));
	free(body);
}

static int take_event(struct notifier *n, struct queue *queue, const struct queue_event *event,
		      struct error *err)
{
	struct queue_entry entry;
	bool taken = false;
	int state = job_state_from_word(event->event);
	if (state < 0 || !job_state_is_final((enum job_state)state))
		return SUMI_OK;
	int status = queue_get(queue, event->id, &entry, err);
	if (status == SUMI_CONNECT || status == SUMI_TIMEOUT || status == SUMI_FULL)
		return status;
	if (status) /* purged, or damaged: those behind it shall be told of all the same */
		return SUMI_OK;
	if (entry.job.notify && entry.state == (enum job_state)state)
		status = queue_notice_take(queue, &entry, &taken, err);
	if (!status && taken)
		send_notice(n, &entry);
	queue_entry_clear(&entry);
	return status;
}

static int follow(struct notifier *n, struct error *err)
{
	char cursor[QUEUE_CURSOR_SIZE];
	struct queue *queue = NULL;
	struct queue_follower *follower = NULL;
	struct queue_event event;
	int status = queue_open(&n->options, &queue, err);
	if (!status)
		status = queue_notice_cursor(queue, cursor, err);
	if (!status)
		status = queue_follow(queue, NULL, cursor, &follower, err);
	while (!status && !n->stop) {
		status = queue_follow_next(follower, WAIT_MS, &event, err);
		if (status == SUMI_TIMEOUT) {
			status = SUMI_OK;
			continue;
		}
		if (status)
			break;
		status = take_event(n, queue, &event, err);
		if (!status)
			status = queue_notice_seen(queue, event.cursor, err);
		queue_event_clear(&event);
	}
	queue_follow_close(follower);
	queue_close(queue);
	return status;
}

static void *notifier_main(void *context)
{
	struct notifier *n = context;
	struct error err;
	while (!n->stop) {
		if (follow(n, &err))
			log_debug("notify.reconnect", "error=\"%s\"", err.text);
		for (int i = 0; i < RECONNECT_MS / WAIT_MS && !n->stop; i++)
			clock_sleep_ms(WAIT_MS);
	}
	return NULL;
}

/* "whsec_" and base64, as the libraries of receivers have it, or any text. */
static int take_secret(struct notifier *n, const char *secret, struct error *err)
{
	static const char prefix[] = "whsec_";
	size_t length = strlen(prefix);
	if (strncmp(secret, prefix, length) == 0) {
		int status = base64_decode(secret + length, strlen(secret + length), &n->secret,
					   &n->secret_size, err);
		return status ? error_prefix(err, "notify_secret") : SUMI_OK;
	}
	n->secret = *secret ? strdup(secret) : NULL;
	n->secret_size = strlen(secret);
	return *secret && !n->secret ? error_set(err, SUMI_NOMEM, "out of memory") : SUMI_OK;
}

int notifier_start(const struct queue_options *options, const char *secret, struct notifier **out,
		   struct error *err)
{
	struct notifier *n = calloc(1, sizeof *n);
	if (!n)
		return error_set(err, SUMI_NOMEM, "out of memory");
	n->options = *options;
	int status = take_secret(n, secret, err);
	if (status) {
		free(n);
		return status;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	errno = pthread_create(&n->thread, NULL, notifier_main, n);
	if (errno) {
		free(n->secret);
		free(n);
		return error_errno(err, "starting the thread for notices");
	}
	*out = n;
	return SUMI_OK;
}

void notifier_stop(struct notifier *n)
{
	if (!n)
		return;
	n->stop = true;
	pthread_join(n->thread, NULL);
	free(n->secret);
	free(n);
}
