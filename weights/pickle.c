/* A machine for pickle streams that knows no functions. */
#include "weights/pickle_internal.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

/* --- classes --- */

static const struct class classes[] = {
    {"collections", "OrderedDict", CLASS_DICT, NULL},
    {"torch.nn.modules.container", "ParameterDict", CLASS_DICT, NULL},
    {"torch._utils", "_rebuild_tensor", CLASS_TENSOR, NULL},
    {"torch._utils", "_rebuild_tensor_v2", CLASS_TENSOR, NULL},
    {"torch._utils", "_rebuild_tensor_v3", CLASS_TENSOR_TYPED, NULL},
    {"torch._utils", "_rebuild_parameter", CLASS_PARAMETER, NULL},
    {"torch._utils", "_rebuild_parameter_with_state", CLASS_PARAMETER, NULL},
    {"torch", "FloatStorage", CLASS_STORAGE, "F32"},
    {"torch", "HalfStorage", CLASS_STORAGE, "F16"},
    {"torch", "BFloat16Storage", CLASS_STORAGE, "BF16"},
    {"torch", "DoubleStorage", CLASS_STORAGE, "F64"},
    {"torch", "LongStorage", CLASS_STORAGE, "I64"},
    {"torch", "IntStorage", CLASS_STORAGE, "I32"},
    {"torch", "ShortStorage", CLASS_STORAGE, "I16"},
    {"torch", "CharStorage", CLASS_STORAGE, "I8"},
    {"torch", "ByteStorage", CLASS_STORAGE, "U8"},
    {"torch", "BoolStorage", CLASS_STORAGE, "BOOL"},
    {"torch", "ComplexFloatStorage", CLASS_STORAGE, "C64"},
    {"torch", "UntypedStorage", CLASS_STORAGE, NULL},
    {"torch.storage", "UntypedStorage", CLASS_STORAGE, NULL},
    {"torch", "float32", CLASS_DTYPE, "F32"},
    {"torch", "float16", CLASS_DTYPE, "F16"},
    {"torch", "bfloat16", CLASS_DTYPE, "BF16"},
    {"torch", "float64", CLASS_DTYPE, "F64"},
    {"torch", "float8_e4m3fn", CLASS_DTYPE, "F8_E4M3"},
    {"torch", "float8_e5m2", CLASS_DTYPE, "F8_E5M2"},
    {"torch", "int64", CLASS_DTYPE, "I64"},
    {"torch", "int32", CLASS_DTYPE, "I32"},
    {"torch", "int8", CLASS_DTYPE, "I8"},
    {"torch", "uint8", CLASS_DTYPE, "U8"},
    {"torch", "uint16", CLASS_DTYPE, "U16"},
    {"torch", "uint32", CLASS_DTYPE, "U32"},
    {"torch", "uint64", CLASS_DTYPE, "U64"},
    {"torch", "Size", CLASS_NOTHING, NULL},
    {"torch", "device", CLASS_NOTHING, NULL},
    /* The training states that the first checkpoints were published with. */
    {"pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint", CLASS_NOTHING, NULL},
    {"pytorch_lightning.callbacks.early_stopping", "EarlyStopping", CLASS_NOTHING, NULL},
    {"numpy.core.multiarray", "scalar", CLASS_NOTHING, NULL},
    {"numpy._core.multiarray", "scalar", CLASS_NOTHING, NULL},
    {"numpy", "dtype", CLASS_NOTHING, NULL},
    {"_codecs", "encode", CLASS_NOTHING, NULL},
    {"builtins", "set", CLASS_NOTHING, NULL},
    {"__builtin__", "set", CLASS_NOTHING, NULL},
};

static const struct class *find_class(const char *module, size_t module_size, const char *name,
				      size_t name_size)
{
	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
		const struct class *c = &classes[i];
		if (strlen(c->module) == module_size && strlen(c->name) == name_size &&
		    memcmp(c->module, module, module_size) == 0 &&
		    memcmp(c->name, name, name_size) == 0)
			return c;
	}
	return NULL;
}

