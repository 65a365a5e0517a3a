/* Keys, hosts and origins. */
#include "gateway/access.h"

#include <math.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/clock.h"

enum { KEY_MAX = 256, BURST_S = 10 };

void access_set_keys(struct access *a, struct queue_key *keys, size_t count)
{
	free(a->keys);
	a->keys = keys;
	a->count = count;
	a->known = true;
}

void access_clear(struct access *a)
{
	free(a->keys);
	free(a->buckets);
	*a = (struct access){0};
}

/* ---- the key in a request ------------------------------------------------------------------ */

static bool copy_key(const char *from, size_t size, char out[KEY_MAX])
{
	if (!size || size >= KEY_MAX)
		return false;
	memcpy(out, from, size);
	out[size] = '\0';
	return strlen(out) == size;
}

/* "user:key", or the key alone: some clients have no field for a user. */
static bool basic_key(const char *text, char out[KEY_MAX])
{
	void *data;
	size_t size;
	if (strlen(text) > 1024 || base64_decode(text, strlen(text), &data, &size, NULL))
		return false;
	const char *colon = memchr(data, ':', size);
	const char *from = colon ? colon + 1 : data;
	bool fine = copy_key(from, size - (size_t)(from - (const char *)data), out);
	free(data);
	return fine;
}

static bool cookie_key(const char *text, char out[KEY_MAX])
{
	static const char name[] = "sumi_key=";
	while (text) {
		text += strspn(text, " ;");
		size_t n = strcspn(text, ";");
		if (n > sizeof name - 1 && memcmp(text, name, sizeof name - 1) == 0)
			return copy_key(text + sizeof name - 1, n - (sizeof name - 1), out);
		text = text[n] ? text + n + 1 : NULL;
	}
	return false;
}

/* *cookie: a browser has sent it by itself, whoever's page it was that asked. */
static bool find_key(const struct http_request *r, const struct route *route, char out[KEY_MAX],
		     bool *cookie)
{
	const char *authorization = head_value(&r->head, "authorization");
	const char *xi = head_value(&r->head, "xi-api-key"), *jar = head_value(&r->head, "cookie");
	*cookie = false;
	if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0 &&
	    copy_key(authorization + 7, strlen(authorization + 7), out))
		return true;
	if (authorization && strncasecmp(authorization, "Basic ", 6) == 0 &&
	    basic_key(authorization + 6, out))
		return true;
	if (xi && copy_key(xi, strlen(xi), out))
		return true;
	bool bad;
	char *query = route->flags & ROUTE_MEDIA ? head_query(r->head.query, "key", &bad) : NULL;
	bool found = query && copy_key(query, strlen(query), out);
	free(query);
	if (found)
		return true;
	*cookie = jar && cookie_key(jar, out);
	return *cookie;
}

/* Every key is looked at, so that the time tells nothing. */
static const struct queue_key *known_key(const struct access *a, const char *key)
{
	char sha256[SHA256_HEX_SIZE];
	const struct queue_key *found = NULL;
	sha256_hex(key, strlen(key), sha256);
	for (size_t i = 0; i < a->count; i++)
		if (CRYPTO_memcmp(sha256, a->keys[i].sha256, SHA256_HEX_SIZE - 1) == 0)
			found = &a->keys[i];
	return found;
}

/* ---- browsers ------------------------------------------------------------------------------ */

bool access_origin_listed(const struct config *config, const char *origin)
{
	size_t length = strlen(origin);
	for (const char *at = config->origins; *at;) {
		at += strspn(at, ", \t");
		size_t n = strcspn(at, ", \t");
		if (n && n == length && strncasecmp(at, origin, n) == 0)
			return true;
		at += n;
	}
	return false;
}

static bool same_host(const char *origin, const char *host)
{
	const char *at = strstr(origin, "://");
	return at && strcasecmp(at + 3, host) == 0;
}

/* localhost, 127.0.0.1, [::1], each with a port or not: a name that somebody else's DNS gives for this
 * address is another. */
static bool local_host(const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		size_t n = strlen(names[i]);
		if (strncasecmp(host, names[i], n) == 0 && (!host[n] || host[n] == ':'))
			return true;
	}
	return false;
}

/* Whether a page of another site may be behind this. */
static bool foreign_page(const struct access *a, const struct http_request *r)
{
	const char *origin = head_value(&r->head, "origin");
	const char *site = head_value(&r->head, "sec-fetch-site");
	const char *referer = head_value(&r->head, "referer");
	if (origin)
		return !same_host(origin, r->head.host) && !access_origin_listed(a->config, origin);
	if (!site || !strcmp(site, "same-origin") || !strcmp(site, "none"))
		return false;
	char page[300] = "";
	const char *path = referer ? strstr(referer, "://") : NULL;
	size_t n = path ? (size_t)(path - referer) + 3 + strcspn(path + 3, "/") : 0;
	if (n && n < sizeof page)
		memcpy(page, referer, n);
	return !access_origin_listed(a->config, page);
}

/* ---- signed addresses ----------------------------------------------------------------------- */

