/* The tokenizer: one word to ids by byte-pair encoding. Merges are taken from a heap, lowest
 * rank first and leftmost among equals, so that a word of n bytes takes n·log n. */
#include "networks/tokenizer_internal.h"

#include <stdlib.h>

#include "base/grow.h"

static uint32_t merge_hash(int32_t left, int32_t right)
{
	uint64_t h =
	    ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)(h >> 32) ^ (uint32_t)(h >> 15);
}

struct tokenizer_merge *tokenizer_merge_place(const struct tokenizer *t, int32_t left, int32_t right)
{
	uint32_t i = merge_hash(left, right) & t->merge_mask;
	while (t->merges[i].rank != TOKENIZER_NO_RANK &&
	       (t->merges[i].left != left || t->merges[i].right != right))
		i = (i + 1) & t->merge_mask;
	return &t->merges[i];
}

static const struct tokenizer_merge *find_merge(const struct tokenizer *t, int32_t left, int32_t right)
{
	const struct tokenizer_merge *m = tokenizer_merge_place(t, left, right);
	return m->rank == TOKENIZER_NO_RANK ? NULL : m;
}

struct symbol {
	int32_t id;     /* −1: merged into its left neighbour */
	int prev, next; /* −1 at the ends */
};

struct candidate {
	uint32_t rank;
	int at;     /* the left symbol */
	int32_t id; /* what it becomes */
};

struct heap {
	struct candidate *items;
	size_t count;
};

static bool before(struct candidate a, struct candidate b)
{
	return a.rank != b.rank ? a.rank < b.rank : a.at < b.at;
}

static void heap_push(struct heap *h, struct candidate item)
{
	size_t i = h->count++;
	while (i > 0 && before(item, h->items[(i - 1) / 2])) {
		h->items[i] = h->items[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	h->items[i] = item;
}

static struct candidate heap_pop(struct heap *h)
{
	struct candidate top = h->items[0], last = h->items[--h->count];
	size_t i = 0;
	for (;;) {
		size_t child = 2 * i + 1;
		if (child + 1 < h->count && before(h->items[child + 1], h->items[child]))
			child++;
		if (child >= h->count || !before(h->items[child], last))
			break;
		h->items[i] = h->items[child];
		i = child;
	}
	h->items[i] = last;
	return top;
}

/* Notes the merge of the symbol at i with its right neighbour, if there is one. */
static void consider(const struct tokenizer *t, const struct symbol *symbols, int i,
		     struct heap *heap)
{
	if (i < 0 || symbols[i].next < 0)
		return;
	const struct tokenizer_merge *m =
	    find_merge(t, symbols[i].id, symbols[symbols[i].next].id);
	if (m)
		heap_push(heap, (struct candidate){m->rank, i, m->id});
}

static void merge_all(const struct tokenizer *t, struct symbol *symbols, struct heap *heap)
{
	while (heap->count > 0) {
		struct candidate c = heap_pop(heap);
		struct symbol *left = &symbols[c.at];
		if (left->id < 0 || left->next < 0)
			continue;
		struct symbol *right = &symbols[left->next];
		/* The neighbours may have changed since this was noted. */
		const struct tokenizer_merge *m = find_merge(t, left->id, right->id);
		if (!m || m->id != c.id)
			continue;
		left->id = c.id;
		left->next = right->next;
		right->id = -1;
		if (left->next >= 0)
			symbols[left->next].prev = c.at;
		consider(t, symbols, left->prev, heap);
		consider(t, symbols, c.at, heap);
	}
}

int tokenizer_push_id(struct tokenizer_ids *out, int32_t id, struct error *err)
{
	int32_t *ids = grow_room(out->ids, out->count, &out->capacity, 128, sizeof *ids);
	if (!ids)
		return error_set(err, SUMI_NOMEM, "no memory for the prompt's tokens");
	out->ids = ids;
	out->ids[out->count++] = id;
	return SUMI_OK;
}

int tokenizer_encode_word(const struct tokenizer *t, const unsigned char *bytes, size_t size,
			  struct tokenizer_ids *out, struct error *err)
{
	int status = SUMI_OK, n = (int)size;
	/* n − 1 pairs at first, and at most two new ones with each of n − 1 merges. */
	struct symbol *symbols = malloc(size * sizeof *symbols);
	struct heap heap = {.items = malloc(3 * size * sizeof *heap.items)};
	if (!symbols || !heap.items) {
		status = error_set(err, SUMI_NOMEM, "no memory for the prompt's tokens");
		goto out;
	}
	for (int i = 0; i < n; i++)
		symbols[i] = (struct symbol){.id = t->byte_ids[bytes[i]][i == n - 1],
					     .prev = i - 1,
					     .next = i == n - 1 ? -1 : i + 1};
	for (int i = 0; i < n; i++)
		consider(t, symbols, i, &heap);
	merge_all(t, symbols, &heap);
	for (int i = 0; i >= 0 && !status; i = symbols[i].next)
		status = tokenizer_push_id(out, symbols[i].id, err);
out:
	free(heap.items);
	free(symbols);
	return status;
}