static void fail(struct pickle *p, const char *reason)
{
	if (!p->status)
		p->status = error_set(p->err, SUMI_CORRUPT, "%s: byte %zu of its pickle: %s",
				      p->path, p->at, reason);
}

static void no_memory(struct pickle *p)
{
	if (!p->status)
		p->status = error_set(p->err, SUMI_NOMEM, "%s: out of memory", p->path);
}

/* Room for one more of so many bytes each; false where there is none. */
static bool grow(struct pickle *p, void **memory, size_t count, size_t *capacity, size_t size)
{
	void *larger = grow_room(*memory, count, capacity, 64, size);
	if (larger)
		*memory = larger;
	else
		no_memory(p);
	return larger != NULL;
}

static void append(struct pickle *p, struct list *list, uint32_t item)
{
	if (!p->status &&
	    grow(p, (void **)&list->items, list->count, &list->capacity, sizeof *list->items))
		list->items[list->count++] = item;
}

static uint32_t new_value(struct pickle *p, struct value value)
{
	if (p->status ||
	    !grow(p, (void **)&p->values, p->value_count, &p->value_capacity, sizeof *p->values))
		return 0;
	p->values[p->value_count] = value;
	return (uint32_t)p->value_count++;
}

static void push(struct pickle *p, struct value value)
{
	uint32_t id = new_value(p, value);
	append(p, &p->stack, id);
}

/* What lies below the last mark belongs to others. */
static size_t floor_of(const struct pickle *p)
{
	return p->marks.count ? p->marks.items[p->marks.count - 1] : 0;
}

static uint32_t pop(struct pickle *p)
{
	if (!p->status && p->stack.count <= floor_of(p))
		fail(p, "takes more than there is");
	return p->status ? 0 : p->stack.items[--p->stack.count];
}

static uint32_t top(struct pickle *p)
{
	if (!p->status && p->stack.count <= floor_of(p))
		fail(p, "takes more than there is");
	return p->status ? 0 : p->stack.items[p->stack.count - 1];
}

static void add_item(struct pickle *p, uint32_t container, uint32_t item)
{
	struct value *v = &p->values[container];
	size_t capacity = v->capacity;
	if (p->status || !grow(p, (void **)&v->items, v->count, &capacity, sizeof *v->items))
		return;
	v->capacity = (uint32_t)capacity;
	v->items[v->count++] = item;
}

/* --- the stream's bytes --- */

static const unsigned char *take(struct pickle *p, uint64_t size)
{
	if (!p->status && size > p->size - p->at)
		fail(p, "it ends in the middle of a word");
	if (p->status)
		return NULL;
	p->at += (size_t)size;
	return p->data + p->at - size;
}

static uint64_t number(struct pickle *p, int bytes)
{
	const unsigned char *b = take(p, (uint64_t)bytes);
	uint64_t value = 0;
	for (int i = bytes - 1; b && i >= 0; i--)
		value = value << 8 | b[i];
	return value;
}

/* A line without its end; NULL with p->status set. */
static const char *line(struct pickle *p, size_t *size)
{
	const unsigned char *start = p->data + p->at;
	const unsigned char *end = memchr(start, '\n', p->size - p->at);
	if (!end) {
		fail(p, "a line does not end");
		return NULL;
	}
	*size = (size_t)(end - start);
	p->at += *size + 1;
	return (const char *)start;
}

/* --- containers --- */

static void pop_mark(struct pickle *p, size_t *from)
{
	if (!p->status && p->marks.count == 0)
		fail(p, "a mark is missing");
	*from = p->status ? 0 : p->marks.items[--p->marks.count];
}

/* The values behind `from` become the items of a container, and leave the stack. */
static void move_items(struct pickle *p, uint32_t container, size_t from)
{
	for (size_t i = from; i < p->stack.count && !p->status; i++)
		add_item(p, container, p->stack.items[i]);
	if (!p->status)
		p->stack.count = from;
}

