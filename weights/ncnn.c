/* Reading ncnn's models (github.com/Tencent/ncnn, docs/developer-guide): NAME.param, a text with a
 * layer a line, and NAME.bin beside it, where the layers' numbers stand one behind the other in that
 * order and with nothing that says where one begins. Only networks of convolutions and PReLU are
 * read, which is what upscalers are.
 *
 * Tensors are called after the layers that have numbers, counted from 0: "3.weight", "3.bias". */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/files.h"
#include "weights/tensors_internal.h"

#define MAGIC "7767517"
#define HALF_MARK 0x01306B47u

enum {
	TEXT_LIMIT = 1 << 20,
	CHANNELS_MAX = 4096,
	NAME_SIZE = 16, /* "4095.weight" */
	/* ncnn's numbers of a layer's parameters */
	OF_CHANNELS = 0,
	OF_KERNEL = 1,
	OF_BIAS = 5,
	OF_NUMBERS = 6,
};

struct ncnn {
	struct tensor_file *file;
	int line;   /* of the text */
	int layers; /* those with numbers */
	size_t room;
	uint64_t at; /* in the .bin */
	struct error *err;
	int status;
};

__attribute__((format(printf, 2, 3))) static void fail(struct ncnn *n, const char *format, ...)
{
	char text[160];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	if (!n->status)
		n->status = error_set(n->err, SUMI_CORRUPT, "%s: line %d of its .param: %s",
				      n->file->path, n->line, text);
}

/* --- the text --- */

/* "6=36864" of a layer's line; `usual` where it is not there. */
static int64_t parameter(struct ncnn *n, const char *line, int number, int64_t usual)
{
	char key[16];
	snprintf(key, sizeof key, " %d=", number);
	const char *p = strstr(line, key);
	if (!p)
		return usual;
	char *end;
	p += strlen(key);
	errno = 0;
	long long value = strtoll(p, &end, 10);
	if (end == p || errno || (*end && *end != ' ') || value < 0 || value > INT_MAX)
		fail(n, "parameter %d is no whole number from 0 on", number);
	return value;
}

/* --- the numbers --- */

static struct tensor_entry *add(struct ncnn *n, const char *what)
{
	struct tensor_file *f = n->file;
	if (n->status)
		return NULL;
	if (f->count == n->room) {
		fail(n, "more layers with numbers than the text says that there are");
		return NULL;
	}
	struct tensor_entry *e = &f->entries[f->count];
	char *name = f->names + f->count * NAME_SIZE;
	snprintf(name, NAME_SIZE, "%d.%s", n->layers, what);
	*e = (struct tensor_entry){.name = name, .format = tensor_format_named("F32"), .offset = n->at};
	f->count++;
	return e;
}

static void place(struct ncnn *n, struct tensor_entry *e)
{
	if (!n->status)
		n->status = tensors_place(n->file, e, n->err);
	if (!n->status)
		n->at += (e->bytes + 3) / 4 * 4;
}

static void add_vector(struct ncnn *n, const char *what, int64_t count)
{
	struct tensor_entry *e = add(n, what);
	if (!e)
		return;
	e->rank = 1;
	e->shape[0] = count;
	place(n, e);
}

/* The word before a convolution's weights says what they are. */
static void read_mark(struct ncnn *n, struct tensor_entry *e)
{
	unsigned char b[4];
	if (n->at + 4 > (uint64_t)n->file->stat.st_size) {
		fail(n, "the .bin ends before the numbers of this layer: it is cut short or of another "
			"model");
		return;
	}
	n->status = tensors_read_at(n->file, n->at, b, 4, n->err);
	uint32_t mark = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
	if (mark == HALF_MARK)
		e->format = tensor_format_named("F16");
	else if (mark != 0)
		fail(n, "its weights begin with %#010" PRIx32
			" in the .bin: neither f32 nor f16 (8-bit weights are not supported)", mark);
	e->offset = n->at += 4;
}

static void read_convolution(struct ncnn *n, const char *line)
{
	int64_t out = parameter(n, line, OF_CHANNELS, 0), kernel = parameter(n, line, OF_KERNEL, 0),
		numbers = parameter(n, line, OF_NUMBERS, 0);
	bool bias = parameter(n, line, OF_BIAS, 0) != 0;
	if (n->status)
		return;
	if (out < 1 || out > CHANNELS_MAX || (kernel != 1 && kernel != 3) || numbers < 1 ||
	    numbers % (out * kernel * kernel) ||
	    numbers / (out * kernel * kernel) > CHANNELS_MAX) {
		fail(n, "a convolution with %" PRId64 " channels, kernel %" PRId64 " and %" PRId64
			" weights", out, kernel, numbers);
		return;
	}
	struct tensor_entry *e = add(n, "weight");
	if (!e)
		return;
	read_mark(n, e);
	e->rank = 4;
	e->shape[0] = out;
	e->shape[1] = numbers / (out * kernel * kernel);
	e->shape[2] = e->shape[3] = kernel;
	place(n, e);
	if (bias)
		add_vector(n, "bias", out);
	n->layers++;
}