bool access_sign(const char *secret, const char *job, const char *file, int64_t until,
		 char out[ACCESS_SIGNATURE_SIZE])
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned size = 0;
	char text[512];
	int n = snprintf(text, sizeof text, "%s\n%s\n%lld", job, file, (long long)until);
	if (!*secret || n < 0 || (size_t)n >= sizeof text ||
	    !HMAC(EVP_sha256(), secret, (int)strlen(secret), (unsigned char *)text, (size_t)n, mac, &size))
		return false;
	for (unsigned i = 0; i < size && 2 * i + 2 < ACCESS_SIGNATURE_SIZE; i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
	return true;
}

static bool is_signed(const struct access *a, const struct http_request *r, const char *const *args)
{
	bool bad;
	char *given = head_query(r->head.query, "signature", &bad), right[ACCESS_SIGNATURE_SIZE];
	char *until = given ? head_query(r->head.query, "until", &bad) : NULL;
	int64_t end = until ? strtoll(until, NULL, 10) : 0;
	bool fine = given && end > clock_wall_ms() / 1000 && strlen(given) == sizeof right - 1 &&
		    access_sign(a->secret, args[0], args[1], end, right) &&
		    CRYPTO_memcmp(given, right, sizeof right - 1) == 0;
	free(given);
	free(until);
	return fine;
}

/* ---- together ------------------------------------------------------------------------------ */

static int check_keyless(const struct access *a, const struct http_request *r, struct caller *caller,
			 const char **why)
{
	*why = "there is no key yet, so only this machine is served: sumi keys add NAME makes one";
	if (!r->peer.local)
		return 403;
	*why = "without a key the Host must be localhost, 127.0.0.1 or [::1]: sumi keys add NAME makes one";
	if (!local_host(r->head.host))
		return 403;
	*why = "a page of another site asks: name it in `origins` of sumi.conf, or make a key";
	if (foreign_page(a, r))
		return 403;
	*caller = (struct caller){.scope = QUEUE_SCOPE_ADMIN, .all = true, .keyless = true};
	strcpy(caller->name, "anonymous");
	return 0;
}

int access_check(struct access *a, const struct http_request *r, const struct route *route,
		 const char *const *args, struct caller *caller, const char **why)
{
	char text[KEY_MAX];
	bool cookie;
	*caller = (struct caller){.scope = QUEUE_SCOPE_READ};
	if (route->flags & ROUTE_OPEN)
		return 0;
	*why = "the keys cannot be read: the queue does not answer";
	if (!a->known)
		return 503;
	if (route->flags & ROUTE_SIGNED && is_signed(a, r, args)) {
		caller->all = true; /* of this one file */
		return 0;
	}
	if (!a->count)
		return check_keyless(a, r, caller, why);
	*why = "a key is needed: Authorization: Bearer KEY";
	if (!find_key(r, route, text, &cookie))
		return 401;
	const struct queue_key *key = known_key(a, text);
	*why = "this key is none, or has been revoked";
	if (!key)
		return 401;
	*why = "a page of another site asks: name it in `origins` of sumi.conf";
	/* MCP wants a foreign Origin refused whatever it brings. */
	if ((cookie || route->dialect == DIALECT_MCP) && foreign_page(a, r))
		return 403;
	*why = "this key may not do that: it was made for less (sumi keys list)";
	if (key->scope < route->scope)
		return 403;
	*caller = (struct caller){.scope = key->scope,
				  .all = key->scope == QUEUE_SCOPE_ADMIN,
				  .jobs = key->jobs};
	memcpy(caller->name, key->name, sizeof caller->name);
	memcpy(caller->key, key->sha256, sizeof caller->key);
	return 0;
}

bool access_holds(const struct access *a, const struct caller *caller)
{
	bool holds = caller->keyless ? !a->count : !*caller->key;
	for (size_t i = 0; i < a->count && !holds; i++)
		holds = strcmp(a->keys[i].sha256, caller->key) == 0;
	return holds;
}

static struct access_bucket *bucket_of(struct access *a, const char *name)
{
	for (size_t i = 0; i < a->bucket_count; i++)
		if (strcmp(a->buckets[i].name, name) == 0)
			return &a->buckets[i];
	struct access_bucket *grown =
	    realloc(a->buckets, (a->bucket_count + 1) * sizeof *a->buckets);
	if (!grown)
		return NULL;
	a->buckets = grown;
	struct access_bucket *b = &grown[a->bucket_count++];
	*b = (struct access_bucket){.at = 0};
	memcpy(b->name, name, sizeof b->name);
	return b;
}

int access_take(struct access *a, const struct caller *caller)
{
	double rate = 0;
	int64_t now = clock_boot_ms();
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->keys[i].name, caller->name) == 0)
			rate = a->keys[i].rate;
	struct access_bucket *b = rate > 0 ? bucket_of(a, caller->name) : NULL;
	if (!b)
		return 0;
	/* So much at once as comes in ten seconds, and one at least. */
	double most = fmax(1, rate * BURST_S);
	b->tokens = b->at ? fmin(most, b->tokens + (double)(now - b->at) / 1000 * rate) : most;
	b->at = now;
	if (b->tokens >= 1) {
		b->tokens -= 1;
		return 0;
	}
	double wait = ceil((1 - b->tokens) / rate);
	return wait < 1 ? 1 : wait > 60 ? 60 : (int)wait;
}