static void make_list(struct pickle *p, size_t from)
{
	uint32_t id = new_value(p, (struct value){.kind = KIND_LIST});
	if (p->status)
		return;
	move_items(p, id, from);
	append(p, &p->stack, id);
}

static void make_tuple(struct pickle *p, size_t count)
{
	if (!p->status && p->stack.count - floor_of(p) < count)
		fail(p, "takes more than there is");
	if (!p->status)
		make_list(p, p->stack.count - count);
}

/* Puts what lies behind the mark into the container below it. Lists take items, dictionaries
 * pairs; for anything else they are lost, as for the states of callbacks. */
static void extend(struct pickle *p, size_t from, enum kind kind)
{
	if (!p->status && from <= floor_of(p))
		fail(p, "nothing is there to add to");
	if (p->status)
		return;
	uint32_t container = p->stack.items[from - 1];
	if (kind == KIND_DICT && (p->stack.count - from) % 2 != 0)
		fail(p, "a key without a value");
	else if (p->values[container].kind == kind)
		move_items(p, container, from);
	else if (p->values[container].kind == KIND_NOTHING)
		p->stack.count = from;
	else
		fail(p, "adds to something that holds nothing");
}

/* --- tensors --- */

/* ('storage', class, key, location, elements) */
static void make_storage(struct pickle *p)
{
	const struct value *id = &p->values[pop(p)];
	if (p->status)
		return;
	const struct value *word = pickle_item_of(p, id, 0, KIND_TEXT);
	const struct value *class = pickle_item_of(p, id, 1, KIND_CLASS);
	const struct value *key = pickle_item_of(p, id, 2, KIND_TEXT);
	const struct value *elements = pickle_item_of(p, id, 4, KIND_NUMBER);
	if (pickle_item_of(p, id, 5, KIND_LIST)) {
		fail(p, "a view of a storage, as no torch writes it since 2017");
		return;
	}
	if (!word || word->size != 7 || memcmp(word->text, "storage", 7) != 0 || !class || !key ||
	    !elements || class->class->kind != CLASS_STORAGE || elements->number < 0 ||
	    key->size > 64) {
		fail(p, "a reference that is no storage");
		return;
	}
	push(p, (struct value){.kind = KIND_STORAGE,
			       .key = key->text,
			       .key_size = (uint32_t)key->size,
			       .format = class->class->format
					     ? tensor_format_named(class->class->format)
					     : NULL,
			       .elements = (uint64_t)elements->number});
}

static bool read_shape(const struct pickle *p, const struct value *list, int64_t *out, int *rank)
{
	if (!list || list->count > TENSOR_RANK_MAX)
		return false;
	*rank = (int)list->count;
	for (uint32_t i = 0; i < list->count; i++) {
		const struct value *n = pickle_item_of(p, list, i, KIND_NUMBER);
		if (!n || n->number < 0)
			return false;
		out[i] = n->number;
	}
	return true;
}

/* (storage, first, shape, stride, …); typed ones have their dtype at place 6. */
static void make_tensor(struct pickle *p, const struct class *class, const struct value *args)
{
	struct pickle_tensor t = {.rank = 0};
	const struct value *storage = pickle_item_of(p, args, 0, KIND_STORAGE);
	const struct value *first = pickle_item_of(p, args, 1, KIND_NUMBER);
	const struct value *dtype = pickle_item_of(p, args, 6, KIND_CLASS);
	bool typed = class->kind == CLASS_TENSOR_TYPED;
	int strides = 0;
	bool fine = storage && first && first->number >= 0 &&
		    read_shape(p, pickle_item_of(p, args, 2, KIND_LIST), t.shape, &t.rank) &&
		    read_shape(p, pickle_item_of(p, args, 3, KIND_LIST), t.stride, &strides) &&
		    strides == t.rank;
	if (fine && typed)
		fine = dtype && dtype->class->kind == CLASS_DTYPE;
	if (!fine) {
		fail(p, "a tensor's storage, shape or stride is not what it must be");
		return;
	}
	t.format = typed ? tensor_format_named(dtype->class->format) : storage->format;
	if (!t.format)
		t.format = tensor_format_named("U8");
	t.storage = storage->key;
	t.storage_size = storage->key_size;
	t.first = (uint64_t)first->number;
	t.storage_elements = storage->elements;
	if (!storage->format)
		t.storage_elements /= (uint64_t)t.format->bytes;
	if (!grow(p, (void **)&p->tensors, p->tensor_count, &p->tensor_capacity,
		  sizeof *p->tensors))
		return;
	p->tensors[p->tensor_count] = t;
	push(p, (struct value){.kind = KIND_TENSOR, .number = (int64_t)p->tensor_count++});
}

