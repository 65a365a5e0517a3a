/* Files over HTTP, by libcurl. */
#include "hub/transfer.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

enum {
	AT_ONCE = 4,
	TRIES = 5, /* that bring nothing, one after the other */
	WAIT_MS = 200,
	CONNECT_S = 20,
	STALL_S = 60, /* without a byte */
	RETRY_MS = 1000,
	LONGEST_WAIT_S = 120, /* that a server may ask for */
	ETAG_MAX = 256,
};

/* ---- what servers answer ---- */

static int of_code(const char *url, long code, struct error *err)
{
	static const struct {
		long code;
		int status;
		const char *words;
	} codes[] = {
	    {401, SUMI_PERM, "it wants a token, or another one"},
	    {403, SUMI_PERM, "it is not open to this token: its licence may have to be accepted first"},
	    {404, SUMI_NOTFOUND, "there is no such thing, or it is private"},
	    {410, SUMI_NOTFOUND, "it is gone"},
	    {429, SUMI_BUSY, "too many requests: try again later"},
	};
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (codes[i].code == code)
			return error_set(err, codes[i].status, "%s: %s (HTTP %ld)", url,
					 codes[i].words, code);
	return error_set(err, SUMI_CONNECT, "%s: the server answered HTTP %ld", url, code);
}

static int of_curl(CURL *curl, const char *url, CURLcode result, const char *detail,
		   struct error *err)
{
	long code = 0;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	if (result == CURLE_OK)
		return code >= 200 && code < 300 ? SUMI_OK : of_code(url, code, err);
	return error_set(err, SUMI_CONNECT, "%s: %s", url,
			 *detail ? detail : curl_easy_strerror(result));
}

/* What every request has. A token goes to the host that it is for: curl drops it on the way to another. */
static void set_up(CURL *curl, const char *url, const char *token, char *detail)
{
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 8L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "sumi/" SUMI_VERSION);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
	if (token && *token) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, token);
	}
}

/* May what has failed be tried again, and after how long: as the server says, else twice as long each time. */
static bool try_again(CURL *curl, CURLcode result, int tries, int64_t *wait_ms)
{
	long code = 0;
	curl_off_t asked = 0;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &asked);
	*wait_ms = RETRY_MS * (tries ? 1 << (tries - 1) : 0);
	if (result == CURLE_OK && asked > *wait_ms / 1000)
		*wait_ms = (int64_t)asked * 1000;
	return tries < TRIES && asked <= LONGEST_WAIT_S && result != CURLE_URL_MALFORMAT &&
	       result != CURLE_UNSUPPORTED_PROTOCOL && result != CURLE_TOO_MANY_REDIRECTS;
}

/* ---- pages ---- */

struct page {
	char *text;
	size_t size, limit;
};

/* Where nothing is reached at all, that is said at once; what is too busy or breaks off is asked again. */
static bool breaks_off(CURL *curl, CURLcode result)
{
	long code = 0;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	return result == CURLE_OK ? code == 429 || code >= 500
				  : result == CURLE_PARTIAL_FILE || result == CURLE_RECV_ERROR || result == CURLE_GOT_NOTHING;
}

static size_t take_text(char *data, size_t size, size_t count, void *context)
{
	struct page *page = context;
	size_t n = size * count;
	if (n > page->limit - page->size)
		return 0;
	char *grown = realloc(page->text, page->size + n + 1);
	if (!grown)
		return 0;
	page->text = grown;
	memcpy(grown + page->size, data, n);
	page->size += n;
	grown[page->size] = '\0';
	return n;
}

/* The body of a page, a new string that the caller frees. */
static int transfer_text(const char *url, const char *token, size_t limit, char **text, struct error *err)
{
	char detail[CURL_ERROR_SIZE] = "";
	struct page page = {.limit = limit};
	CURL *curl = curl_easy_init();
	*text = NULL;
	if (!curl)
		return error_set(err, SUMI_NOMEM, "out of memory");
	set_up(curl, url, token, detail);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_text);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &page);
	curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
	CURLcode result;
	int64_t wait_ms;
	for (int tries = 1; result = curl_easy_perform(curl), breaks_off(curl, result) &&
							      try_again(curl, result, tries, &wait_ms); tries++) {
		page.size = 0;
		clock_sleep_ms(wait_ms);
	}
	int status = result == CURLE_WRITE_ERROR && page.size + CURL_MAX_WRITE_SIZE > limit
			 ? error_set(err, SUMI_TOOBIG, "%s: an answer of more than %zu bytes", url, limit)
			 : of_curl(curl, url, result, detail, err);
	curl_easy_cleanup(curl);
	if (!status && !page.text)
		status = error_set(err, SUMI_CORRUPT, "%s: an empty answer", url);
	if (status)
		free(page.text);
	else
		*text = page.text;
	return status;
}

