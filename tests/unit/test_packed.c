/* Packed weights kept on disk: what is read back gives the same bytes, what is damaged or forged
 * is removed, what changed is packed anew, what is old makes room. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/hash.h"
#include "check.h"
#include "networks/unet.h"
#include "weights/gguf_write.h"
#include "weights/guard.h"
#include "weights/overlay.h"
#include "weights/packed.h"

#define LIMIT (UINT64_C(1) << 30)
#define SETTLED_MS 150 /* a file's times of change are then beyond doubt */

/* Where things stand in a file's header. */
enum { AT_KEY = 12, AT_SIZES = AT_KEY + 64, AT_TABLE_HASH = AT_SIZES + 24, PAGE = 4096 };

enum { SIDE = 4, TOKENS = 8, LATENTS = SIDE * SIDE * 4 };

struct place {
	char root[64], cache[96], model[96];
};

static struct device *device; /* with packed weights; NULL: this machine has none */
static struct packed_store *store;

static void keep_in(const char *dir, uint64_t limit)
{
	packed_store_close(store);
	assert_int_equal(packed_store_open(dir, limit, &store, NULL), 0);
}

static int open_unet(struct device *on, const char *folder, struct unet **out, struct error *err)
{
	const struct overlays with = {.store = store};
	return unet_open_with(on, folder, &with, out, err);
}

/* In the place of libc's: a disk with as much room as a test likes. */
static fsblkcnt_t free_bytes = (fsblkcnt_t)1 << 50;

int statvfs(const char *path, struct statvfs *out)
{
	if (access(path, F_OK) != 0)
		return -1;
	*out = (struct statvfs){.f_bsize = 1, .f_frsize = 1, .f_bavail = free_bytes};
	return 0;
}

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void copy_file(const char *from, const char *to)
{
	char *data;
	size_t size;
	assert_int_equal(files_read(from, 64 << 20, &data, &size, NULL), 0);
	write_file(to, data, size);
	free(data);
}

/* A UNet of its own in a folder of its own. */
static void copy_model(const char *folder)
{
	static const char *const names[] = {"config.json", "diffusion_pytorch_model.safetensors"};
	assert_int_equal(files_make_dirs(folder, 0700, NULL), 0);
	for (int i = 0; i < 2; i++) {
		char from[128], to[256];
		snprintf(from, sizeof from, "models/ink/unet/%s", names[i]);
		snprintf(to, sizeof to, "%s/%s", folder, names[i]);
		copy_file(from, to);
	}
	clock_sleep_ms(SETTLED_MS);
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof *p);
	strcpy(p->root, "/tmp/sumi-packed-XXXXXX");
	assert_non_null(mkdtemp(p->root));
	snprintf(p->cache, sizeof p->cache, "%s/cache/weights", p->root);
	snprintf(p->model, sizeof p->model, "%s/model", p->root);
	copy_model(p->model);
	keep_in(p->cache, LIMIT);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	char command[128];
	keep_in(NULL, 0);
	snprintf(command, sizeof command, "rm -rf '%s'", p->root);
	int status = system(command);
	free(p);
	return status;
}

/* One step of an open model; out [side, side, 4]. */
static void forward_at(struct unet *unet, int side, float *out)
{
	struct unet_text *text;
	struct error err = {0};
	float timestep = 300;
	int width = unet_config(unet)->context, count = side * side * 4;
	float *context = calloc((size_t)TOKENS * (size_t)width, sizeof *context);
	float *latents = calloc((size_t)count, sizeof *latents);
	for (int i = 0; i < TOKENS * width; i++)
		context[i] = (float)(i % 11 - 5) / 5;
	for (int i = 0; i < count; i++)
		latents[i] = (float)(i % 7 - 3) / 3;
	assert_int_equal(unet_text_new(unet, context, 1, TOKENS, &text, &err), 0);
	struct unet_input in = {
	    .latents = latents,
	    .n = 1,
	    .h = side,
	    .w = side,
	    .timesteps = &timestep,
	    .text = text,
	};
	if (unet_forward(unet, &in, out, &err))
		fail_msg("%s", err.text);
	unet_text_free(text);
	free(latents);
	free(context);
}

static void forward(struct unet *unet, float *out)
{
	forward_at(unet, SIDE, out);
}

/* Opens the model and runs one step. */
static void step(const char *folder, struct device *on, float *out)
{
	struct unet *unet;
	struct error err = {0};
	if (open_unet(on, folder, &unet, &err))
		fail_msg("%s", err.text);
	forward(unet, out);
	unet_close(unet);
}