static void read_prelu(struct ncnn *n, const char *line)
{
	int64_t slopes = parameter(n, line, OF_CHANNELS, 0);
	if (!n->status && (slopes < 1 || slopes > CHANNELS_MAX))
		fail(n, "a PReLU with %" PRId64 " slopes", slopes);
	add_vector(n, "weight", slopes);
	n->layers++;
}

static void read_layer(struct ncnn *n, const char *line)
{
	static const struct {
		const char *type;
		void (*read)(struct ncnn *n, const char *line); /* NULL: it has no numbers */
	} types[] = {{"Convolution", read_convolution}, {"PReLU", read_prelu}, {"Input", NULL},
		     {"Split", NULL},	{"PixelShuffle", NULL}, {"Interp", NULL}, {"BinaryOp", NULL},
		     {"Concat", NULL},	{"Eltwise", NULL},	{"ReLU", NULL}};
	size_t length = strcspn(line, " ");
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
		if (strlen(types[i].type) == length && memcmp(line, types[i].type, length) == 0) {
			if (types[i].read)
				types[i].read(n, line);
			return;
		}
	if (length)
		fail(n, "a layer '%.*s', which no upscaler has that is known here",
		     (int)(length < 40 ? length : 40), line);
}

/* An Interp with a factor below one at the end (2=0.5): what the net gives is made smaller again. */
static void read_last(struct ncnn *n, const char *line)
{
	const char *factor = strstr(line, " 2=");
	if (strncmp(line, "Interp ", 7) != 0 || !factor)
		return;
	double value = strtod(factor + 3, NULL);
	n->file->header = json_pack("{s:f}", "outscale", value);
	n->file->metadata = n->file->header;
	if (!n->file->header)
		n->status = error_set(n->err, SUMI_NOMEM, "%s: out of memory", n->file->path);
}

static void read_lines(struct ncnn *n)
{
	char *text = n->file->head, *save = NULL, *last = NULL;
	char *copy = n->status ? NULL : strdup(text);
	if (!n->status && !copy)
		n->status = error_set(n->err, SUMI_NOMEM, "%s: out of memory", n->file->path);
	for (char *line = copy ? strtok_r(copy, "\r\n", &save) : NULL; line && !n->status;
	     line = strtok_r(NULL, "\r\n", &save)) {
		n->line++;
		if (n->line > 2)
			read_layer(n, line);
		last = line;
	}
	if (!n->status && last)
		read_last(n, last);
	free(copy);
}

/* --- the two files --- */

/* The text becomes the head, the .bin beside it the file from here on. */
static int open_numbers(struct tensor_file *f, struct error *err)
{
	size_t size = (size_t)f->stat.st_size, length = strlen(f->path);
	if (size > TEXT_LIMIT)
		return error_set(err, SUMI_TOOBIG, "%s: a .param of more than 1 MiB", f->path);
	f->head = malloc(size + 1);
	char *path = malloc(length + sizeof ".bin");
	if (!f->head || !path) {
		free(path);
		return error_set(err, SUMI_NOMEM, "%s: out of memory", f->path);
	}
	int fd, status = tensors_read_at(f, 0, f->head, size, err);
	f->head[size] = '\0';
	f->head_size = size;
	if (length > 6 && strcasecmp(f->path + length - 6, ".param") == 0)
		length -= 6;
	sprintf(path, "%.*s.bin", (int)length, f->path);
	if (!status && (status = files_open_regular(path, &fd, err)))
		error_prefix(err, "%s has its numbers in a .bin of the same name", f->path);
	if (status) {
		free(path);
		return status;
	}
	free(f->path);
	f->path = path;
	close(f->fd);
	f->fd = fd;
	return fstat(fd, &f->stat) ? error_errno(err, "%s", path) : SUMI_OK;
}

static bool is_ncnn(const unsigned char *start, size_t size)
{
	size_t n = strlen(MAGIC);
	return size > n && memcmp(start, MAGIC, n) == 0 && (start[n] == '\n' || start[n] == '\r');
}

static int read_ncnn(struct tensor_file *f, struct error *err)
{
	struct ncnn n = {.file = f, .err = err};
	n.status = open_numbers(f, err);
	if (n.status)
		return n.status;
	/* A layer takes a line, and has two tensors at most. */
	for (const char *p = f->head; *p; p++)
		n.room += 2 * (*p == '\n');
	n.room = n.room + 2 < TENSORS_MAX ? n.room + 2 : TENSORS_MAX;
	f->entries = calloc(n.room, sizeof *f->entries);
	f->names = malloc(n.room * NAME_SIZE);
	if (!f->entries || !f->names)
		return error_set(err, SUMI_NOMEM, "%s: out of memory", f->path);
	read_lines(&n);
	if (!n.status && n.at != (uint64_t)f->stat.st_size)
		n.status = error_set(err, SUMI_CORRUPT,
				     "%s: the layers of its .param have %" PRIu64
				     " bytes, the file has %lld: it is of another model",
				     f->path, n.at, (long long)f->stat.st_size);
	return n.status;
}

const struct tensor_reader ncnn_reader = {"ncnn", is_ncnn, read_ncnn};
