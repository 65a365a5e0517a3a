/* The safetensors reader with good, damaged and hostile files. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/files.h"
#include "weights/loader.h"
#include "weights/tensors.h"
#include "weights/weights.h"

static char dir[64]; /* a folder of this test's own */

/* --- files --- */

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void write_bytes(const char *name, const void *data, size_t size)
{
	FILE *f = fopen(path_of(name), "wb");
	assert_non_null(f);
	if (size)
		assert_int_equal(fwrite(data, 1, size, f), size);
	fclose(f);
}

/* A safetensors file of a header and so many zero bytes. */
static void write_file(const char *name, const char *header, size_t data_bytes)
{
	size_t n = strlen(header);
	unsigned char *file = calloc(1, 8 + n + data_bytes);
	assert_non_null(file);
	for (int i = 0; i < 8; i++)
		file[i] = (unsigned char)((uint64_t)n >> (8 * i));
	memcpy(file + 8, header, n);
	write_bytes(name, file, 8 + n + data_bytes);
	free(file);
}

static int open_folder(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/sumi-safetensors-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof command, "rm -r '%s'", dir);
	return system(command);
}

/* --- what is right --- */

static void test_good_file(void **state)
{
	(void)state;
	struct tensor_file *st = NULL;
	struct error err = {0};
	char shape[64];
	write_file("good.safetensors",
		   "{\"__metadata__\":{\"format\":\"pt\",\"comment\":\"a\\u0000b\"},"
		   "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
		   "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
		   "\"ids\":{\"dtype\":\"I64\",\"shape\":[1,2],\"data_offsets\":[16,32]},"
		   "\"none\":{\"dtype\":\"BF16\",\"shape\":[0,7],\"data_offsets\":[32,32]}}   ",
		   32);
	if (tensors_open(path_of("good.safetensors"), &st, &err))
		fail_msg("%s", err.text);
	assert_int_equal(tensors_count(st), 4);
	assert_string_equal(tensors_at(st, 0)->name, "a");
	const struct tensor_entry *b = tensors_find(st, "b");
	assert_non_null(b);
	assert_true(b->format->usable);
	assert_int_equal(b->format->dtype, DTYPE_F16);
	assert_int_equal(b->bytes, 12);
	assert_string_equal(tensor_shape_text(b->shape, b->rank, shape, sizeof shape), "[2, 3]");
	assert_false(tensors_find(st, "ids")->format->usable);
	assert_null(tensors_find(st, "c"));
	assert_null(tensors_find(st, "__metadata__"));
	unsigned char bytes[12];
	assert_int_equal(tensors_read(st, b, bytes, &err), SUMI_OK);
	assert_int_equal(bytes[0], 0);
	tensors_close(st);
}

/* A header of 640 bytes has the first bytes of a pickle. */
static void test_header_that_looks_like_a_pickle(void **state)
{
	(void)state;
	struct tensor_file *st = NULL;
	struct error err = {0};
	char header[641];
	memset(header, ' ', 640);
	header[640] = '\0';
	memcpy(header, "{}", 2);
	write_file("p.safetensors", header, 0);
	if (tensors_open(path_of("p.safetensors"), &st, &err))
		fail_msg("%s", err.text);
	assert_int_equal(tensors_count(st), 0);
	tensors_close(st);
}

/* --- what is wrong --- */