/* The only file in the cache; counts all of them. */
static int find_file(const struct place *p, char path[512], struct stat *st)
{
	int count = 0;
	const struct dirent *e;
	DIR *dir = opendir(p->cache);
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, 512, "%s/%.200s", p->cache, e->d_name);
		if (st)
			assert_int_equal(stat(path, st), 0);
		count++;
	}
	if (dir)
		closedir(dir);
	return count;
}

static bool is_mapped(const char *path)
{
	char line[1024];
	bool found = false;
	FILE *f = fopen("/proc/self/maps", "r");
	while (f && fgets(line, sizeof line, f))
		found = found || strstr(line, path);
	if (f)
		fclose(f);
	return found;
}

static void test_same_bytes(void **state)
{
	struct place *p = *state;
	float plain[LATENTS], written[LATENTS], read[LATENTS];
	char path[512];
	struct stat first, second;
	keep_in(NULL, 0);
	step(p->model, device, plain);
	assert_int_equal(find_file(p, path, NULL), 0);
	keep_in(p->cache, LIMIT);
	step(p->model, device, written);
	assert_int_equal(find_file(p, path, &first), 1);
	assert_int_equal(first.st_mode & 0777, 0600);
	step(p->model, device, read);
	assert_int_equal(find_file(p, path, &second), 1);
	assert_int_equal(first.st_ino, second.st_ino);
	assert_memory_equal(plain, written, sizeof plain);
	assert_memory_equal(plain, read, sizeof plain);
	struct packed_usage usage;
	assert_int_equal(packed_usage(store, &usage, NULL), 0);
	assert_int_equal(usage.files, 1);
	assert_within(usage.bytes, 1 << 20, (uint64_t)second.st_size + (1 << 20));
	/* Freed with the model, not before. */
	struct unet *unet;
	assert_int_equal(open_unet(device, p->model, &unet, NULL), 0);
	assert_true(is_mapped(path));
	unet_close(unet);
	assert_false(is_mapped(path));
}

/* A file that is cut while its weights are used: an error with its name, and the next load is whole
 * again. */
static void test_cut_while_used(void **state)
{
	struct place *p = *state;
	float first[LATENTS], again[LATENTS];
	char path[512];
	struct error err = {0};
	struct unet *unet;
	guard_install(); /* before each test the library takes the signal for itself */
	step(p->model, device, first);
	assert_int_equal(find_file(p, path, NULL), 1);
	assert_int_equal(open_unet(device, p->model, &unet, &err), 0);
	assert_int_equal(guard_check(&err), SUMI_OK);
	assert_int_equal(truncate(path, 2 * PAGE), 0);
	forward(unet, again);
	assert_int_equal(guard_check(&err), SUMI_IO);
	if (!strstr(err.text, path) || !strstr(err.text, "was changed while it was read"))
		fail_msg("%s", err.text);
	unet_close(unet);
	assert_int_equal(guard_check(&err), SUMI_OK);
	step(p->model, device, again);
	assert_memory_equal(first, again, sizeof first);
	step(p->model, device, again);
	assert_memory_equal(first, again, sizeof first);
}

static void once(int signal)
{
	(void)signal;
}

/* LLVM puts a handler that is gone with the first fault in front of the library's, which has to be the first again before
 * two threads fault at once. */
static void test_another_handler_in_front(void **state)
{
	(void)state;
	struct sigaction ours, theirs = {.sa_handler = once, .sa_flags = SA_NODEFER | SA_RESETHAND}, now;
	guard_install();
	assert_int_equal(sigaction(SIGBUS, &theirs, &ours), 0);
	assert_int_equal(guard_check(NULL), SUMI_OK);
	assert_int_equal(sigaction(SIGBUS, NULL, &now), 0);
	assert_true(now.sa_sigaction == ours.sa_sigaction && now.sa_sigaction != theirs.sa_sigaction);
}

/* A name that is gone does not take the bytes away from those who use them. */
/* KiB of the kept weights that are in this process. */
static long resident(void)
{
	char line[512];
	bool ours = false;
	long all = 0, here;
	FILE *f = fopen("/proc/self/smaps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		if (strstr(line, "/sumi-packed-"))
			ours = true;
		else if (ours && sscanf(line, "Rss: %ld", &here) == 1) {
			all += here;
			ours = false;
		}
	}
	fclose(f);
	return all;
}

/* What is large is never in memory as a whole: not while it is written or looked through, and not in a long
 * pass. The bytes are those of one that is. */
