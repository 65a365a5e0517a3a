/* Files of tensors that other packages wrote, read bit for bit as those packages read them; and the
 * same files damaged. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "tests/unit/vector_file.h"
#include "weights/tensors.h"

static char dir[64];

static int open_folder(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sumi-files-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	files_remove_tree(dir);
	return 0;
}

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

/* An entry's numbers as float32, which the caller frees. */
static float *numbers_of(const struct tensor_file *file, const struct tensor_entry *e)
{
	struct error err = {0};
	unsigned char *raw = malloc(e->bytes + 1);
	float *out = malloc((size_t)tensor_elements(e) * sizeof *out + 1);
	assert_non_null(raw);
	assert_non_null(out);
	if (tensors_read(file, e, raw, &err))
		fail_msg("%s", err.text);
	tensor_format_floats(e->format, raw, (size_t)tensor_elements(e), out);
	free(raw);
	return out;
}

/* Every tensor of the file against the same of files.safetensors. */
static void expect_numbers(const char *path, const char *prefix, size_t count)
{
	struct tensor_file *file = NULL, *want = vector_file_open("files.safetensors");
	struct error err = {0};
	if (tensors_open(path, &file, &err))
		fail_msg("%s", err.text);
	assert_int_equal(tensors_count(file), count);
	for (size_t i = 0; i < count; i++) {
		const struct tensor_entry *e = tensors_at(file, i);
		char name[300];
		size_t n;
		snprintf(name, sizeof name, "%s%s", prefix, e->name);
		float *expected = vector_copy(want, name, &n), *got = numbers_of(file, e);
		const struct tensor_entry *shape = tensors_find(want, name);
		assert_int_equal(e->rank, shape->rank);
		assert_memory_equal(e->shape, shape->shape, (size_t)e->rank * sizeof *e->shape);
		if (n && memcmp(got, expected, n * sizeof *got) != 0)
			fail_msg("%s: other numbers", e->name);
		free(expected);
		free(got);
	}
	tensors_close(file);
	tensors_close(want);
}

static void gguf_reads_as_its_package_does(void **state)
{
	(void)state;
	expect_numbers("tests/vectors/files.gguf", "", 16);
}

static void archives_read_as_torch_does(void **state)
{
	(void)state;
	expect_numbers("tests/vectors/archive.ckpt", "archive.", 8);
	expect_numbers("tests/vectors/archive-2019.ckpt", "archive.", 8);
}

/* --- GGUF that is written here: what other writers leave out or do otherwise --- */

struct file {
	unsigned char bytes[4096];
	size_t size;
};

static void put(struct file *f, const void *data, size_t size)
{
	assert_true(f->size + size <= sizeof f->bytes);
	memcpy(f->bytes + f->size, data, size);
	f->size += size;
}

static void put_number(struct file *f, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++) {
		unsigned char byte = i < 8 ? (unsigned char)(value >> (8 * i)) : 0;
		put(f, &byte, 1);
	}
}

static void put_text(struct file *f, const char *text)
{
	put_number(f, strlen(text), 8);
	put(f, text, strlen(text));
}

static void put_head(struct file *f, unsigned version, uint64_t tensors, uint64_t keys)
{
	f->size = 0;
	put(f, "GGUF", 4);
	put_number(f, version, 4);
	put_number(f, tensors, 8);
	put_number(f, keys, 8);
}

static void put_tensor(struct file *f, const char *name, int rank, const uint64_t *dims,
		       unsigned format, uint64_t offset)
{
	put_text(f, name);
	put_number(f, (uint64_t)rank, 4);
	for (int i = 0; i < rank; i++)
		put_number(f, dims[i], 8);
	put_number(f, format, 4);
	put_number(f, offset, 8);
}

static void align(struct file *f, size_t to)
{
	while (f->size % to)
		put_number(f, 0, 1);
}

