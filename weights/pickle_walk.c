/* Looking through what a pickle stream has left. */
#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"
#include "weights/pickle_internal.h"

const struct value *pickle_value_at(const struct pickle *p, const struct value *dict,
				    const char *key)
{
	for (uint32_t i = 0; i + 1 < dict->count; i += 2) {
		const struct value *k = &p->values[dict->items[i]];
		if (k->kind == KIND_TEXT && k->size == strlen(key) &&
		    memcmp(k->text, key, k->size) == 0)
			return &p->values[dict->items[i + 1]];
	}
	return NULL;
}

const struct value *pickle_item_of(const struct pickle *p, const struct value *list, uint32_t i,
				   enum kind kind)
{
	if (list->kind != KIND_LIST || i >= list->count)
		return NULL;
	const struct value *v = &p->values[list->items[i]];
	return v->kind == kind ? v : NULL;
}

/* What wraps the tensors of a checkpoint, in the order in which they are preferred. */
static const char *const wrappers[] = {"state_dict", "params_ema",      "params",
				       "model",      "string_to_param", "model_state_dict",
				       "module",     "generator",       "params-ema", "net"};

enum { DEPTH_MAX = 8, VISITS_MAX = 1 << 20, NAME_BYTES = 256 };

struct walk {
	const struct pickle *p;
	const char *path;
	int (*visit)(void *context, const char *name, const struct pickle_tensor *tensor,
		     struct error *err);
	void *context;
	struct error *err;
	size_t visits;
};

static int walk_dict(struct walk *w, const struct value *dict, char *name, size_t length,
		     int depth);

static int walk_item(struct walk *w, const struct value *key, const struct value *value, char *name,
		     size_t length, int depth)
{
	const struct pickle *p = w->p;
	if (++w->visits > VISITS_MAX || depth > DEPTH_MAX)
		return error_set(w->err, SUMI_CORRUPT, "%s: its pickle holds itself", w->path);
	if (key->kind != KIND_TEXT || (value->kind != KIND_TENSOR && value->kind != KIND_DICT))
		return SUMI_OK;
	size_t dot = length > 0;
	if (length + dot + key->size >= NAME_BYTES || memchr(key->text, 0, key->size) ||
	    !utf8_valid(key->text, key->size))
		return error_set(w->err, SUMI_CORRUPT,
				 "%s: '%.100s': a tensor's name is too long or no text", w->path,
				 name);
	memcpy(name + length, ".", dot);
	memcpy(name + length + dot, key->text, key->size);
	size_t now = length + dot + key->size;
	name[now] = '\0';
	int status = value->kind == KIND_DICT
			 ? walk_dict(w, value, name, now, depth + 1)
			 : w->visit(w->context, name, &p->tensors[value->number], w->err);
	name[length] = '\0';
	return status;
}

static int walk_dict(struct walk *w, const struct value *dict, char *name, size_t length, int depth)
{
	int status = SUMI_OK;
	for (uint32_t i = 0; i + 1 < dict->count && !status; i += 2)
		status = walk_item(w, &w->p->values[dict->items[i]],
				   &w->p->values[dict->items[i + 1]], name, length, depth);
	return status;
}

int pickle_visit(const struct pickle *p, const char *path,
		 int (*visit)(void *context, const char *name, const struct pickle_tensor *tensor,
			      struct error *err),
		 void *context, struct error *err)
{
	char name[NAME_BYTES] = "";
	struct walk w = {.p = p, .path = path, .visit = visit, .context = context, .err = err};
	const struct value *root = &p->values[p->result];
	if (root->kind == KIND_TENSOR)
		return visit(context, "tensor", &p->tensors[root->number], err);
	for (size_t i = 0; i < sizeof wrappers / sizeof wrappers[0] && root->kind == KIND_DICT;
	     i++) {
		const struct value *inner = pickle_value_at(p, root, wrappers[i]);
		if (inner && inner->kind == KIND_DICT && inner->count)
			return walk_dict(&w, inner, name, 0, 1);
	}
	return root->kind == KIND_DICT ? walk_dict(&w, root, name, 0, 1) : SUMI_OK;
}

size_t pickle_storages(const struct pickle *p,
		       int (*visit)(void *context, const char *key, size_t key_size, uint64_t width,
				    struct error *err),
		       void *context, struct error *err)
{
	size_t count = 0;
	for (size_t i = 0; i < p->value_count; i++) {
		const struct value *v = &p->values[i];
		if (v->kind != KIND_STORAGE)
			continue;
		count++;
		if (visit && visit(context, v->key, v->key_size,
				   v->format ? (uint64_t)v->format->bytes : 1, err))
			break;
	}
	return count;
}

int pickle_visit_texts(const struct pickle *p, const char *path,
		       int (*visit)(void *context, const char *text, size_t size,
				    struct error *err),
		       void *context, struct error *err)
{
	const struct value *root = &p->values[p->result];
	int status = SUMI_OK;
	if (root->kind != KIND_LIST)
		return error_set(err, SUMI_CORRUPT, "%s: its list of storages is none", path);
	for (uint32_t i = 0; i < root->count && !status; i++) {
		const struct value *text = pickle_item_of(p, root, i, KIND_TEXT);
		status =
		    text ? visit(context, text->text, text->size, err)
			 : error_set(err, SUMI_CORRUPT, "%s: its list of storages is none", path);
	}
	return status;
}