static void test_lean(void **state)
{
	enum { LARGE = 128, COUNT = LARGE * LARGE * 4 };
	struct place *p = *state;
	struct error err = {0};
	float *want = malloc(COUNT * sizeof *want), *got = malloc(COUNT * sizeof *got);
	struct unet *unet;
	for (int i = 0; i < 3; i++) { /* as usual; written; read */
		if (i == 1) {
			char other[128];
			snprintf(other, sizeof other, "%s/other", p->root);
			keep_in(other, LIMIT);
			packed_store_lean(store, 1);
		}
		assert_int_equal(open_unet(device, p->model, &unet, &err), 0);
		if (i > 0)
			assert_true(resident() < 1024);
		forward_at(unet, LARGE, i ? got : want);
		assert_true(i ? resident() < 2048 : resident() > 8192);
		unet_close(unet);
		if (i > 0)
			assert_memory_equal(want, got, COUNT * sizeof *want);
	}
	free(want);
	free(got);
}

/* The model with its large matrices in blocks, as one file. */
static void quantise_model(const struct place *p, const char *file)
{
	const struct quantiser *q;
	struct gguf_report report;
	struct weights *weights;
	struct error err = {0};
	assert_int_equal(quantiser_named("q8_0", &q, &err), 0);
	if (weights_open(p->model, &weights, &err) || gguf_write(weights, q, file, &report, &err))
		fail_msg("%s", err.text);
	assert_true(report.quantised > 0);
	weights_close(weights);
	clock_sleep_ms(SETTLED_MS);
}

/* Of what is quantised one half leaves in passes that are not long too, but for short ones. */
static void test_tight(void **state)
{
	enum { SHORT = 64, MIDDLE = 96, COUNT = MIDDLE * MIDDLE * 4 };
	struct place *p = *state;
	struct error err = {0};
	float *want = malloc(COUNT * sizeof *want), *got = malloc(COUNT * sizeof *got);
	char file[128], part[160];
	struct unet *unet;
	long all = 0;
	snprintf(file, sizeof file, "%s/model.gguf", p->root);
	snprintf(part, sizeof part, "%s/unet", file);
	quantise_model(p, file);
	for (int i = 0; i < 3; i++) { /* as usual; written; read */
		if (i == 1) {
			char other[128];
			snprintf(other, sizeof other, "%s/other", p->root);
			keep_in(other, LIMIT);
			packed_store_lean(store, 1);
		}
		if (open_unet(device, part, &unet, &err))
			fail_msg("%s", err.text);
		forward_at(unet, MIDDLE, i ? got : want);
		if (i > 0)
			assert_within(resident(), all / 4, all / 8 * 5);
		forward_at(unet, SHORT, got);
		if (i == 0)
			all = resident();
		assert_within(resident(), all / 8 * 7, all + 256);
		forward_at(unet, MIDDLE, got);
		unet_close(unet);
		assert_memory_equal(want, got, COUNT * sizeof *want);
	}
	free(want);
	free(got);
}

static void test_removed_while_used(void **state)
{
	struct place *p = *state;
	float before[LATENTS], after[LATENTS];
	char path[512];
	struct unet *unet;
	step(p->model, device, before);
	assert_int_equal(open_unet(device, p->model, &unet, NULL), 0);
	assert_int_equal(find_file(p, path, NULL), 1);
	assert_int_equal(unlink(path), 0);
	unet_close(unet);
	step(p->model, device, after);
	assert_memory_equal(before, after, sizeof before);
	assert_int_equal(find_file(p, path, NULL), 1);
}

static void put_u64(char *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		at[i] = (char)(value >> 8 * i);
}

static uint64_t get_u64(const char *at)
{
	uint64_t value = 0;
	for (int i = 7; i >= 0; i--)
		value = value << 8 | (unsigned char)at[i];
	return value;
}

/* Makes the hashes fit what stands there. */
static void sign(char *data, size_t size)
{
	char hex[SHA256_HEX_SIZE];
	size_t table = (size_t)get_u64(data + AT_SIZES + 8);
	if (table < size) {
		sha256_hex(data + size - table, table, hex);
		memcpy(data + AT_TABLE_HASH, hex, 64);
	}
	sha256_hex(data, AT_TABLE_HASH + 64, hex);
	memcpy(data + AT_TABLE_HASH + 64, hex, 64);
}

