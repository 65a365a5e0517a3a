/* Prompts of which parts are drawn, as sd-dynamic-prompts writes them: {a|b|c}, {2::a|b}, {2$$a|b|c},
 * {1-2$$ and $$a|b|c}, __name__ for a line of a file. Pure: where lines come from is the caller's. */
#ifndef SUMI_REQUEST_DYNAMIC_H
#define SUMI_REQUEST_DYNAMIC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

enum { DYNAMIC_TEXT_MAX = 8 * 1024, DYNAMIC_DEPTH_MAX = 16, DYNAMIC_NAME_MAX = 128 };

struct dynamic_source {
	/* The lines of a name, a new array of texts; SUMI_NOTFOUND lists the names that there are. */
	int (*lines)(void *context, const char *name, json_t **out, struct error *err);
	void *context;
};

/* Whether something of a text is drawn. */
bool dynamic_is(const char *text);

/* The text with what is drawn in its place: the same by the same seed and lines. Backslashes keep braces and
 * underscores from being any of this, and go. SUMI_INVALID names what cannot be read; SUMI_TOOBIG where more
 * than DYNAMIC_TEXT_MAX bytes come of it. The caller frees *out. */
int dynamic_draw(const char *text, uint64_t seed, const struct dynamic_source *source, char **out,
		 struct error *err);

#endif
