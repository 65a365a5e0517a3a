/* Reads the URL that says where Redis is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "queue/internal.h"

static int bad(const char *why, struct error *err)
{
	return error_set(err, SUMI_INVALID,
			 "redis URL: %s (write redis://user:password@host:6379/0, rediss://…, "
			 "unix:///path or redis+sentinel://host:26379,host:26379/master/0)",
			 why);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %41 → A. False when it does not fit or is malformed. */
static bool decode(const char *text, size_t size, char *out, size_t room)
{
	size_t n = 0;
	for (size_t i = 0; i < size; i++, n++) {
		if (n + 1 >= room)
			return false;
		out[n] = text[i];
		if (text[i] != '%')
			continue;
		if (i + 2 >= size || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0)
			return false;
		out[n] = (char)(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
		i += 2;
	}
	out[n] = '\0';
	return true;
}

static bool whole_number(const char *text, size_t size, int max, int *value)
{
	*value = 0;
	for (size_t i = 0; i < size; i++) {
		if (text[i] < '0' || text[i] > '9' || *value > max)
			return false;
		*value = *value * 10 + text[i] - '0';
	}
	return size > 0 && *value <= max;
}

/* host, host:port, [v6], [v6]:port */
static int read_host(const char *p, size_t size, int fallback_port, struct queue_url *url,
		     struct error *err)
{
	const char *host = p, *port = NULL, *end = p + size;
	size_t host_size;
	if (size && *p == '[') {
		const char *close = memchr(p, ']', size);
		if (!close)
			return bad("']' is missing", err);
		host = p + 1;
		host_size = (size_t)(close - host);
		if (close + 1 < end && close[1] == ':')
			port = close + 2;
	} else {
		const char *colon = memchr(p, ':', size);
		host_size = colon ? (size_t)(colon - p) : size;
		port = colon ? colon + 1 : NULL;
	}
	if (url->hosts == URL_MAX_SENTINELS)
		return bad("too many hosts", err);
	int i = url->hosts++;
	url->port[i] = fallback_port;
	if (host_size == 0)
		strcpy(url->host[i], "127.0.0.1");
	else if (!decode(host, host_size, url->host[i], sizeof url->host[i]))
		return bad("the host cannot be read", err);
	if (port && !whole_number(port, (size_t)(end - port), 65535, &url->port[i]))
		return bad("the port is no number", err);
	return SUMI_OK;
}

static int read_credentials(const char *p, size_t size, struct queue_url *url, struct error *err)
{
	const char *colon = memchr(p, ':', size);
	size_t user = colon ? (size_t)(colon - p) : size;
	if (!decode(p, user, url->user, sizeof url->user) ||
	    (colon && !decode(colon + 1, size - user - 1, url->password, sizeof url->password)))
		return bad("user or password cannot be read", err);
	return SUMI_OK;
}

static int read_path(const char *p, struct queue_url *url, struct error *err)
{
	if (url->kind == URL_SENTINEL) {
		size_t n = strcspn(p, "/");
		if (n == 0 || !decode(p, n, url->master, sizeof url->master))
			return bad("the master's name is missing behind the Sentinels", err);
		p += n + (p[n] == '/');
	}
	if (*p && !whole_number(p, strlen(p), 1 << 20, &url->db))
		return bad("the database is no number", err);
	return SUMI_OK;
}

static int read_unix(const char *p, struct queue_url *url, struct error *err)
{
	const char *query = strstr(p, "?db=");
	size_t n = query ? (size_t)(query - p) : strlen(p);
	if (*p != '/' || !decode(p, n, url->path, sizeof url->path))
		return bad("the path of a Unix socket must be absolute and shorter than 108 bytes",
			   err);
	if (query && !whole_number(query + 4, strlen(query + 4), 1 << 20, &url->db))
		return bad("the database is no number", err);
	return SUMI_OK;
}

int url_parse(const char *text, struct queue_url *url, struct error *err)
{
	static const struct {
		const char *scheme;
		enum url_kind kind;
		int port;
	} schemes[] = {{"redis://", URL_TCP, 6379},
		       {"rediss://", URL_TLS, 6379},
		       {"unix://", URL_UNIX, 0},
		       {"redis+sentinel://", URL_SENTINEL, 26379}};
	memset(url, 0, sizeof *url);
	size_t i = 0;
	while (i < 4 && strncmp(text, schemes[i].scheme, strlen(schemes[i].scheme)) != 0)
		i++;
	if (i == 4)
		return bad("the scheme is not known", err);
	const char *p = text + strlen(schemes[i].scheme);
	url->kind = schemes[i].kind;
	if (url->kind == URL_UNIX)
		return read_unix(p, url, err);
	size_t authority = strcspn(p, "/");
	const char *rest = p[authority] ? p + authority + 1 : "", *at = NULL;
	for (size_t k = 0; k < authority; k++)
		if (p[k] == '@')
			at = p + k;
	int status = at ? read_credentials(p, (size_t)(at - p), url, err) : SUMI_OK;
	if (at) {
		authority -= (size_t)(at + 1 - p);
		p = at + 1;
	}
	while (status == SUMI_OK) {
		const char *comma = url->kind == URL_SENTINEL ? memchr(p, ',', authority) : NULL;
		size_t n = comma ? (size_t)(comma - p) : authority;
		status = read_host(p, n, schemes[i].port, url, err);
		if (!comma)
			break;
		p += n + 1;
		authority -= n + 1;
	}
	return status ? status : read_path(rest, url, err);
}

int queue_url_check(const char *url, struct error *err)
{
	struct queue_url parsed;
	return url_parse(url, &parsed, err);
}

void url_describe(const struct queue_url *url, char *out, size_t size)
{
	static const char *const scheme[] = {"redis", "rediss", "unix", "redis+sentinel"};
	if (url->kind == URL_UNIX)
		snprintf(out, size, "unix://%s", url->path);
	else if (url->kind == URL_SENTINEL)
		snprintf(out, size, "redis+sentinel://%s:%d…/%s", url->host[0], url->port[0],
			 url->master);
	else
		snprintf(out, size, "%s://%s:%d", scheme[url->kind], url->host[0], url->port[0]);
}
