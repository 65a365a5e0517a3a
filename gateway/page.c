/* The page: its files are built into the program, and run nothing that did not come with them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/embed.h"
#include "gateway/handlers.h"

extern const struct embedded_file embedded_page[]; /* gateway/page/ */

enum { COOKIE_DAYS = 30 };

static const char *type_of(const char *name)
{
	static const struct {
		const char *end, *type;
	} types[] = {{".html", "text/html; charset=utf-8"},
		     {".css", "text/css; charset=utf-8"},
		     {".js", "text/javascript; charset=utf-8"},
		     {".svg", "image/svg+xml"}};
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++)
		if (strcmp(dot, types[i].end) == 0)
			return types[i].type;
	return "application/octet-stream";
}

static void send_embedded(struct call *call, const char *name)
{
	const struct embedded_file *f = embedded_page;
	while (f->name && strcmp(f->name, name) != 0)
		f++;
	if (!f->name) {
		call_refuse(call, 404, NULL, "there is no page '%.90s'", name);
		return;
	}
	char *body = malloc(f->size + 1);
	if (!body) {
		call_refuse(call, 500, NULL, "out of memory");
		return;
	}
	memcpy(body, f->text, f->size + 1);
	call_text(call, 200, type_of(f->name), body, f->size);
	http_header(&call->answer,
		    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src "
		    "'self' blob:; media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
		    "frame-ancestors 'none'; require-trusted-types-for 'script'");
	http_header(&call->answer, "Referrer-Policy: no-referrer");
	http_header(&call->answer, "Cross-Origin-Opener-Policy: same-origin");
	http_header(&call->answer, "Cache-Control: no-cache");
}

void page_show(struct call *call, struct worker *w)
{
	(void)w;
	send_embedded(call, "index.html");
}

void page_file(struct call *call, struct worker *w)
{
	(void)w;
	send_embedded(call, call->args[0]);
}

/* A browser's own requests (pictures, event streams) can carry a key in a cookie alone. The key came in a
 * header and was found good. */
void page_login(struct call *call, struct worker *w)
{
	const char *key = head_value(&call->http->head, "authorization");
	const char *url = call->shared->config->public_url;
	(void)w;
	if (call->caller.keyless || !key || strncmp(key, "Bearer ", 7) != 0) {
		call_json(call, 200, json_pack("{s:b}", "key", 0));
		return;
	}
	call_json(call, 200, json_pack("{s:b}", "key", 1));
	http_header(&call->answer, "Set-Cookie: sumi_key=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s",
		    key + 7, COOKIE_DAYS * 86400, strncmp(url, "https:", 6) == 0 ? "; Secure" : "");
}

void page_logout(struct call *call, struct worker *w)
{
	(void)w;
	call_json(call, 200, json_object());
	http_header(&call->answer, "Set-Cookie: sumi_key=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");
}