#define ENTRY(name, dtype, shape, offsets)                                                         \
	"\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static const struct {
	const char *header;
	size_t data;
	const char *message; /* must stand in the error */
} damaged[] = {
    {"", 0, "1:"},
    {"[]", 0, "must be a JSON object"},
    {"{", 0, "1:"},
    {"{\"a\":7}", 0, "'a'"},
    {"{" ENTRY("a", "F33", "[1]", "[0,4]") "}", 4, "unknown dtype 'F33'"},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "unknown dtype"},
    {"{" ENTRY("a", "F32\\u0000", "[1]", "[0,4]") "}", 4, "unknown dtype"},
    {"{" ENTRY("a\\u0000b", "F32", "[1]", "[0,4]") "}", 4, "NUL"},
    {"{" ENTRY("a", "F32", "7", "[0,4]") "}", 4, "'shape' must be a list"},
    {"{" ENTRY("a", "F32", "[-1]", "[0,4]") "}", 4, "whole numbers from 0"},
    {"{" ENTRY("a", "F32", "[1.5]", "[0,4]") "}", 4, "whole numbers from 0"},
    {"{" ENTRY("a", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "more than 8 dimensions"},
    {"{" ENTRY("a", "F32", "[2]", "[0,4]") "}", 4, "does not fill its 4 bytes"},
    {"{" ENTRY("a", "F32", "[4611686018427387905]", "[0,4]") "}", 4,
     "cannot have the shape"},
    {"{" ENTRY("a", "F32", "[4294967296,4294967296]", "[0,0]") "}", 0,
     "cannot have the shape"},
    {"{" ENTRY("a", "F32", "[1]", "[4,0]") "}", 4, "run backwards"},
    {"{" ENTRY("a", "F32", "[1]", "[-4,0]") "}", 4, "run backwards"},
    {"{" ENTRY("a", "F32", "[1]", "[0]") "}", 4, "two whole numbers"},
    {"{" ENTRY("a", "F32", "[1]", "[0,\"4\"]") "}", 4, "two whole numbers"},
    {"{" ENTRY("a", "F32", "[2]", "[0,8]") "}", 7, "cut short"},
    {"{" ENTRY("a", "F32", "[1]", "[9223372036854775803,9223372036854775807]") "}", 4, "cut short"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4]") "}", 5, "1 bytes at the end"},
    {"{" ENTRY("a", "F32", "[1]", "[4,8]") "}", 8, "belong to no tensor"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("b", "F32", "[1]", "[2,6]") "}", 6,
     "overlaps"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("b", "F32", "[1]", "[0,4]") "}", 4,
     "overlaps"},
    {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("a", "F32", "[1]", "[4,8]") "}", 8,
     "uplicate"},
};

static void expect_refused(const char *name, const char *message)
{
	struct tensor_file *st = NULL;
	struct error err = {0};
	int status = tensors_open(path_of(name), &st, &err);
	if (status == SUMI_OK)
		fail_msg("%s was accepted, wanted '%s'", name, message);
	assert_null(st);
	assert_int_equal(err.status, status);
	if (!strstr(err.text, message) || !strstr(err.text, name) || strchr(err.text, '\n'))
		fail_msg("'%s' does not say '%s'", err.text, message);
}

static void expect_stranger(const char *text, const char *message)
{
	write_bytes("stranger.safetensors", text, strlen(text));
	expect_refused("stranger.safetensors", message);
}

static void test_damaged_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
		write_file("bad.safetensors", damaged[i].header, damaged[i].data);
		expect_refused("bad.safetensors", damaged[i].message);
	}
}