int transfer_json(const char *url, const char *token, size_t limit, json_t **answer, struct error *err)
{
	char *text, begin[64];
	struct error why;
	int status = transfer_text(url, token, limit, &text, err);
	if (status)
		return status;
	status = json_read_foreign(text, strlen(text), limit * JSON_EXPANSION, url, answer, &why);
	if (status == SUMI_NOMEM || status == SUMI_TOOBIG) {
		error_set(err, status, "%s", why.text);
	} else if (status) {
		const char *first = text + strspn(text, " \t\r\n");
		snprintf(begin, sizeof begin, "%s", first);
		utf8_make_printable(begin);
		status = error_set(err, SUMI_CORRUPT,
				   *first == '{' || *first == '['
				       ? "%s: the answer is no whole JSON; it begins with %s: try again later"
				       : "%s: the server did not answer with JSON but with %s …: a page to log in, or of a proxy, stands "
					 "between, or that is no such hub",
				   url, begin);
	}
	free(text);
	return status;
}

/* ---- hashes ---- */

/* git's name of a file: SHA-1 over "blob SIZE", NUL and the bytes. */
static int git_name(const char *path, uint64_t size, char out[41], struct error *err)
{
	unsigned char block[1 << 16], digest[EVP_MAX_MD_SIZE];
	int fd = open(path, O_RDONLY | O_CLOEXEC), status = SUMI_OK;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char head[32];
	ssize_t n = 0;
	if (fd < 0 || !ctx) {
		status = error_errno(err, "%s", path);
		goto done;
	}
	int length = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size) + 1;
	EVP_DigestInit_ex(ctx, EVP_sha1(), NULL);
	EVP_DigestUpdate(ctx, head, (size_t)length);
	while ((n = read(fd, block, sizeof block)) > 0)
		EVP_DigestUpdate(ctx, block, (size_t)n);
	if (n < 0)
		status = error_errno(err, "%s", path);
	EVP_DigestFinal_ex(ctx, digest, NULL);
	for (int i = 0; i < 20; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
done:
	EVP_MD_CTX_free(ctx);
	if (fd >= 0)
		close(fd);
	return status;
}

static int check_at(const struct transfer_file *f, const char *path, struct error *err)
{
	struct stat st;
	char hash[SHA256_HEX_SIZE] = "";
	if (stat(path, &st) != 0)
		return error_errno(err, "%s", path);
	if (f->size && (uint64_t)st.st_size != f->size)
		return error_set(err, SUMI_CORRUPT, "%s: has %lld bytes, %llu were promised", f->path,
				 (long long)st.st_size, (unsigned long long)f->size);
	const char *want = *f->sha256 ? f->sha256 : f->git_sha1;
	int status = *f->sha256	    ? sha256_file(path, hash, err)
		     : *f->git_sha1 ? git_name(path, (uint64_t)st.st_size, hash, err)
				    : SUMI_OK;
	if (!status && strcasecmp(hash, want) != 0)
		status = error_set(err, SUMI_CORRUPT, "%s: its hash is %s, %s was promised", f->path,
				   hash, want);
	return status;
}

int transfer_check(const struct transfer_file *f, struct error *err)
{
	return check_at(f, f->path, err);
}

/* ---- files ---- */

struct slot {
	const struct transfer_file *file; /* NULL: free */
	CURL *curl;
	struct curl_slist *headers;
	FILE *out;
	char part[FILES_PATH_MAX], mark[FILES_PATH_MAX]; /* the bytes; the ETag that they are of */
	char detail[CURL_ERROR_SIZE], etag[ETAG_MAX];
	uint64_t begun, have; /* bytes: at the beginning of this try; now */
	long code;
	int tries;       /* that brought nothing */
	bool again;      /* it was wrong once and is fetched from the beginning */
	bool full;       /* the disk */
	int64_t not_before;
};

