/* sumi-gateway: the HTTP server in front of the queue. */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/launch.h"
#include "base/log.h"
#include "gateway/listen.h"
#include "gateway/service.h"
#include "queue/private_redis.h"

enum { DRAIN_MS = 30000, DRAIN_LOOK_MS = 100 };

static const char *listen_at;

static const struct launch_option own[] = {{"listen", 'l', &listen_at, NULL}, {NULL, 0, NULL, NULL}};

static void print_help(void)
{
	printf("usage: sumi-gateway [--config FILE] [--state-dir DIR] [--listen LIST]\n"
	       "\n"
	       "Takes jobs over HTTP, puts them into the queue and hands out what was made. Without a\n"
	       "key (sumi keys add NAME) it serves this machine alone.\n"
	       "\n"
	       "  -c, --config FILE    read this file instead of sumi.conf\n"
	       "  -s, --state-dir DIR  where database, files and the private Redis live\n"
	       "  -l, --listen LIST    127.0.0.1:7860, [::1]:7860, unix:/PATH, separated by commas\n"
	       "      --check          read the configuration, say what is wrong with it, and exit\n"
	       "      --version, --help\n"
	       "\n"
	       "SIGTERM ends it when the answers under way are out. Its settings stand in sumi.conf, as\n"
	       "sumid --help lists them: listen, public_url, origins, connections,\n"
	       "connections_per_address.\n");
}

struct program {
	struct config config;
	struct event_base *base;
	struct service *service;
	struct event *drain;
	int64_t drain_end;
};

static void on_drain(evutil_socket_t fd, short what, void *context)
{
	struct program *p = context;
	(void)fd, (void)what;
	if (service_stop(p->service) || clock_boot_ms() > p->drain_end)
		event_base_loopbreak(p->base);
}

/* Twice means now. */
static void on_signal(evutil_socket_t fd, short what, void *context)
{
	struct program *p = context;
	struct timeval look = {0, DRAIN_LOOK_MS * 1000};
	(void)what;
	if (p->drain_end) {
		event_base_loopbreak(p->base);
		return;
	}
	log_info("stop", "signal=%d", (int)fd);
	sd_notify(0, "STOPPING=1");
	p->drain_end = clock_boot_ms() + DRAIN_MS;
	event_add(p->drain, &look);
	on_drain(-1, 0, p);
}

/* Each connection is a descriptor. */
static void raise_limit(const struct config *config)
{
	struct rlimit limit;
	rlim_t want = (rlim_t)config->connections + 256;
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < want)
		log_warn("limit", "connections=%lld descriptors=%lld", (long long)config->connections,
			 (long long)limit.rlim_cur);
}

/* The queue may come later than the gateway: then nobody is served until it is there. */
static int check_keys(struct program *p, const struct listening *l, struct error *err)
{
	size_t keys = 0;
	struct error why;
	if (service_load_keys(p->service, &keys, &why)) {
		log_warn("queue.away", "error=\"%s\"", why.text);
		return SUMI_OK;
	}
	if (keys || l->local)
		return SUMI_OK;
	return error_set(err, SUMI_INVALID,
			 "without a key the gateway listens on this machine only: sumi keys add NAME "
			 "makes one, or listen = 127.0.0.1:7860");
}

static int begin(struct program *p, const char *url, struct error *err)
{
	struct listening l;
	struct service_options o = {.config = &p->config, .queue_url = url};
	if (!(p->base = event_base_new()) ||
	    !(p->drain = event_new(p->base, -1, EV_PERSIST, on_drain, p)))
		return error_set(err, SUMI_NOMEM, "out of memory");
	o.base = p->base;
	int status = service_new(&o, &p->service, err);
	if (!status)
		status = listen_open(p->config.listen, &l, err);
	if (status)
		return status;
	status = check_keys(p, &l, err);
	for (int i = 0; i < l.count && !status; i++)
		status = http_listen(service_http(p->service), l.fds[i], err);
	if (!status)
		log_info("listening", "at=\"%s\"", l.shown);
	return status;
}

static int serve(struct program *p, const char *url, struct error *err)
{
	struct event *term = NULL, *interrupt = NULL;
	signal(SIGPIPE, SIG_IGN);
	raise_limit(&p->config);
	int status = begin(p, url, err);
	if (!status) {
		term = evsignal_new(p->base, SIGTERM, on_signal, p);
		interrupt = evsignal_new(p->base, SIGINT, on_signal, p);
		if (!term || !interrupt || event_add(term, NULL) || event_add(interrupt, NULL))
			status = error_set(err, SUMI_NOMEM, "out of memory");
	}
	if (!status) {
		sd_notify(0, "READY=1");
		event_base_dispatch(p->base);
	}
	service_free(p->service);
	if (term)
		event_free(term);
	if (interrupt)
		event_free(interrupt);
	if (p->drain)
		event_free(p->drain);
	if (p->base)
		event_base_free(p->base);
	return status;
}

static int load(const struct launch *a, struct config *config, char url[FILES_PATH_MAX], struct error *err)
{
	int status = launch_config(a, config, err);
	if (!status)
		status = files_make_absolute(config->state_dir, err);
	if (!status && listen_at && strlen(listen_at) >= sizeof config->listen)
		status = error_set(err, SUMI_TOOBIG, "--listen is too long");
	else if (!status && listen_at)
		strcpy(config->listen, listen_at);
	if (status)
		return status;
	log_set_level((enum log_level)log_level_from_word(config->log));
	if (config->redis[0]) {
		status = files_path(url, err, "%s", config->redis);
		return status ? status : queue_url_check(url, err);
	}
	return private_redis_url(config->state_dir, url, err);
}

int main(int argc, char **argv)
{
	static const struct launch_program command = {"sumi-gateway", own, print_help};
	static struct program program;
	struct launch a;
	struct error err = {0};
	char url[FILES_PATH_MAX];
	int exit_status;
	if (!launch_parse(&command, argc, argv, &a, &exit_status))
		return exit_status;
	if (load(&a, &program.config, url, &err)) {
		fprintf(stderr, "sumi-gateway: %s\n", err.text);
		return 2;
	}
	if (a.check)
		return 0;
	if (serve(&program, url, &err)) {
		fprintf(stderr, "sumi-gateway: %s\n", err.text);
		return err.status == SUMI_INVALID ? 2 : 1;
	}
	return 0;
}