static void test_files_that_are_none(void **state)
{
	(void)state;
	unsigned char length[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, '{', '}'};
	write_bytes("empty.safetensors", "", 0);
	expect_refused("empty.safetensors", "too few");
	write_bytes("short.safetensors", "\2\0\0\0", 4);
	expect_refused("short.safetensors", "too few");
	write_bytes("huge.safetensors", length, sizeof length);
	expect_refused("huge.safetensors", "the header claims 9223372036854775807 bytes");
	write_bytes("zip.safetensors", "PK\3\4 and more", 12);
	expect_refused("zip.safetensors", "a zip archive without its end: it is cut short");
	write_bytes("pickle.ckpt", "\x80\2}q\0X\0\0\0\0\0", 11);
	expect_refused("pickle.ckpt", "is a pickle, but not one that torch.save() writes");
	expect_stranger("version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer");
	expect_stranger("\n<!DOCTYPE html><html>", "page of HTML");
	expect_stranger("<html lang=\"en\">", "page of HTML");
	expect_stranger("<?xml version=\"1.0\"?>", "answered with an error");
	expect_stranger("{\"error\":\"Unauthorized\"}", "download was refused");
	expect_stranger("\x1f\x8b\x08 and so on", "unpack it");
	expect_stranger("\xff\xd8\xff\xe0 and so on", "JPEG picture");
	expect_stranger("RIFF \1\1\1WEBP", "not a model");
	expect_stranger("\x08\x07\x12\x07pytorch\x1a\x05", "ONNX");
	expect_stranger("mirror moved, see https://example.org for the file", "is a text");
	unsigned char tar[512] = "model/", zeros[4096] = {0};
	memcpy(tar + 257, "ustar", 5);
	write_bytes("tar.ckpt", tar, sizeof tar);
	expect_refused("tar.ckpt", "tar archive: unpack it");
	write_bytes("zeros.safetensors", zeros, sizeof zeros);
	expect_refused("zeros.safetensors", "nothing but zeros");
	assert_int_equal(mkdir(path_of("folder.safetensors"), 0700), 0);
	expect_refused("folder.safetensors", "");
	assert_int_equal(mkfifo(path_of("pipe.safetensors"), 0600), 0);
	expect_refused("pipe.safetensors", "not a regular file");
	expect_refused("missing.safetensors", "No such file");
}

/* Changes bytes of real headers at random (the generator is fixed) and reads every byte
 * that the reader promises. A wrong promise is found by ASan or kills the test. */
static void test_mutated_headers(void **state)
{
	(void)state;
	static const char *const sources[] = {
	    "tests/vectors/taesd-tiny/vae/diffusion_pytorch_model.safetensors",
	    "tests/vectors/sd1-tiny/text_encoder/model.safetensors"};
	static const char alphabet[] = "0123456789,:[]{}\"-e.FBI \\\x80\xff";
	uint32_t seed = 12345;
	int accepted = 0, refused = 0;
	for (int round = 0; round < 1200; round++) {
		char *file;
		size_t size, header = 0;
		struct error err = {0};
		assert_int_equal(files_read(sources[round % 2], 64u << 20, &file, &size, &err), 0);
		for (int i = 7; i >= 0; i--)
			header = header << 8 | (unsigned char)file[i];
		int changes = 1 + round % 3;
		for (int i = 0; i < changes; i++) {
			seed = seed * 1664525u + 1013904223u;
			size_t at = (seed >> 8) % (round % 7 ? header : 8) + (round % 7 ? 8 : 0);
			seed = seed * 1664525u + 1013904223u;
			file[at] = alphabet[(seed >> 8) % (sizeof alphabet - 1)];
		}
		if (round % 5 == 0)
			size -= (seed >> 8) % size;
		write_bytes("fuzz.safetensors", file, size);
		free(file);
		struct tensor_file *st = NULL;
		if (tensors_open(path_of("fuzz.safetensors"), &st, &err)) {
			refused++;
			assert_null(st);
			assert_true(err.text[0] != '\0');
			continue;
		}
		accepted++;
		for (size_t k = 0; k < tensors_count(st); k++) {
			const struct tensor_entry *e = tensors_at(st, k);
			unsigned char *bytes = malloc(e->bytes + 1);
			assert_non_null(bytes);
			assert_int_equal(tensors_read(st, e, bytes, &err), SUMI_OK);
			free(bytes);
		}
		tensors_close(st);
	}
	assert_true(accepted > 20); /* a change in a name is harmless */
	assert_true(refused > 600);
}

/* --- files that change while they are read --- */

#define WHOLE                                                                                      \
	"{" ENTRY("a.weight", "F32", "[64,64]", "[0,16384]") "," ENTRY("a.bias", "F32", "[64]",    \
								       "[16384,16640]") "}"

