/* What of settings is no sense: told when they are read, and not where they would do nothing. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/config.h"

/* Of a file there is no telling whence a path counts: programs start anywhere. */
static int check_folders(const char *key, const char *list, char between, struct error *err)
{
	const char ends[] = {between, '\0'};
	for (const char *at = list; *at; at += strcspn(at, ends), at += *at == between)
		if (*at != '/')
			return error_set(err, SUMI_INVALID, "%s: '%.*s': a folder must begin with /", key,
					 (int)strcspn(at, ends), at);
	return SUMI_OK;
}

static int check_precision(const struct config *config, struct error *err)
{
	static const char *const words[] = {"auto", "exact", "half", "int8"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (strcmp(config->precision, words[i]) == 0)
			return SUMI_OK;
	return error_set(err, SUMI_INVALID, "precision is '%s': it must be auto, exact, half or int8",
			 config->precision);
}

/* "ADDRESS:PORT" or "unix:/PATH"; a port may be a service's name. */
static int check_listen(const char *list, struct error *err)
{
	static const char between[] = ", \t";
	for (const char *at = list + strspn(list, between); *at; at += strspn(at, between)) {
		size_t n = strcspn(at, between);
		const char *port = at + n;
		while (port > at && port[-1] != ':')
			port--;
		if (port == at) /* no colon */
			port = at + n;
		size_t digits = strspn(port, "0123456789");
		bool path = n > 6 && strncmp(at, "unix:/", 6) == 0;
		if (!path && port == at + n)
			return error_set(err, SUMI_INVALID,
					 "listen: '%.*s' is neither ADDRESS:PORT nor unix:/PATH",
					 n < 100 ? (int)n : 100, at);
		if (!path && port + digits == at + n && (digits > 5 || atol(port) > 65535))
			return error_set(err, SUMI_INVALID, "listen: '%.*s': a port is 0 to 65535",
					 n < 100 ? (int)n : 100, at);
		at += n;
	}
	return SUMI_OK;
}

/* The length of "http://" or "https://" with something behind it; 0: it is neither. */
static size_t scheme(const char *url, size_t n)
{
	size_t length = strncasecmp(url, "https://", 8) == 0 ? 8 : strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
	return n > length ? length : 0;
}

static int check_urls(const struct config *config, struct error *err)
{
	static const char between[] = ", \t";
	const char *url = config->public_url;
	if (*url && (!scheme(url, strlen(url)) || strpbrk(url, " \t,")))
		return error_set(err, SUMI_INVALID,
				 "public_url: '%.100s' is no address: write https://sumi.example.org", url);
	/* As browsers write it: a path, a * or a / at the end would be none that any sends. */
	for (const char *at = config->origins + strspn(config->origins, between); *at; at += strspn(at, between)) {
		size_t n = strcspn(at, between), begin = scheme(at, n);
		if (!begin || memchr(at + begin, '/', n - begin) || memchr(at, '*', n))
			return error_set(err, SUMI_INVALID,
					 "origins: '%.*s' is no origin: write https://example.org, without a "
					 "path",
					 n < 100 ? (int)n : 100, at);
		at += n;
	}
	return SUMI_OK;
}

static int check_secret(const char *secret, struct error *err)
{
	void *bytes = NULL;
	size_t size;
	if (strncmp(secret, "whsec_", 6) != 0)
		return SUMI_OK;
	int status = base64_decode(secret + 6, strlen(secret + 6), &bytes, &size, err);
	free(bytes);
	return status ? error_set(err, SUMI_INVALID, "notify_secret: what follows whsec_ is no base64")
		      : SUMI_OK;
}

/* It stands before every key, in patterns that look for keys too. */
static int check_prefix(const char *prefix, struct error *err)
{
	for (const char *p = prefix; *p; p++)
		if ((unsigned char)*p <= ' ' || strchr("*?[]\\\"'", *p))
			return error_set(err, SUMI_INVALID,
					 "prefix: '%s': no spaces, quotes or any of * ? [ ] \\", prefix);
	return *prefix ? SUMI_OK
		       : error_set(err, SUMI_INVALID, "prefix is empty: write one such as {sumi}:");
}

static int check_numbers(const struct config *config, struct error *err)
{
	if (config->lease_ms < 200)
		return error_set(err, SUMI_INVALID, "lease must be at least 200ms");
	if (config->max_attempts < 1)
		return error_set(err, SUMI_INVALID, "max_attempts must be at least 1");
	if (config->max_attempts > 100)
		return error_set(err, SUMI_INVALID, "max_attempts must be at most 100");
	if (config->connections < 1 || config->connections > 1000000 || config->connections_per_address < 1)
		return error_set(err, SUMI_INVALID,
				 "connections must be 1 to 1000000, connections_per_address at least 1");
	return SUMI_OK;
}

int config_check_values(const struct config *config, struct error *err)
{
	int status = check_numbers(config, err);
	if (!status)
		status = check_folders("state_dir", config->state_dir, '\0', err);
	if (!status)
		status = check_folders("input_dirs", config->input_dirs, ':', err);
	if (!status)
		status = check_folders("packs", config->packs, ':', err);
	if (!status)
		status = check_folders("weight_cache_dir", config->weight_cache_dir, '\0', err);
	if (!status)
		status = check_precision(config, err);
	if (!status)
		status = check_prefix(config->prefix, err);
	if (!status)
		status = check_listen(config->listen, err);
	if (!status)
		status = check_urls(config, err);
	return status ? status : check_secret(config->notify_secret, err);
}
