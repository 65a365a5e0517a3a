/* rediss://: hiredis 0.14 knows no TLS, so libcurl (built on OpenSSL) connects, verifies the
 * certificate and encrypts, and a thread carries bytes between it and one end of a socket
 * pair, whose other end hiredis takes for its connection. */
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "queue/internal.h"

#define CHUNK 16384

struct pump {
	CURL *curl;
	int plain;  /* our end of the pair */
	int secret; /* libcurl's socket, not blocking; libcurl's */
};

static bool wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	return poll(&p, 1, 30000) > 0;
}

/* Everything to the server, waiting where its window is full. */
static bool push(struct pump *pump, const char *data, size_t size)
{
	while (size > 0) {
		size_t sent = 0;
		CURLcode code = curl_easy_send(pump->curl, data, size, &sent);
		if (code == CURLE_AGAIN) {
			if (!wait_for(pump->secret, POLLOUT))
				return false;
			continue;
		}
		if (code != CURLE_OK)
			return false;
		data += sent;
		size -= sent;
	}
	return true;
}

/* All that TLS has decrypted: some of it may not show as readable on the socket any more. */
static bool pull(struct pump *pump)
{
	char data[CHUNK];
	for (;;) {
		size_t got = 0, at = 0;
		CURLcode code = curl_easy_recv(pump->curl, data, sizeof data, &got);
		if (code == CURLE_AGAIN)
			return true;
		if (code != CURLE_OK || got == 0)
			return false;
		while (at < got) {
			ssize_t n = send(pump->plain, data + at, got - at, MSG_NOSIGNAL);
			if (n < 0 && errno != EINTR)
				return false;
			at += n > 0 ? (size_t)n : 0;
		}
	}
}

static void *pump_main(void *argument)
{
	struct pump *pump = argument;
	char data[CHUNK];
	bool alive = true;
	while (alive) {
		struct pollfd p[2] = {{.fd = pump->plain, .events = POLLIN},
				      {.fd = pump->secret, .events = POLLIN}};
		if (poll(p, 2, -1) < 0) {
			alive = errno == EINTR;
			continue;
		}
		if (p[1].revents)
			alive = pull(pump);
		if (alive && p[0].revents) {
			ssize_t n = read(pump->plain, data, sizeof data);
			/* What was sent may have made the server answer at once: pull again. */
			alive = n > 0 && push(pump, data, (size_t)n) && pull(pump);
		}
	}
	curl_easy_cleanup(pump->curl);
	close(pump->plain);
	free(pump);
	return NULL;
}

static int connect_tls(struct pump *pump, const char *host, int port, const char *ca_file,
		       int timeout_ms, struct error *err)
{
	char url[320], reason[CURL_ERROR_SIZE] = "";
	curl_socket_t secret = CURL_SOCKET_BAD;
	bool v6 = strchr(host, ':') != NULL;
	snprintf(url, sizeof url, v6 ? "https://[%s]:%d/" : "https://%s:%d/", host, port);
	curl_easy_setopt(pump->curl, CURLOPT_URL, url);
	curl_easy_setopt(pump->curl, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(pump->curl, CURLOPT_PROXY, ""); /* the environment's is for HTTP */
	curl_easy_setopt(pump->curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
	curl_easy_setopt(pump->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(pump->curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(pump->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(pump->curl, CURLOPT_ERRORBUFFER, reason);
	if (ca_file)
		curl_easy_setopt(pump->curl, CURLOPT_CAINFO, ca_file);
	CURLcode code = curl_easy_perform(pump->curl);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(pump->curl, CURLINFO_ACTIVESOCKET, &secret);
	curl_easy_setopt(pump->curl, CURLOPT_ERRORBUFFER, NULL);
	pump->secret = (int)secret;
	if (code != CURLE_OK)
		return error_set(err, SUMI_CONNECT, "%s",
				 *reason ? reason : curl_easy_strerror(code));
	return SUMI_OK;
}

int tls_open(const char *host, int port, const char *ca_file, int timeout_ms, int *fd,
	     struct error *err)
{
	int pair[2] = {-1, -1}, status;
	pthread_t thread;
	sigset_t all, before;
	struct pump *pump = calloc(1, sizeof *pump);
	if (!pump || !(pump->curl = curl_easy_init())) {
		free(pump);
		return error_set(err, SUMI_NOMEM, "TLS: no memory");
	}
	status = connect_tls(pump, host, port, ca_file, timeout_ms, err);
	if (status)
		goto fail;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		status = error_errno(err, "TLS");
		goto fail;
	}
	pump->plain = pair[1];
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	int code = pthread_create(&thread, NULL, pump_main, pump);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code) {
		errno = code;
		status = error_errno(err, "TLS: starting a thread");
		goto fail;
	}
	pthread_detach(thread);
	*fd = pair[0];
	return SUMI_OK;
fail:
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
	curl_easy_cleanup(pump->curl);
	free(pump);
	return status;
}