/* --- classes in the stream --- */

static void push_class(struct pickle *p, const char *module, size_t module_size, const char *name,
		       size_t name_size)
{
	const struct class *class = find_class(module, module_size, name, name_size);
	if (!class && !p->status)
		p->status = error_set(p->err, SUMI_UNSUPPORTED,
				      "%s: its pickle wants the class %.*s.%.*s: only tensors are "
				      "read, and nothing is executed",
				      p->path, (int)(module_size > 80 ? 80 : module_size), module,
				      (int)(name_size > 80 ? 80 : name_size), name);
	if (class)
		push(p, (struct value){.kind = KIND_CLASS, .class = class});
}

static void push_global(struct pickle *p)
{
	size_t module_size = 0, name_size = 0;
	const char *module = line(p, &module_size);
	const char *name = module ? line(p, &name_size) : NULL;
	if (name)
		push_class(p, module, module_size, name, name_size);
}

static void push_stack_global(struct pickle *p)
{
	const struct value name = p->values[pop(p)], module = p->values[pop(p)];
	if (p->status)
		return;
	if (name.kind != KIND_TEXT || module.kind != KIND_TEXT)
		fail(p, "a class without a name");
	else
		push_class(p, module.text, module.size, name.text, name.size);
}

/* Copies items from one container into another. A stream may do so as often as it has bytes. */
static void copy_items(struct pickle *p, uint32_t to, const struct value *from)
{
	p->copied += from->count;
	if (!p->status && p->copied > p->size)
		fail(p, "it copies more than it has");
	for (uint32_t i = 0; i < from->count && !p->status; i++)
		add_item(p, to, from->items[i]);
}

/* A dictionary, as Python 2 writes it with its pairs. */
static void make_dict(struct pickle *p, const struct value *args)
{
	const struct value *pairs = pickle_item_of(p, args, 0, KIND_LIST);
	/* A copy: values move when there is a new one. */
	const struct value list = pairs ? *pairs : (struct value){.kind = KIND_LIST};
	uint32_t id = new_value(p, (struct value){.kind = KIND_DICT});
	for (uint32_t i = 0; i < list.count && !p->status; i++) {
		const struct value pair = p->values[list.items[i]];
		if (pair.kind == KIND_LIST && pair.count == 2)
			copy_items(p, id, &pair);
		else
			fail(p, "a dictionary of something else than pairs");
	}
	append(p, &p->stack, id);
}

/* class(*args), by the table: a value, never a call. */
static void make_object(struct pickle *p)
{
	uint32_t args = pop(p), callee = pop(p);
	if (p->status)
		return;
	if (p->values[callee].kind != KIND_CLASS || p->values[args].kind != KIND_LIST) {
		fail(p, "something is called that is no class");
		return;
	}
	const struct class *class = p->values[callee].class;
	const struct value list = p->values[args];
	switch (class->kind) {
	case CLASS_DICT:
		make_dict(p, &list);
		break;
	case CLASS_TENSOR:
	case CLASS_TENSOR_TYPED:
		make_tensor(p, class, &list);
		break;
	case CLASS_PARAMETER:
		if (pickle_item_of(p, &list, 0, KIND_TENSOR))
			append(p, &p->stack, list.items[0]);
		else
			fail(p, "a parameter without a tensor");
		break;
	default:
		push(p, (struct value){.kind = KIND_NOTHING});
	}
}