static int open_bytes(const struct file *f, struct tensor_file **out, struct error *err)
{
	FILE *file = fopen(path_of("x.gguf"), "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(f->bytes, 1, f->size, file), f->size);
	fclose(file);
	return tensors_open(path_of("x.gguf"), out, err);
}

/* No keys at all, version 2, five dimensions, tensors that are not sorted, no padding at the end.
 */
static void gguf_of_few_words(void **state)
{
	(void)state;
	static const uint64_t five[] = {2, 1, 3, 1, 2}, one[] = {3};
	struct file f;
	struct tensor_file *file;
	struct error err = {0};
	put_head(&f, 2, 2, 0);
	put_tensor(&f, "z", 1, one, 0, 64);
	put_tensor(&f, "a", 5, five, 0, 0);
	align(&f, 32);
	for (int i = 0; i < 19; i++) {
		float value = (float)i;
		put(&f, &value, 4);
	}
	if (open_bytes(&f, &file, &err))
		fail_msg("%s", err.text);
	const struct tensor_entry *a = tensors_find(file, "a"), *z = tensors_find(file, "z");
	assert_int_equal(a->rank, 5);
	assert_int_equal(a->shape[0], 2);
	assert_int_equal(a->shape[2], 3);
	assert_int_equal(a->shape[4], 2);
	float *numbers = numbers_of(file, z);
	assert_true(numbers[0] == 16 && numbers[2] == 18);
	free(numbers);
	tensors_close(file);
}

/* An alignment of its own. */
static void gguf_with_an_alignment(void **state)
{
	(void)state;
	static const uint64_t two[] = {2};
	struct file f;
	struct tensor_file *file;
	struct error err = {0};
	put_head(&f, 3, 1, 1);
	put_text(&f, "general.alignment");
	put_number(&f, 4, 4);
	put_number(&f, 256, 4);
	put_tensor(&f, "a", 1, two, 0, 0);
	align(&f, 256);
	put_number(&f, 0x40000000u, 4);
	put_number(&f, 0x3f800000u, 4);
	if (open_bytes(&f, &file, &err))
		fail_msg("%s", err.text);
	float *numbers = numbers_of(file, tensors_at(file, 0));
	assert_true(numbers[0] == 2 && numbers[1] == 1);
	free(numbers);
	tensors_close(file);
}

static void expect_refused(const struct file *f, int status, const char *words)
{
	struct tensor_file *file;
	struct error err = {0};
	int got = open_bytes(f, &file, &err);
	if (got != status || !strstr(err.text, words) || strchr(err.text, '\n'))
		fail_msg("wanted '%s', not (%d) '%s'", words, got, err.text);
	assert_null(file);
}

static void gguf_that_is_wrong(void **state)
{
	(void)state;
	static const uint64_t row[] = {31}, many[] = {1u << 31, 1u << 31, 4}, two[] = {2};
	struct file f;
	put_head(&f, 1, 0, 0);
	expect_refused(&f, SUMI_UNSUPPORTED, "GGUF version 1");
	put_head(&f, 0x03000000, 0, 0);
	expect_refused(&f, SUMI_UNSUPPORTED, "big-endian");
	put_head(&f, 3, UINT64_MAX, 0);
	expect_refused(&f, SUMI_CORRUPT, "claims 18446744073709551615 tensors");
	put_head(&f, 3, 0, 1);
	put_number(&f, UINT64_MAX, 8);
	expect_refused(&f, SUMI_CORRUPT, "a text is too long");
	put_head(&f, 3, 0, 1);
	put_text(&f, "k");
	put_number(&f, 9, 4);
	put_number(&f, 4, 4);
	put_number(&f, UINT64_MAX / 2, 8);
	expect_refused(&f, SUMI_CORRUPT, "a list is too long");
	put_head(&f, 3, 0, 1);
	put_text(&f, "k");
	put_number(&f, 13, 4);
	expect_refused(&f, SUMI_CORRUPT, "unknown type");
	put_head(&f, 3, 1, 0);
	put_tensor(&f, "t", 1, row, 2, 0);
	expect_refused(&f, SUMI_CORRUPT, "do not hold blocks of 32");
	put_head(&f, 3, 1, 0);
	put_tensor(&f, "t", 3, many, 0, 0);
	expect_refused(&f, SUMI_CORRUPT, "cannot have the shape");
	put_head(&f, 3, 1, 0);
	put_tensor(&f, "t", 1, two, 0, 0);
	align(&f, 32);
	put_number(&f, 0, 7);
	expect_refused(&f, SUMI_CORRUPT, "cut short");
	put_head(&f, 3, 1, 0);
	put_tensor(&f, "t", 1, two, 0, UINT64_MAX - 31);
	align(&f, 32);
	expect_refused(&f, SUMI_CORRUPT, "t");
	put_head(&f, 3, 1, 0);
	put_tensor(&f, "t", 1, two, 77, 0);
	expect_refused(&f, SUMI_UNSUPPORTED, "GGML type 77");
	put_head(&f, 3, 2, 0);
	put_tensor(&f, "t", 1, two, 0, 0);
	put_tensor(&f, "t", 1, two, 0, 32);
	align(&f, 32);
	put_number(&f, 0, 8);
	align(&f, 32);
	put_number(&f, 0, 8);
	expect_refused(&f, SUMI_CORRUPT, "is there twice");
	put_head(&f, 3, 2, 0);
	put_tensor(&f, "t", 1, two, 0, 0);
	put_tensor(&f, "u", 1, two, 0, 0);
	align(&f, 32);
	put_number(&f, 0, 8);
	expect_refused(&f, SUMI_CORRUPT, "overlaps");
}

/* --- pickles --- */

/* A zip archive with one stored entry, x/data.pkl; method and name can be other ones. */
static void put_zip(struct file *f, const char *name, const void *data, size_t size, int method)
{
	size_t n = strlen(name);
	f->size = 0;
	put(f, "PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18);
	put_number(f, size, 4);
	put_number(f, size, 4);
	put_number(f, n, 2);
	put_number(f, 0, 2);
	put(f, name, n);
	put(f, data, size);
	size_t directory = f->size;
	put(f, "PK\1\2\0\0\0\0\0\0", 10);
	put_number(f, (uint64_t)method, 2);
	put_number(f, 0, 8);
	put_number(f, size, 4);
	put_number(f, size, 4);
	put_number(f, n, 2);
	put_number(f, 0, 16);
	put(f, name, n);
	size_t end = f->size;
	put(f, "PK\5\6\0\0\0\0\1\0\1\0", 12);
	put_number(f, end - directory, 4);
	put_number(f, directory, 4);
	put_number(f, 0, 2);
}

/* Of an archive beyond 4 GiB: sizes and places stand in extra fields, the directory's in a record
 * of its own. Two entries: x/data.pkl and x/data/0. */
static void put_zip64(struct file *f, const void *pickle, size_t size, const void *storage,
		      size_t storage_size)
{
	const struct {
		const char *name;
		const void *data;
		size_t size, at;
	} entries[] = {{"x/data.pkl", pickle, size, 0},
		       {"x/data/0", storage, storage_size, 30 + 10 + 20 + size}};
	f->size = 0;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(f->size, entries[i].at);
		put(f, "PK\3\4\55\0\0\0\0\0\0\0\0\0\0\0\0\0", 18);
		put_number(f, UINT64_MAX, 8);
		put_number(f, strlen(entries[i].name), 2);
		put_number(f, 20, 2);
		put(f, entries[i].name, strlen(entries[i].name));
		put_number(f, 1, 2);
		put_number(f, 16, 2);
		put_number(f, entries[i].size, 8);
		put_number(f, entries[i].size, 8);
		put(f, entries[i].data, entries[i].size);
	}
	size_t directory = f->size;
	for (int i = 0; i < 2; i++) {
		put(f, "PK\1\2\55\0\55\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
		put_number(f, UINT64_MAX, 8);
		put_number(f, strlen(entries[i].name), 2);
		put_number(f, 28, 2);
		put_number(f, 0, 10);
		put_number(f, UINT32_MAX, 4);
		put(f, entries[i].name, strlen(entries[i].name));
		put_number(f, 1, 2);
		put_number(f, 24, 2);
		put_number(f, entries[i].size, 8);
		put_number(f, entries[i].size, 8);
		put_number(f, entries[i].at, 8);
	}
	size_t end = f->size;
	put(f, "PK\6\6", 4);
	put_number(f, 44, 8);
	put_number(f, 45 | 45 << 16, 4);
	put_number(f, 0, 8);
	put_number(f, 2, 8);
	put_number(f, 2, 8);
	put_number(f, end - directory, 8);
	put_number(f, directory, 8);
	put(f, "PK\6\7\0\0\0\0", 8);
	put_number(f, end, 8);
	put_number(f, 1, 4);
	put(f, "PK\5\6\0\0\0\0\xff\xff\xff\xff", 12);
	put_number(f, UINT64_MAX, 8);
	put_number(f, 0, 2);
}

#define PICKLE(text) text, sizeof(text) - 1

/* {"a": a tensor of four numbers} */
#define ONE_TENSOR                                                                                 \
	"\x80\2}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n(("                                   \
	"X\7\0\0\0storagectorch\nFloatStorage\n"                                                   \
	"X\1\0\0\0"                                                                                \
	"0X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85\x89"                                                  \
	"}tRs."

static void archives_beyond_4_gib(void **state)
{
	(void)state;
	static const float numbers[] = {1, -2, 3, 0.5f};
	struct file f;
	struct tensor_file *file;
	struct error err = {0};
	put_zip64(&f, PICKLE(ONE_TENSOR), numbers, sizeof numbers);
	if (open_bytes(&f, &file, &err))
		fail_msg("%s", err.text);
	assert_int_equal(tensors_count(file), 1);
	float *got = numbers_of(file, tensors_find(file, "a"));
	assert_memory_equal(got, numbers, sizeof numbers);
	free(got);
	tensors_close(file);
	put_zip64(&f, PICKLE(ONE_TENSOR), numbers, sizeof numbers - 4);
	expect_refused(&f, SUMI_CORRUPT, "reaches beyond its storage");
}

static const struct {
	const char *data;
	size_t size;
	int status;
	const char *words;
} bad_pickles[] = {
    {PICKLE("\x80\2cposix\nsystem\n(X\4\0\0\0trueR."), SUMI_UNSUPPORTED, "posix.system"},
    {PICKLE("\x80\2c__builtin__\neval\n."), SUMI_UNSUPPORTED, "__builtin__.eval"},
    {PICKLE("\x80\4\x8c\2os\x8c\6system\x93."), SUMI_UNSUPPORTED, "os.system"},
    {PICKLE("\x80\2(iposix\nsystem\n."), SUMI_UNSUPPORTED, "opcode 0x69"},
    {PICKLE("\x80\2(o."), SUMI_UNSUPPORTED, "opcode 0x6f"},
    {PICKLE("\x80\2\x82\1."), SUMI_UNSUPPORTED, "opcode 0x82"},
    {PICKLE("\x80\2Pkey\n."), SUMI_UNSUPPORTED, "opcode 0x50"},
    {PICKLE("\x80\2}"), SUMI_CORRUPT, "ends in the middle"},
    {PICKLE("\x80\2."), SUMI_CORRUPT, "takes more than there is"},
    {PICKLE("\x80\2(."), SUMI_CORRUPT, "within a mark"},
    {PICKLE("\x80\2X\xff\xff\xff\xff"), SUMI_CORRUPT, "ends in the middle"},
    {PICKLE("\x80\2h\7."), SUMI_CORRUPT, "empty place"},
    {PICKLE("\x80\2}r\xff\xff\xff\xff."), SUMI_CORRUPT, "a place in its memory"},
    {PICKLE("\x80\2K\1K\2R."), SUMI_CORRUPT, "no class"},
    {PICKLE("\x80\2K\1Q."), SUMI_CORRUPT, "no storage"},
    {PICKLE("\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R."), SUMI_CORRUPT,
     "storage, shape or stride"},
    {PICKLE("\x80\2}(K\1u."), SUMI_CORRUPT, "a key without a value"},
    {PICKLE("\x80\2}."), SUMI_UNSUPPORTED, "without tensors"},
    {PICKLE("\x80\2}q\0X\1\0\0\0ah\0s."), SUMI_CORRUPT, "holds itself"},
    {PICKLE("\x80\2}X\1\0\0\0actorch._utils\n_rebuild_tensor_v2\n(("
	    "X\7\0\0\0storagectorch\nFloatStorage\n"
	    "X\1\0\0\0"
	    "0X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85\x89"
	    "ctorch\nSize\n)RtRs."),
     SUMI_CORRUPT, "its storage is not in the archive"},
};

static void pickles_that_want_more_than_tensors(void **state)
{
	(void)state;
	struct file f;
	for (size_t i = 0; i < sizeof bad_pickles / sizeof bad_pickles[0]; i++) {
		put_zip(&f, "x/data.pkl", bad_pickles[i].data, bad_pickles[i].size, 0);
		expect_refused(&f, bad_pickles[i].status, bad_pickles[i].words);
	}
	put_zip(&f, "x/data.pkl", "\x80\2}.", 4, 8);
	expect_refused(&f, SUMI_UNSUPPORTED, "is compressed");
	put_zip(&f, "word/document.xml", "<?xml?>", 7, 0);
	expect_refused(&f, SUMI_UNSUPPORTED, "not one of torch");
}

/* Dictionaries of pairs, as Python 2 wrote them, at every length of what is in memory already. */
static void pairs_behind_any_number_of_values(void **state)
{
	(void)state;
	static const char pairs[] = "ccollections\nOrderedDict\n(]]X\1\0\0\0aaNaatR.";
	for (size_t n = 0; n < 300; n++) {
		char text[400];
		struct file f;
		memset(text, 'N', n);
		memcpy(text + n, pairs, sizeof pairs - 1);
		put_zip(&f, "x/data.pkl", text, n + sizeof pairs - 1, 0);
		expect_refused(&f, SUMI_UNSUPPORTED, "without tensors");
	}
}

/* --- damage --- */

/* Changes bytes of real files at random (the generator is fixed) and reads every byte that the
 * readers promise. A wrong promise is found by ASan or kills the test. */
static void mutated_files(void **state)
{
	(void)state;
	static const char *const sources[] = {"tests/vectors/files.gguf",
					      "tests/vectors/archive.ckpt",
					      "tests/vectors/archive-2019.ckpt"};
	uint32_t seed = 4711;
	int accepted = 0, refused = 0;
	for (int round = 0; round < 3000; round++) {
		char *data;
		size_t size;
		struct error err = {0};
		struct tensor_file *file;
		assert_int_equal(files_read(sources[round % 3], 1 << 20, &data, &size, &err), 0);
		size_t head = round % 3 == 1 ? size : 1200;
		for (int i = 0; i <= round % 4; i++) {
			seed = seed * 1664525u + 1013904223u;
			data[(seed >> 8) % head] ^= (char)(1 << (seed >> 5 & 7));
		}
		if (round % 5 == 0)
			size -= (seed >> 8) % size;
		FILE *f = fopen(path_of("mutated"), "wb");
		assert_int_equal(fwrite(data, 1, size, f), size);
		fclose(f);
		free(data);
		if (tensors_open(path_of("mutated"), &file, &err)) {
			refused++;
			assert_true(err.text[0] && !strchr(err.text, '\n'));
			continue;
		}
		accepted++;
		for (size_t i = 0; i < tensors_count(file); i++)
			free(numbers_of(file, tensors_at(file, i)));
		tensors_close(file);
	}
	assert_true(accepted > 100);
	assert_true(refused > 500);
}

/* --- files of other people --- */

static void real_files(void **state)
{
	(void)state;
	static const struct {
		const char *path, *name;
		double norm;
	} files[] = {
	    {"../shared/real/embeddings/fastai_learned_embeds.bin", "<birb-style>", 3.013576},
	    {"../shared/real/embeddings/invoke_test_embedding.safetensors", "emb_params", 0.849814},
	};
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct tensor_file *file;
		struct error err = {0};
		double sum = 0;
		if (access(files[i].path, R_OK) != 0) {
			print_message("skip files of other people: no ../shared/real\n");
			return;
		}
		if (tensors_open(files[i].path, &file, &err))
			fail_msg("%s", err.text);
		const struct tensor_entry *e = tensors_find(file, files[i].name);
		float *numbers = numbers_of(file, e);
		for (uint64_t k = 0; k < tensor_elements(e); k++)
			sum += (double)numbers[k] * numbers[k];
		assert_true(fabs(sqrt(sum) - files[i].norm) < 1e-5);
		free(numbers);
		tensors_close(file);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(gguf_reads_as_its_package_does),
	    cmocka_unit_test(archives_read_as_torch_does),
	    cmocka_unit_test(gguf_of_few_words),
	    cmocka_unit_test(gguf_with_an_alignment),
	    cmocka_unit_test(gguf_that_is_wrong),
	    cmocka_unit_test(archives_beyond_4_gib),
	    cmocka_unit_test(pickles_that_want_more_than_tensors),
	    cmocka_unit_test(pairs_behind_any_number_of_values),
	    cmocka_unit_test(mutated_files),
	    cmocka_unit_test(real_files),
	};
	return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