enum damage {
	CUT_IN_HALF,
	CUT_TO_NOTHING,
	OTHER_MAGIC,
	OTHER_KEY,
	BYTE_OF_A_WEIGHT,
	BYTE_OF_THE_LAST_WEIGHT,
	BYTE_OF_THE_TABLE,
	TABLE_TOO_LARGE,
	COUNT_TOO_LARGE,
	COUNT_TOO_SMALL,
	OFFSET_BEHIND_THE_END,
	OFFSET_OF_THE_HEADER,
	SIZE_THAT_WRAPS,
	NAME_TOO_LONG,
	DAMAGES
};

/* The first entry: u32 length, name, five u32, then offset, size, sum. */
static void forge(char *data, size_t *size, enum damage damage)
{
	char *table = data + *size - get_u64(data + AT_SIZES + 8);
	size_t name = (unsigned char)table[0];
	char *offset = table + 4 + name + 20;
	switch (damage) {
	case CUT_IN_HALF:
		*size /= 2;
		return;
	case CUT_TO_NOTHING:
		*size = 0;
		return;
	case OTHER_MAGIC:
		data[0] ^= 1;
		break;
	case OTHER_KEY:
		data[AT_KEY] ^= 1;
		break;
	case BYTE_OF_A_WEIGHT:
		data[PAGE + 9] ^= 1;
		return;
	case BYTE_OF_THE_LAST_WEIGHT:
		table[-PAGE] ^= 1;
		return;
	case BYTE_OF_THE_TABLE:
		table[5] ^= 1;
		return;
	case TABLE_TOO_LARGE:
		put_u64(data + AT_SIZES + 8, UINT64_MAX - 4);
		break;
	case COUNT_TOO_LARGE:
		put_u64(data + AT_SIZES + 16, UINT64_MAX / 2);
		break;
	case COUNT_TOO_SMALL:
		put_u64(data + AT_SIZES + 16, 1);
		break;
	case OFFSET_BEHIND_THE_END:
		put_u64(offset, (*size / PAGE + 7) * PAGE);
		break;
	case OFFSET_OF_THE_HEADER:
		put_u64(offset, 0);
		break;
	case SIZE_THAT_WRAPS:
		put_u64(offset + 8, UINT64_MAX - PAGE);
		break;
	case NAME_TOO_LONG:
		table[1] = 2;
		break;
	default:
		fail();
	}
	sign(data, *size);
}

/* Whatever the file says: the result is right, and the file is replaced. */
static void test_damaged(void **state)
{
	struct place *p = *state;
	float want[LATENTS], got[LATENTS];
	char path[512], *data;
	size_t whole;
	step(p->model, device, want);
	assert_int_equal(find_file(p, path, NULL), 1);
	assert_int_equal(files_read(path, 256 << 20, &data, &whole, NULL), 0);
	char *forged = malloc(whole);
	for (int damage = 0; damage < DAMAGES; damage++) {
		char *now;
		size_t size = whole, size_now;
		memcpy(forged, data, whole);
		forge(forged, &size, (enum damage)damage);
		write_file(path, forged, size);
		step(p->model, device, got);
		if (memcmp(want, got, sizeof want) != 0)
			fail_msg("damage %d changed the result", damage);
		/* Damage that is met half-way costs the file; the next load writes it again. */
		step(p->model, device, got);
		assert_int_equal(files_read(path, 256 << 20, &now, &size_now, NULL), 0);
		if (size_now != whole || memcmp(now, data, whole) != 0)
			fail_msg("damage %d was left there", damage);
		free(now);
	}
	free(forged);
	free(data);
}

/* Others could cut it while it is mapped. */
static void test_writable_by_others(void **state)
{
	struct place *p = *state;
	float out[LATENTS];
	char path[512];
	struct stat before, after;
	step(p->model, device, out);
	assert_int_equal(find_file(p, path, &before), 1);
	assert_int_equal(chmod(path, 0620), 0);
	step(p->model, device, out);
	assert_int_equal(find_file(p, path, &after), 1);
	assert_int_equal(after.st_mode & 0777, 0600);
	assert_int_not_equal(before.st_ino, after.st_ino);
}

