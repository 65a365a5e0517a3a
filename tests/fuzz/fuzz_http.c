/* What strangers send to the gateway: heads of requests, queries, sizes of chunks, ranges, forms, base64. The first
 * byte chooses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "gateway/head.h"
#include "gateway/multipart.h"
#include "tests/fuzz/fuzz.h"

/* A head again, from what was read of it. */
static size_t write_head(const struct head *h, char *out, size_t room)
{
	size_t used = (size_t)snprintf(out, room, "%s ", h->method);
	for (int i = 0; i < h->segment_count; i++) {
		out[used++] = '/';
		for (const char *p = h->segments[i]; *p; p++)
			used += (size_t)snprintf(out + used, room - used, "%%%02X", (unsigned char)*p);
	}
	used += (size_t)snprintf(out + used, room - used, "%s%s%s HTTP/1.%d\r\n", h->segment_count ? "" : "/",
				 *h->query ? "?" : "", h->query, h->minor);
	for (size_t i = 0; i < h->header_count; i++)
		used += (size_t)snprintf(out + used, room - used, "%s: %s\r\n", h->headers[i].name,
					 h->headers[i].value);
	return used + (size_t)snprintf(out + used, room - used, "\r\n");
}

static void require_same(const struct head *a, const struct head *b)
{
	fuzz_require(strcmp(a->method, b->method) == 0 && strcmp(a->query, b->query) == 0, "the same line");
	fuzz_require(a->segment_count == b->segment_count && a->header_count == b->header_count, "as many parts");
	for (int i = 0; i < a->segment_count; i++)
		fuzz_require(strcmp(a->segments[i], b->segments[i]) == 0, "the same path");
	for (size_t i = 0; i < a->header_count; i++)
		fuzz_require(strcmp(a->headers[i].name, b->headers[i].name) == 0 &&
				 strcmp(a->headers[i].value, b->headers[i].value) == 0,
			     "the same headers");
	fuzz_require(a->length == b->length && a->chunked == b->chunked && a->keep_alive == b->keep_alive &&
			 strcmp(a->host, b->host) == 0,
		     "the same body");
}

static void try_head(const char *data, size_t size)
{
	long whole = head_size(data, size);
	struct head h, again;
	const char *why = NULL;
	fuzz_require(whole <= (long)size, "a head ends within what is there");
	if (whole <= 0)
		return;
	char *text = malloc((size_t)whole + 1);
	memcpy(text, data, (size_t)whole);
	text[whole] = '\0';
	int status = head_parse(text, (size_t)whole, &h, &why);
	fuzz_require(status ? status >= 400 && status < 600 && why : h.host && h.method && h.query,
		     "a refusal has a reason, a head its parts");
	fuzz_require(status || !h.chunked || h.length < 0, "a body has one length");
	if (!status && h.segment_count >= 0) {
		static char copy[8 * HEAD_MAX];
		size_t n = write_head(&h, copy, sizeof copy);
		char *second = malloc(n + 1);
		memcpy(second, copy, n + 1);
		if (n < HEAD_MAX) {
			fuzz_require(head_size(second, n) == (long)n, "what was read is a head");
			fuzz_require(head_parse(second, n, &again, &why) == 0, "and can be read");
			require_same(&h, &again);
			head_clear(&again);
		} else {
			free(second);
		}
	}
	head_clear(&h);
}

static bool count_pair(void *context, const char *name, const char *value)
{
	*(size_t *)context += strlen(name) + strlen(value);
	return true;
}

static void try_texts(const char *text, size_t size)
{
	uint64_t chunk;
	size_t used, total = 0;
	int64_t first, last;
	bool bad;
	head_each(text, count_pair, &total);
	fuzz_require(total <= size, "decoding never grows");
	free(head_query(text, "q", &bad));
	if (head_chunk_size(text, size, &chunk, &used))
		fuzz_require(used <= size && chunk <= UINT32_MAX, "a chunk's size is one");
	int status = head_range(text, 1000, &first, &last);
	fuzz_require(status == 200 || status == 206 || status == 416, "a range is one, or none");
	fuzz_require(status != 206 || (first >= 0 && first <= last && last < 1000), "it lies within the file");
}

static void try_form(struct fuzz_part rest)
{
	char *type = fuzz_text(fuzz_next(&rest));
	static struct multipart form;
	struct error err = {0};
	const char *body = (const char *)rest.data;
	int status = multipart_parse(type, body, rest.size, &form, &err);
	fuzz_outcome(status, &err);
	for (size_t i = 0; !status && i < form.count; i++)
		fuzz_require(form.parts[i].data >= body && form.parts[i].data + form.parts[i].size <= body + rest.size,
			     "a part lies within its form");
	free(type);
}

static void try_base64(const char *text, size_t size)
{
	void *data;
	size_t got, length;
	struct error err = {0};
	int status = base64_decode(text, size, &data, &got, &err);
	fuzz_outcome(status, &err);
	if (status)
		return;
	char *again = base64_encode(data, got, &length);
	void *twice;
	size_t same;
	fuzz_require(again && base64_decode(again, length, &twice, &same, &err) == 0 && same == got &&
			 (!got || memcmp(data, twice, got) == 0),
		     "bytes come back");
	free(again);
	free(twice);
	free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	char *text = fuzz_text((struct fuzz_part){data + 1, size - 1});
	switch (data[0] % 4) {
	case 0:
		try_head(text, size - 1);
		break;
	case 1:
		try_texts(text, size - 1);
		break;
	case 2:
		try_form((struct fuzz_part){data + 1, size - 1});
		break;
	default:
		try_base64(text, size - 1);
	}
	free(text);
	return 0;
}