struct fetch {
	const struct transfer_file *files;
	size_t count, next, whole;
	const struct transfer_watch *watch;
	CURLM *multi;
	struct slot slots[AT_ONCE];
	uint64_t done; /* bytes of finished files */
};

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
	struct slot *s = context;
	size_t n = size * count;
	if (n > 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		s->etag[0] = '\0'; /* of a redirect */
	} else if (n > 5 && strncasecmp(line, "ETag:", 5) == 0) {
		const char *p = line + 5, *end = line + n;
		while (p < end && isspace((unsigned char)*p))
			p++;
		while (end > p && isspace((unsigned char)end[-1]))
			end--;
		snprintf(s->etag, sizeof s->etag, "%.*s", (int)(end - p), p);
	}
	return n;
}

/* Of a file whose hash nobody promised, the ETag says whether its parts belong together. */
static void note_etag(const struct slot *s)
{
	if (*s->file->sha256 || *s->file->git_sha1)
		return;
	FILE *f = fopen(s->mark, "we");
	if (f) {
		fputs(s->etag, f);
		fclose(f);
	}
}

/* The first bytes say by their status whether they go on behind what is there. */
static size_t take_bytes(char *data, size_t size, size_t count, void *context)
{
	struct slot *s = context;
	size_t n = size * count;
	if (!s->code) {
		curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &s->code);
		if (s->code == 200 && s->have > 0) {
			s->have = 0;
			if (fseeko(s->out, 0, SEEK_SET) != 0 || ftruncate(fileno(s->out), 0) != 0)
				return 0;
		}
		if (s->code == 200)
			note_etag(s);
	}
	if (s->code != 200 && s->code != 206)
		return n; /* words about an error */
	if (fwrite(data, 1, n, s->out) != n) {
		s->full = errno == ENOSPC;
		return 0;
	}
	s->have += n;
	return n;
}

static void release(struct fetch *f, struct slot *s)
{
	if (s->curl) {
		curl_multi_remove_handle(f->multi, s->curl);
		curl_easy_cleanup(s->curl);
	}
	curl_slist_free_all(s->headers);
	if (s->out)
		fclose(s->out);
	s->curl = NULL;
	s->headers = NULL;
	s->out = NULL;
}

/* Where to go on, and by which ETag; 0 where there is nothing to go on with. */
static uint64_t begun_before(const struct slot *s, char etag[ETAG_MAX])
{
	struct stat st;
	etag[0] = '\0';
	if (stat(s->part, &st) != 0 || st.st_size <= 0)
		return 0;
	if (*s->file->sha256 || *s->file->git_sha1)
		return (uint64_t)st.st_size;
	FILE *f = fopen(s->mark, "re");
	bool known = f && fgets(etag, ETAG_MAX, f) && *etag;
	if (f)
		fclose(f);
	return known ? (uint64_t)st.st_size : 0;
}

static int make_folder(const char *path, struct error *err)
{
	char folder[FILES_PATH_MAX];
	snprintf(folder, sizeof folder, "%s", path);
	char *slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return SUMI_OK;
	*slash = '\0';
	return files_make_dirs(folder, 0755, err);
}

static int begin(struct fetch *f, struct slot *s, struct error *err)
{
	char etag[ETAG_MAX], range[64], header[ETAG_MAX + 16];
	s->have = s->begun = begun_before(s, etag);
	s->code = 0;
	s->detail[0] = s->etag[0] = '\0';
	int status = make_folder(s->part, err);
	if (status)
		return status;
	s->out = fopen(s->part, s->have ? "r+e" : "we");
	if (!s->out || (s->have && fseeko(s->out, (off_t)s->have, SEEK_SET) != 0))
		return error_errno(err, "%s", s->part);
	if (!(s->curl = curl_easy_init()))
		return error_set(err, SUMI_NOMEM, "out of memory");
	set_up(s->curl, s->file->url, s->file->token, s->detail);
	if (s->have) {
		snprintf(range, sizeof range, "%llu-", (unsigned long long)s->have);
		curl_easy_setopt(s->curl, CURLOPT_RANGE, range);
	}
	if (*etag) {
		snprintf(header, sizeof header, "If-Range: %s", etag);
		s->headers = curl_slist_append(NULL, header);
		curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, s->headers);
	}
	curl_easy_setopt(s->curl, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(s->curl, CURLOPT_HEADERDATA, s);
	curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, take_bytes);
	curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, s);
	curl_easy_setopt(s->curl, CURLOPT_PRIVATE, s);
	curl_multi_add_handle(f->multi, s->curl);
	return SUMI_OK;
}

