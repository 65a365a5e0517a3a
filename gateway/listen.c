/* Opening sockets. */
#include "gateway/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un local;
	struct sockaddr_storage storage;
};

/* What a socket is bound to, for the log; whether others reach it. */
static void note(struct listening *l, int fd)
{
	union address a = {0};
	socklen_t size = sizeof a;
	char text[INET6_ADDRSTRLEN] = "", word[200] = "?";
	bool local = false;
	if (getsockname(fd, &a.any, &size) == 0 && a.any.sa_family == AF_INET) {
		local = ntohl(a.v4.sin_addr.s_addr) >> 24 == 127;
		inet_ntop(AF_INET, &a.v4.sin_addr, text, sizeof text);
		snprintf(word, sizeof word, "http://%s:%d/", text, ntohs(a.v4.sin_port));
	} else if (a.any.sa_family == AF_INET6) {
		local = IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr);
		inet_ntop(AF_INET6, &a.v6.sin6_addr, text, sizeof text);
		snprintf(word, sizeof word, "http://[%s]:%d/", text, ntohs(a.v6.sin6_port));
	} else if (a.any.sa_family == AF_UNIX) {
		local = true;
		snprintf(word, sizeof word, "unix:%.*s", (int)sizeof a.local.sun_path,
			 a.local.sun_path);
	}
	l->local = l->local && local;
	size_t used = strlen(l->shown);
	snprintf(l->shown + used, sizeof l->shown - used, "%s%s", used ? " " : "", word);
	l->fds[l->count++] = fd;
}

static int bind_to(const struct sockaddr *address, socklen_t size, const char *word,
		   struct listening *l, struct error *err)
{
	int one = 1;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, "listen: %s", word);
	if (address->sa_family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (address->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, address, size) || listen(fd, SOMAXCONN)) {
		int status = errno == EADDRINUSE
				 ? error_set(err, SUMI_BUSY,
					     "listen: %s is in use: another gateway, or another "
					     "program; name another one in sumi.conf (listen = …)",
					     word)
				 : error_errno(err, "listen: %s", word);
		close(fd);
		return status;
	}
	note(l, fd);
	return SUMI_OK;
}

/* A socket that a gateway left behind is in nobody's way; one that answers is. */
static void remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool answers = fd >= 0 && connect(fd, (const void *)address, sizeof *address) == 0;
	if (fd >= 0)
		close(fd);
	if (!answers && stat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(address->sun_path);
}

static int open_unix(const char *path, struct listening *l, struct error *err)
{
	union address a = {.local = {.sun_family = AF_UNIX}};
	if (*path != '/' || strlen(path) >= sizeof a.local.sun_path)
		return error_set(err, SUMI_INVALID,
				 "listen: unix:%.100s: the path must begin with / and be shorter than "
				 "%zu bytes",
				 path, sizeof a.local.sun_path);
	strcpy(a.local.sun_path, path);
	remove_stale(&a.local);
	mode_t mask = umask(0117); /* for its user and group */
	int status = bind_to(&a.any, sizeof a.local, path, l, err);
	umask(mask);
	return status;
}

static int open_tcp(const char *word, struct listening *l, struct error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found, *a;
	char host[256];
	const char *colon = strrchr(word, ':');
	size_t n = colon ? (size_t)(colon - word) : 0;
	if (!colon || !colon[1] || n >= sizeof host)
		return error_set(err, SUMI_INVALID,
				 "listen: '%.100s' is neither ADDRESS:PORT nor unix:/PATH", word);
	bool brackets = n > 1 && word[0] == '[' && word[n - 1] == ']';
	snprintf(host, sizeof host, "%.*s", (int)(brackets ? n - 2 : n), word + brackets);
	bool any = !*host || strcmp(host, "*") == 0;
	int code = getaddrinfo(any ? NULL : host, colon + 1, &hints, &found);
	if (code)
		return error_set(err, SUMI_INVALID, "listen: %.100s: %s", word, gai_strerror(code));
	int status = SUMI_OK;
	for (a = found; a && !status && l->count < LISTEN_MAX; a = a->ai_next)
		status = bind_to(a->ai_addr, a->ai_addrlen, word, l, err);
	freeaddrinfo(found);
	return status;
}

static void close_all(struct listening *l)
{
	while (l->count)
		close(l->fds[--l->count]);
}

int listen_open(const char *list, struct listening *l, struct error *err)
{
	char word[300];
	*l = (struct listening){.local = true};
	int given = sd_listen_fds(1), status = SUMI_OK;
	if (given > LISTEN_MAX)
		return error_set(err, SUMI_TOOBIG, "more than %d sockets", LISTEN_MAX);
	for (int i = 0; i < given; i++) {
		fcntl(SD_LISTEN_FDS_START + i, F_SETFL, O_NONBLOCK);
		note(l, SD_LISTEN_FDS_START + i);
	}
	if (given > 0)
		return SUMI_OK;
	for (const char *at = list; *at && !status;) {
		at += strspn(at, ", \t");
		size_t n = strcspn(at, ", \t");
		if (!n)
			break;
		snprintf(word, sizeof word, "%.*s", (int)n, at);
		at += n;
		if (l->count == LISTEN_MAX)
			status = error_set(err, SUMI_TOOBIG, "listen: more than %d sockets", LISTEN_MAX);
		else
			status = strncmp(word, "unix:", 5) == 0 ? open_unix(word + 5, l, err)
								: open_tcp(word, l, err);
	}
	if (!status && !l->count)
		status = error_set(err, SUMI_INVALID, "listen names no address");
	if (status)
		close_all(l);
	return status;
}