/* The state of an object: of dictionaries that are modules their parameters count. */
static void set_state(struct pickle *p)
{
	uint32_t state = pop(p), object = top(p);
	if (p->status || p->values[object].kind != KIND_DICT || p->values[state].kind != KIND_DICT)
		return;
	const struct value *found = pickle_value_at(p, &p->values[state], "_parameters");
	if (!found || found->kind != KIND_DICT || found == &p->values[object])
		return;
	const struct value parameters = *found;
	copy_items(p, object, &parameters);
}

/* --- memory of the stream --- */

static void memo_put(struct pickle *p, uint64_t index)
{
	uint32_t id = top(p);
	if (!p->status && index > p->size)
		fail(p, "a place in its memory that it cannot need");
	while (!p->status && p->memo.count <= index)
		append(p, &p->memo, 0);
	if (!p->status)
		p->memo.items[index] = id + 1;
}

static void memo_get(struct pickle *p, uint64_t index)
{
	if (!p->status && (index >= p->memo.count || !p->memo.items[index]))
		fail(p, "takes from an empty place of its memory");
	if (!p->status)
		append(p, &p->stack, p->memo.items[index] - 1);
}

/* --- opcodes --- */

static void ignore(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)p, (void)op, (void)n;
}

static void push_nothing(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)op, (void)n;
	push(p, (struct value){.kind = KIND_NOTHING});
}

static void push_number(struct pickle *p, unsigned char op, uint64_t n)
{
	int64_t value = op == 'J' ? (int32_t)(uint32_t)n : (int64_t)n;
	push(p, (struct value){.kind = KIND_NUMBER, .number = value});
}

/* A number of n bytes. */
static void push_long(struct pickle *p, unsigned char op, uint64_t n)
{
	const unsigned char *b = take(p, n);
	uint64_t value = b && n && b[n - 1] & 0x80 ? UINT64_MAX : 0;
	if (n > 8) /* larger than anything that is counted here */
		push_nothing(p, op, n);
	for (int i = (int)n - 1; b && n <= 8 && i >= 0; i--)
		value = value << 8 | b[i];
	if (b && n <= 8)
		push_number(p, op, value);
}

static void push_text(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)op;
	const unsigned char *text = take(p, n);
	if (text)
		push(p, (struct value){
			    .kind = KIND_TEXT, .text = (const char *)text, .size = (size_t)n});
}

static void push_empty(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)n;
	push(p, (struct value){.kind = op == '}' ? KIND_DICT : KIND_LIST});
}

static void push_mark(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)op, (void)n;
	append(p, &p->marks, (uint32_t)p->stack.count);
}

static void small_tuple(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)n;
	make_tuple(p, op - 0x84u);
}

static void with_mark(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)n;
	size_t from;
	pop_mark(p, &from);
	if (op == 't' || op == 'l')
		make_list(p, from);
	else if (op == 'd') {
		uint32_t id = new_value(p, (struct value){.kind = KIND_DICT});
		if (!p->status && (p->stack.count - from) % 2 != 0)
			fail(p, "a key without a value");
		move_items(p, id, from);
		append(p, &p->stack, id);
	} else
		extend(p, from, op == 'u' ? KIND_DICT : KIND_LIST);
}

static void with_top(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)n;
	size_t count = op == 's' ? 2 : 1;
	if (!p->status && p->stack.count - floor_of(p) <= count)
		fail(p, "takes more than there is");
	if (!p->status)
		extend(p, p->stack.count - count, op == 's' ? KIND_DICT : KIND_LIST);
}

static void drop(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)op, (void)n;
	pop(p);
}

static void put_memo(struct pickle *p, unsigned char op, uint64_t n)
{
	memo_put(p, op == 0x94 ? p->memo.count : n);
}

static void get_memo(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)op;
	memo_get(p, n);
}

static void with_class(struct pickle *p, unsigned char op, uint64_t n)
{
	(void)n;
	if (op == 'c')
		push_global(p);
	else if (op == 0x93)
		push_stack_global(p);
	else if (op == 'b')
		set_state(p);
	else if (op == 'Q')
		make_storage(p);
	else
		make_object(p);
}

