/* What the machine of pickle.c has when a stream has ended, for those that look through it. */
#ifndef SUMI_WEIGHTS_PICKLE_INTERNAL_H
#define SUMI_WEIGHTS_PICKLE_INTERNAL_H

#include "weights/pickle.h"

enum class_kind {
	CLASS_DICT,
	CLASS_TENSOR,
	CLASS_TENSOR_TYPED, /* of bytes, with a dtype behind the rest */
	CLASS_PARAMETER,    /* around a tensor */
	CLASS_STORAGE,
	CLASS_DTYPE,
	CLASS_NOTHING, /* stands in checkpoints beside the tensors; a value without content */
};

struct class
{
	const char *module, *name;
	enum class_kind kind;
	const char *format; /* NULL: bytes */
};

enum kind {
	KIND_NOTHING, /* none, truth values, floats: what is of no use here */
	KIND_NUMBER,
	KIND_TEXT,
	KIND_LIST, /* and tuples */
	KIND_DICT, /* keys and values by turns */
	KIND_CLASS,
	KIND_STORAGE,
	KIND_TENSOR,
};

struct value {
	enum kind kind;
	union {
		int64_t number; /* of a tensor: its index */
		struct {
			const char *text;
			size_t size;
		};
		struct {
			uint32_t *items; /* owned */
			uint32_t count, capacity;
		};
		const struct class *class;
		struct {
			const char *key;
			uint32_t key_size;
			const struct tensor_format *format; /* NULL: bytes */
			uint64_t elements;
		};
	};
};

struct list {
	uint32_t *items;
	size_t count, capacity;
};

struct pickle {
	const unsigned char *data;
	size_t size, at;
	const char *path;
	struct value *values;
	size_t value_count, value_capacity;
	struct pickle_tensor *tensors;
	size_t tensor_count, tensor_capacity;
	struct list stack, marks, memo; /* memo: value + 1; 0: empty */
	uint32_t result;
	size_t copied; /* items that were put into a second container */
	struct error *err;
	int status;
};

/* The value of a text's key in a dictionary, or NULL. */
const struct value *pickle_value_at(const struct pickle *p, const struct value *dict,
				    const char *key);

/* Item i of a list where it is of that kind, or NULL. */
const struct value *pickle_item_of(const struct pickle *p, const struct value *list, uint32_t i,
				   enum kind kind);

#endif
