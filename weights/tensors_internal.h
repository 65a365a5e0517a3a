/* What a reader of one format fills in, and what it reads with. */
#ifndef SUMI_WEIGHTS_TENSORS_INTERNAL_H
#define SUMI_WEIGHTS_TENSORS_INTERNAL_H

#include <sys/stat.h>

#include "weights/tensors.h"

/* The largest published checkpoints have some thousand tensors. */
#define TENSORS_MAX 65536u

/* Bytes of a file's beginning by which its kind is told. */
#define TENSORS_START 512

struct tensor_file {
	char *path;
	int fd;
	struct stat stat; /* of the file when it was opened */
	const struct tensor_reader *reader;
	/* What the reader fills in. Entries may stand in any order. */
	char *head; /* what describes the tensors, as it stands in the file; freed with it */
	size_t head_size;
	uint64_t data;  /* where the rest begins */
	json_t *header; /* freed with it */
	const json_t *metadata;
	char *names; /* memory for the entries' names; freed with it */
	struct tensor_entry *entries;
	size_t count;
};

struct tensor_reader {
	const char *kind;
	/* Whether a file that begins with start [size ≤ TENSORS_START] is of this format. */
	bool (*is)(const unsigned char *start, size_t size);
	int (*read)(struct tensor_file *file, struct error *err);
};

extern const struct tensor_reader safetensors_reader, gguf_reader, torch_reader, ncnn_reader;

/* Reads size bytes from `at`; SUMI_IO where they are not there any more. Not by way of a mapping:
 * where a file becomes shorter under one, the process ends. */
int tensors_read_at(const struct tensor_file *file, uint64_t at, void *out, size_t size,
		    struct error *err);

/* SUMI_CORRUPT: "FILE: tensor 'NAME': reason". Returns it. */
int tensors_bad(const struct tensor_file *file, const char *name, struct error *err,
		const char *reason);

/* Sets entry->bytes by format and shape; SUMI_CORRUPT where they cannot be counted. */
int tensors_measure(const struct tensor_file *file, struct tensor_entry *entry, struct error *err);

/* The same, and SUMI_CORRUPT where these bytes do not lie in the file. */
int tensors_place(const struct tensor_file *file, struct tensor_entry *entry, struct error *err);

/* Sorts the entries by name, as looking up demands; SUMI_CORRUPT where one is there twice. */
int tensors_sort(struct tensor_file *file, struct error *err);

#endif