/* All that is read. bytes: of the number that follows the opcode. */
static const struct opcode {
	unsigned char code;
	unsigned char bytes;
	void (*act)(struct pickle *p, unsigned char op, uint64_t n);
} opcodes[] = {
    {0x80, 1, ignore}, /* PROTO */
    {0x95, 8, ignore}, /* FRAME */
    {'(', 0, push_mark},     {'N', 0, push_nothing},
    {0x88, 0, push_nothing},                         /* true, false */
    {0x89, 0, push_nothing}, {'G', 8, push_nothing}, /* a float */
    {'J', 4, push_number},   {'K', 1, push_number},
    {'M', 2, push_number},   {0x8a, 1, push_long},
    {'U', 1, push_text}, /* texts and bytes, of short and of long ones */
    {0x8c, 1, push_text},    {'C', 1, push_text},
    {'X', 4, push_text},     {'T', 4, push_text},
    {'B', 4, push_text},     {0x8d, 8, push_text},
    {0x8e, 8, push_text},    {']', 0, push_empty},
    {')', 0, push_empty},    {'}', 0, push_empty},
    {0x8f, 0, push_empty}, /* a set */
    {0x85, 0, small_tuple},  {0x86, 0, small_tuple},
    {0x87, 0, small_tuple},  {'t', 0, with_mark},
    {'l', 0, with_mark},     {'d', 0, with_mark},
    {'u', 0, with_mark},     {'e', 0, with_mark},
    {0x90, 0, with_mark},    {'s', 0, with_top},
    {'a', 0, with_top},      {'c', 0, with_class}, /* GLOBAL, STACK_GLOBAL */
    {0x93, 0, with_class},   {'R', 0, with_class}, /* REDUCE, NEWOBJ, BUILD */
    {0x81, 0, with_class},   {'b', 0, with_class},
    {'Q', 0, with_class}, /* BINPERSID */
    {'q', 1, put_memo},      {'r', 4, put_memo},
    {0x94, 0, put_memo},     {'h', 1, get_memo},
    {'j', 4, get_memo},      {'0', 0, drop},
};

static void step(struct pickle *p, unsigned char op)
{
	for (size_t i = 0; i < sizeof opcodes / sizeof opcodes[0]; i++)
		if (opcodes[i].code == op) {
			uint64_t n = opcodes[i].bytes ? number(p, opcodes[i].bytes) : 0;
			if (!p->status)
				opcodes[i].act(p, op, n);
			return;
		}
	p->status = error_set(p->err, SUMI_UNSUPPORTED,
			      "%s: byte %zu of its pickle: opcode 0x%02x is not read: only "
			      "tensors are, and nothing is executed",
			      p->path, p->at - 1, op);
}

int pickle_read(const unsigned char *data, size_t size, const char *path, struct pickle **out,
		size_t *used, struct error *err)
{
	*out = NULL;
	struct pickle *p = calloc(1, sizeof *p);
	if (!p)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", path);
	*p = (struct pickle){.data = data, .size = size, .path = path, .err = err};
	new_value(p, (struct value){.kind = KIND_NOTHING}); /* what fails points there */
	while (!p->status) {
		const unsigned char *op = take(p, 1);
		if (op && *op == '.')
			break;
		if (op)
			step(p, *op);
	}
	if (!p->status && p->marks.count)
		fail(p, "it ends within a mark");
	p->result = pop(p);
	int status = p->status;
	if (used)
		*used = p->at;
	p->err = NULL;
	if (status) {
		pickle_free(p);
		return status;
	}
	*out = p;
	return SUMI_OK;
}

void pickle_free(struct pickle *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->value_count; i++)
		if (p->values[i].kind == KIND_LIST || p->values[i].kind == KIND_DICT)
			free(p->values[i].items);
	free(p->values);
	free(p->tensors);
	free(p->stack.items);
	free(p->marks.items);
	free(p->memo.items);
	free(p);
}