/* All bytes are there: are they right? Then they get their name. */
static int finish(struct fetch *f, struct slot *s, struct error *err)
{
	const struct transfer_file *file = s->file;
	bool flushed = fflush(s->out) == 0 && fsync(fileno(s->out)) == 0;
	release(f, s);
	if (!flushed)
		return error_errno(err, "%s", s->part);
	int status = check_at(file, s->part, err);
	if (status == SUMI_CORRUPT) {
		unlink(s->part);
		if (s->again)
			return status;
		s->again = true;
		return begin(f, s, err);
	}
	if (!status && rename(s->part, file->path) != 0)
		status = error_errno(err, "%s", file->path);
	if (!status)
		status = files_sync_parent(file->path, err);
	unlink(s->mark);
	f->done += s->have;
	f->whole++;
	s->file = NULL;
	return status;
}

/* The end of a try: the next one, or of the file. */
static int end_of_try(struct fetch *f, struct slot *s, CURLcode result, struct error *err)
{
	long code = 0;
	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &code);
	if (s->full)
		return error_set(err, SUMI_FULL, "%s: the disk is full; what is there is gone on with "
						 "the next time", s->part);
	/* A range behind the end: what is there is whole, or of another file. */
	bool whole = (result == CURLE_OK && (code == 200 || code == 206)) || code == 416;
	if (whole && (!s->file->size || s->have >= s->file->size || code == 416))
		return finish(f, s, err);
	int status = of_curl(s->curl, s->file->url, result, s->detail, err);
	if (!status) /* an end before the promised size, told as a good one */
		status = error_set(err, SUMI_CONNECT, "%s: cut off after %llu bytes of %llu",
				   s->file->url, (unsigned long long)s->have,
				   (unsigned long long)s->file->size);
	int64_t wait_ms;
	s->tries = s->have > s->begun ? 0 : s->tries + 1;
	bool may_mend = (status == SUMI_CONNECT || status == SUMI_BUSY) && try_again(s->curl, result, s->tries, &wait_ms);
	release(f, s);
	if (!may_mend)
		return status;
	s->not_before = clock_boot_ms() + wait_ms;
	return SUMI_OK;
}

/* Gives free slots the next files; and those that wait for another try, that. */
static int fill(struct fetch *f, struct error *err)
{
	int status = SUMI_OK;
	for (int i = 0; i < AT_ONCE && !status; i++) {
		struct slot *s = &f->slots[i];
		while (!s->file && f->next < f->count && !status) {
			const struct transfer_file *file = &f->files[f->next++];
			if (transfer_check(file, NULL) == SUMI_OK && (*file->sha256 || *file->git_sha1)) {
				f->done += file->size;
				f->whole++;
				continue;
			}
			*s = (struct slot){.file = file};
			status = files_path(s->part, err, "%s.part", file->path);
			if (!status)
				status = files_path(s->mark, err, "%s.part-etag", file->path);
		}
		if (!status && s->file && !s->curl && clock_boot_ms() >= s->not_before)
			status = begin(f, s, err);
	}
	return status;
}

static bool tell(struct fetch *f)
{
	uint64_t done = f->done;
	bool busy = f->next < f->count;
	for (int i = 0; i < AT_ONCE; i++) {
		done += f->slots[i].file ? f->slots[i].have : 0;
		busy |= f->slots[i].file != NULL;
	}
	if (f->watch && f->watch->progress)
		f->watch->progress(f->watch->context, done, f->whole);
	return busy;
}

int transfer_files(const struct transfer_file *files, size_t count, const struct transfer_watch *watch,
		   struct error *err)
{
	struct fetch f = {.files = files, .count = count, .watch = watch, .multi = curl_multi_init()};
	if (!f.multi)
		return error_set(err, SUMI_NOMEM, "out of memory");
	int status = SUMI_OK;
	while (!status && !(status = fill(&f, err)) && tell(&f)) {
		int running, left;
		CURLMsg *message;
		curl_multi_perform(f.multi, &running);
		while (!status && (message = curl_multi_info_read(f.multi, &left))) {
			struct slot *s;
			CURLcode result = message->data.result;
			if (message->msg != CURLMSG_DONE)
				continue;
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&s);
			status = end_of_try(&f, s, result, err);
		}
		if (!status)
			curl_multi_poll(f.multi, NULL, 0, WAIT_MS, NULL);
	}
	for (int i = 0; i < AT_ONCE; i++)
		release(&f, &f.slots[i]);
	curl_multi_cleanup(f.multi);
	return status;
}