/* Same path, same size, same mtime, other weights. */
static void test_changed_weights(void **state)
{
	struct place *p = *state;
	float before[LATENTS], after[LATENTS], plain[LATENTS];
	char path[512], file[160];
	struct stat st;
	snprintf(file, sizeof file, "%s/diffusion_pytorch_model.safetensors", p->model);
	assert_int_equal(stat(file, &st), 0);
	step(p->model, device, before);
	FILE *f = fopen(file, "r+");
	assert_non_null(f);
	unsigned char bytes[4096];
	/* The end of some tensor in the middle: neither header nor first block. */
	assert_int_equal(fseek(f, (long)(st.st_size / 2), SEEK_SET), 0);
	assert_int_equal(fread(bytes, 1, sizeof bytes, f), sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i += 2)
		bytes[i] ^= 0x55;
	assert_int_equal(fseek(f, (long)(st.st_size / 2), SEEK_SET), 0);
	assert_int_equal(fwrite(bytes, 1, sizeof bytes, f), sizeof bytes);
	fclose(f);
	const struct timespec times[2] = {st.st_atim, st.st_mtim};
	assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
	clock_sleep_ms(SETTLED_MS);
	step(p->model, device, after);
	assert_int_equal(find_file(p, path, NULL), 2);
	keep_in(NULL, 0);
	step(p->model, device, plain);
	assert_memory_equal(after, plain, sizeof plain);
	assert_memory_not_equal(after, before, sizeof before);
}

/* Room for one model and a half: the one that was used longest ago goes. */
static void test_makes_room(void **state)
{
	struct place *p = *state;
	float out[LATENTS];
	char path[512], first[512], other[128];
	struct stat st;
	snprintf(other, sizeof other, "%s/other", p->root);
	copy_model(other);
	step(p->model, device, out);
	assert_int_equal(find_file(p, first, &st), 1);
	keep_in(p->cache, (uint64_t)st.st_size * 3 / 2);
	step(other, device, out);
	assert_int_equal(find_file(p, path, NULL), 1);
	assert_string_not_equal(first, path);
	/* Nothing is thrown away for what cannot stay. */
	keep_in(p->cache, (uint64_t)st.st_size / 4);
	step(p->model, device, out);
	char still[512];
	assert_int_equal(find_file(p, still, NULL), 1);
	assert_string_equal(path, still);
}

/* The last gibibyte of a disk belongs to others. */
static void test_spares_the_disk(void **state)
{
	struct place *p = *state;
	float out[LATENTS];
	char path[512];
	free_bytes = (fsblkcnt_t)1 << 30;
	step(p->model, device, out);
	assert_int_equal(find_file(p, path, NULL), 0);
	free_bytes = (fsblkcnt_t)1 << 50;
	step(p->model, device, out);
	assert_int_equal(find_file(p, path, NULL), 1);
}

/* A folder that cannot be made is no reason to fail. */
static void test_no_place(void **state)
{
	struct place *p = *state;
	float out[LATENTS];
	char file[160];
	snprintf(file, sizeof file, "%s/config.json/weights", p->model);
	keep_in(file, LIMIT);
	step(p->model, device, out);
	struct packed_usage usage;
	keep_in(p->cache, 0);
	assert_int_equal(packed_usage(store, &usage, NULL), SUMI_NOTFOUND);
}

static void test_device_without_packing(void **state)
{
	struct place *p = *state;
	struct device *reference;
	char path[512];
	float out[LATENTS];
	assert_int_equal(device_open("reference", &reference, NULL), 0);
	step(p->model, reference, out);
	assert_int_equal(find_file(p, path, NULL), 0);
	device_close(reference);
}

static void test_nothing(void **state)
{
	(void)state;
	print_message("there is no OpenCL CPU here\n");
	skip();
}

/* The first OpenCL CPU: a machine may list a GPU before it. */
static struct device *open_cpu(void)
{
	enum { MOST = 16 };
	struct device_info list[MOST];
	struct device *d = NULL;
	char layout[WEIGHT_LAYOUT_SIZE];
	int count = device_list(list, MOST, NULL);
	for (int i = 0; i < count && i < MOST; i++)
		if (list[i].is_cpu && device_open(list[i].selector, &d, NULL) == SUMI_OK) {
			if (device_weight_layout(d, layout))
				return d;
			device_close(d);
		}
	return NULL;
}

int main(void)
{
	const struct CMUnitTest none[] = {cmocka_unit_test(test_nothing)};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_same_bytes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_lean, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_tight, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_removed_while_used, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_cut_while_used, set_up, tear_down),
	    cmocka_unit_test(test_another_handler_in_front),
	    cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_writable_by_others, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_changed_weights, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_makes_room, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_spares_the_disk, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_no_place, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_device_without_packing, set_up, tear_down),
	};
	device = open_cpu();
	if (!device)
		return cmocka_run_group_tests(none, NULL, NULL);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	device_close(device);
	return failed;
}