static void test_a_file_that_becomes_shorter(void **state)
{
	(void)state;
	struct tensor_file *st = NULL;
	struct error err = {0};
	static unsigned char bytes[16384];
	write_file("model.safetensors", WHOLE, 16640);
	assert_int_equal(tensors_open(path_of("model.safetensors"), &st, &err), SUMI_OK);
	const struct tensor_entry *e = tensors_find(st, "a.weight");
	assert_int_equal(tensors_read(st, e, bytes, &err), SUMI_OK);
	assert_int_equal(tensors_check(st, &err), SUMI_OK);
	assert_int_equal(truncate(path_of("model.safetensors"), 4096), 0);
	assert_int_equal(tensors_read(st, e, bytes, &err), SUMI_IO);
	assert_non_null(strstr(err.text, "model.safetensors was changed while it was read"));
	assert_int_equal(tensors_check(st, &err), SUMI_IO);
	struct bytes_writer w = {0};
	tensors_identity(st, &w);
	free(w.data);
	tensors_close(st);
}

/* As long as before, with other bytes: what was read is of neither file. */
static void test_a_file_that_is_written_over(void **state)
{
	(void)state;
	struct tensor_file *st = NULL;
	struct error err = {0};
	write_file("model.safetensors", WHOLE, 16640);
	struct stat before;
	assert_int_equal(stat(path_of("model.safetensors"), &before), 0);
	assert_int_equal(tensors_open(path_of("model.safetensors"), &st, &err), SUMI_OK);
	struct timespec later[2] = {{.tv_nsec = UTIME_OMIT}, before.st_mtim};
	later[1].tv_sec++;
	assert_int_equal(utimensat(AT_FDCWD, path_of("model.safetensors"), later, 0), 0);
	assert_int_equal(tensors_check(st, &err), SUMI_IO);
	tensors_close(st);
	/* Another file in its place is no change of this one. */
	write_file("model.safetensors", WHOLE, 16640);
	write_file("other", WHOLE, 16640);
	assert_int_equal(tensors_open(path_of("model.safetensors"), &st, &err), SUMI_OK);
	char other[128];
	strcpy(other, path_of("other"));
	assert_int_equal(rename(other, path_of("model.safetensors")), 0);
	assert_int_equal(tensors_check(st, &err), SUMI_OK);
	tensors_close(st);
}

static void test_a_load_that_is_cut(void **state)
{
	(void)state;
	struct device *device;
	struct error err = {0};
	assert_int_equal(device_open("reference", &device, &err), SUMI_OK);
	for (int cut = 0; cut < 3; cut++) {
		struct weights *w;
		struct linear_layer layer;
		write_file("model.safetensors", WHOLE, 16640);
		assert_int_equal(weights_open(dir, &w, &err), SUMI_OK);
		struct weight_set set = {.device = device};
		struct loader l = {.files = w, .set = &set, .err = &err};
		struct stat s;
		assert_int_equal(stat(path_of("model.safetensors"), &s), 0);
		if (cut) /* in the weight; in the bias */
			assert_int_equal(
			    truncate(path_of("model.safetensors"), cut == 1 ? 1000 : s.st_size - 4),
			    0);
		load_linear(&l, &layer, 64, 64, 0, "a");
		assert_int_equal(loader_end(&l), cut ? SUMI_IO : SUMI_OK);
		if (cut && !strstr(err.text, "was changed while it was read"))
			fail_msg("%s", err.text);
		weight_set_clear(&set);
		weights_close(w);
	}
	unlink(path_of("model.safetensors"));
	device_close(device);
}

/* --- folders --- */

static void expect_no_weights(const char *folder, int status, const char *message)
{
	struct weights *w = NULL;
	struct error err = {0};
	assert_int_equal(weights_open(path_of(folder), &w, &err), status);
	assert_null(w);
	if (!strstr(err.text, message))
		fail_msg("'%s' does not say '%s'", err.text, message);
}

