/* The tokenizer backwards: what ids stand for. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "networks/tokenizer_internal.h"

enum { PIECE_MAX = 256, DEPTH_MAX = 64 };

/* Of a vocabulary's ids: what they were merged of, or the byte that they are. */
struct spelling {
	const struct tokenizer *t;
	int32_t (*of)[2]; /* [vocab_size]: two ids; {−1 − byte, 1 where a word ends}; {0, −1}: neither */
};

static int open_spelling(struct spelling *s, const struct tokenizer *t, struct error *err)
{
	s->t = t;
	s->of = malloc((size_t)t->vocab_size * sizeof *s->of);
	if (!s->of)
		return error_set(err, SUMI_NOMEM, "no memory for a vocabulary");
	for (int i = 0; i < t->vocab_size; i++)
		s->of[i][0] = 0, s->of[i][1] = -1;
	for (uint32_t i = 0; i <= t->merge_mask; i++) {
		const struct tokenizer_merge *m = &t->merges[i];
		if (m->rank == TOKENIZER_NO_RANK || m->id < 0 || m->id >= t->vocab_size)
			continue;
		s->of[m->id][0] = m->left;
		s->of[m->id][1] = m->right;
	}
	for (int b = 0; b < 256; b++)
		for (int end = 0; end < 2; end++) {
			int32_t id = t->byte_ids[b][end];
			if (id < 0 || id >= t->vocab_size)
				continue;
			s->of[id][0] = -1 - b;
			s->of[id][1] = end;
		}
	return SUMI_OK;
}

static size_t spell(const struct spelling *s, int32_t id, int depth, char *out, size_t size)
{
	if (id < 0 || id >= s->t->vocab_size || depth > DEPTH_MAX || size < 3)
		return 0;
	const int32_t *of = s->of[id];
	if (of[0] < 0) {
		out[0] = (char)(-1 - of[0]);
		out[1] = ' ';
		return of[1] == 1 ? 2 : 1;
	}
	if (of[1] < 0)
		return 0;
	size_t n = spell(s, of[0], depth + 1, out, size);
	return n + spell(s, of[1], depth + 1, out + n, size - n);
}

static const char *special(const struct tokenizer *t, int32_t id)
{
	for (int i = 0; i < t->special_count; i++)
		if (t->specials[i].id == id)
			return t->specials[i].text;
	return NULL;
}

int tokenizer_spell(const struct tokenizer *t, const int32_t *ids, size_t n, char ***out,
		    struct error *err)
{
	struct spelling s = {0};
	char piece[PIECE_MAX];
	int status = open_spelling(&s, t, err);
	char **texts = status ? NULL : calloc(n + 1, sizeof *texts);
	*out = NULL;
	for (size_t i = 0; texts && i < n && !status; i++) {
		const char *name = special(t, ids[i]);
		size_t size = name ? 0 : spell(&s, ids[i], 0, piece, sizeof piece - 1);
		piece[size] = '\0';
		utf8_make_printable(piece);
		texts[i] = strdup(name ? name : piece);
		if (!texts[i])
			status = SUMI_NOMEM;
	}
	free(s.of);
	if (!texts || status) {
		for (size_t i = 0; texts && i < n; i++)
			free(texts[i]);
		free(texts);
		return error_set(err, SUMI_NOMEM, "no memory for a prompt's tokens");
	}
	*out = texts;
	return SUMI_OK;
}