static void test_folders(void **state)
{
	(void)state;
	static const char one[] = "{" ENTRY("x.weight", "F32", "[1]", "[0,4]") "}";
	struct weights *w = NULL;
	struct error err = {0};
	assert_int_equal(mkdir(path_of("unet"), 0700), 0);
	expect_no_weights("unet", SUMI_NOTFOUND, "looked for");
	expect_no_weights("nowhere", SUMI_NOTFOUND, "nowhere");
	write_bytes("unet/diffusion_pytorch_model.bin", "PK\3\4", 4);
	expect_no_weights("unet", SUMI_CORRUPT, "it is cut short");
	write_file("unet/diffusion_pytorch_model.fp16.safetensors", one, 4);
	assert_int_equal(weights_open(path_of("unet"), &w, &err), SUMI_OK);
	assert_non_null(weights_find(w, "x.weight"));
	assert_null(weights_find(w, "y.weight"));
	assert_int_equal(weights_check_unused(w, "", &err), SUMI_OK);
	weights_close(w);
	assert_int_equal(weights_open(path_of("unet"), &w, &err), SUMI_OK);
	assert_int_equal(weights_check_unused(w, "y.", &err), SUMI_OK);
	assert_int_equal(weights_check_unused(w, "", &err), SUMI_INVALID);
	assert_non_null(strstr(err.text, "'x.weight'"));
	weights_close(w);
}

static const struct {
	const char *index, *message;
} bad_indices[] = {
    {"{}", "'weight_map' must name at least one tensor"},
    {"{\"weight_map\":{\"x.weight\":\"../s1.safetensors\"}}", "not the name of a file"},
    {"{\"weight_map\":{\"x.weight\":7}}", "not the name of a file"},
    {"{\"weight_map\":{\"x.weight\":\"s1.bin\"}}", "s1.bin: No such file"},
    {"{\"weight_map\":{\"x.weight\":\"s2.safetensors\"}}", "s2.safetensors"},
    {"{\"weight_map\":{\"y.weight\":\"s1.safetensors\"}}", "tensor 'y.weight' is not in"},
    {"{\"weight_map\":{", "1:"},
};

static void test_indices(void **state)
{
	(void)state;
	static const char index[] = "vae/model.safetensors.index.json";
	static const char good[] =
	    "{\"metadata\":{},\"weight_map\":{\"x.weight\":\"s1.safetensors\"}}";
	struct weights *w = NULL;
	struct error err = {0};
	assert_int_equal(mkdir(path_of("vae"), 0700), 0);
	write_file(
	    "vae/s1.safetensors",
	    "{" ENTRY("x.weight", "F32", "[1]", "[0,4]") "," ENTRY("z", "F32", "[1]", "[4,8]") "}",
	    8);
	for (size_t i = 0; i < sizeof bad_indices / sizeof bad_indices[0]; i++) {
		write_bytes(index, bad_indices[i].index, strlen(bad_indices[i].index));
		assert_int_not_equal(weights_open(path_of("vae"), &w, &err), SUMI_OK);
		assert_null(w);
		if (!strstr(err.text, bad_indices[i].message))
			fail_msg("'%s' does not say '%s'", err.text, bad_indices[i].message);
	}
	write_bytes(index, good, strlen(good));
	assert_int_equal(weights_open(path_of("vae"), &w, &err), SUMI_OK);
	assert_non_null(weights_find(w, "x.weight"));
	assert_non_null(weights_find(w, "z")); /* although the index does not list it */
	weights_close(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good_file),
	    cmocka_unit_test(test_header_that_looks_like_a_pickle),
	    cmocka_unit_test(test_damaged_headers),
	    cmocka_unit_test(test_files_that_are_none),
	    cmocka_unit_test(test_mutated_headers),
	    cmocka_unit_test(test_a_file_that_becomes_shorter),
	    cmocka_unit_test(test_a_file_that_is_written_over),
	    cmocka_unit_test(test_a_load_that_is_cut),
	    cmocka_unit_test(test_folders),
	    cmocka_unit_test(test_indices),
	};
	return cmocka_run_group_tests(tests, open_folder, remove_folder);
}
