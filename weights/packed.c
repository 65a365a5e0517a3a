/* Packed weights kept on disk: one load's file, found or written. */
#include "weights/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/hash.h"
#include "weights/guard.h"
#include "weights/packed_internal.h"

enum {
	VERSION = 1,
	PAGE = 4096,
	KEY = SHA256_HEX_SIZE - 1,
	ENTRIES_MAX = 1 << 20, /* that a table may claim */
	SMALLEST = 1 << 20,    /* bytes of weights below which packing is as fast as looking */
	RACY_MS = 100,         /* a file's times of change have this grain at worst */
	FLAG_GEGLU = 1,
	FLAG_TABLE = 2,
};
/* Free bytes of the disk that are left to others. */
#define SPARE (UINT64_C(1) << 30)

static const char magic[8] = {'s', 'u', 'm', 'i', 'p', 'a', 'c', 'k'};

struct entry {
	char name[WEIGHT_NAME_MAX];
	uint32_t dtype, cout, cin, kernel, flags;
	uint64_t offset, size, sum;
};

struct packed {
	struct packed *next;
	const struct packed_store *store; /* borrowed, until packed_complete() */
	struct device *device;       /* borrowed */
	const struct weights *files; /* borrowed, until packed_complete() */
	char key[SHA256_HEX_SIZE];
	char path[FILES_PATH_MAX], temp[FILES_PATH_MAX];
	unsigned char *map;
	size_t map_size;
	bool lean; /* packed_store_lean() */
	bool blocks; /* some of them are quantised */
	/* reading */
	struct entry *entries;
	size_t count, at;
	/* writing */
	int fd; /* of the temporary file, locked; -1: not writing */
	size_t end;
	struct bytes_writer table;
};

/* --- small things --- */

/* Eight lanes of FNV-1a over 64-bit words: as fast as memory. Every step is a bijection, so a
 * change of any one word is always seen. */
static uint64_t sum_of(const unsigned char *data, size_t size)
{
	uint64_t lane[8];
	for (uint64_t i = 0; i < 8; i++)
		lane[i] = BYTES_HASH_START + i;
	size_t whole = size / sizeof lane * sizeof lane;
	for (size_t at = 0; at < whole; at += sizeof lane) {
		uint64_t words[8];
		memcpy(words, data + at, sizeof words);
		for (int i = 0; i < 8; i++)
			lane[i] = (lane[i] ^ words[i]) * UINT64_C(0x100000001b3);
	}
	return bytes_hash(bytes_hash(BYTES_HASH_START, lane, sizeof lane), data + whole,
			  size - whole);
}

static size_t up_to_page(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE * PAGE;
}

/* One weight leaves the process until it is used. */
static void rest_entry(const struct packed *p, const struct entry *e)
{
	if (p->lean)
		madvise(p->map + e->offset, up_to_page((size_t)e->size), MADV_DONTNEED);
}

static struct entry describe(const char *name, const struct weight_desc *desc)
{
	struct entry e = {
	    .dtype = (uint32_t)desc->dtype,
	    .cout = (uint32_t)desc->cout,
	    .cin = (uint32_t)desc->cin,
	    .kernel = (uint32_t)desc->kernel,
	    .flags = (desc->geglu ? FLAG_GEGLU : 0u) | (desc->table ? FLAG_TABLE : 0u),
	};
	snprintf(e.name, sizeof e.name, "%s", name);
	return e;
}

/* --- reading --- */

static bool read_entry(struct bytes_reader *r, struct entry *e, size_t data_end)
{
	uint32_t length = bytes_get_u32(r);
	if (length >= sizeof e->name)
		return false;
	bytes_get(r, e->name, length);
	e->dtype = bytes_get_u32(r);
	e->cout = bytes_get_u32(r);
	e->cin = bytes_get_u32(r);
	e->kernel = bytes_get_u32(r);
	e->flags = bytes_get_u32(r);
	e->offset = bytes_get_u64(r);
	e->size = bytes_get_u64(r);
	e->sum = bytes_get_u64(r);
	return !r->failed && e->offset >= PAGE && e->offset % PAGE == 0 && e->offset < data_end &&
	       e->size > 0 && e->size <= data_end - e->offset &&
	       data_end - e->offset - e->size >= WEIGHT_PACKED_SLACK;
}

/* Header and table of the mapped file; false for anything that is not as it must be. */
static bool read_table(struct packed *p)
{
	char hex[SHA256_HEX_SIZE], table_hex[KEY], header_hex[KEY], key[KEY], word[sizeof magic];
	struct bytes_reader h = {.data = p->map, .size = PAGE};
	bytes_get(&h, word, sizeof word);
	uint32_t version = bytes_get_u32(&h);
	bytes_get(&h, key, KEY);
	uint64_t file_size = bytes_get_u64(&h), table_size = bytes_get_u64(&h),
		 count = bytes_get_u64(&h);
	bytes_get(&h, table_hex, KEY);
	sha256_hex(p->map, h.at, hex);
	bytes_get(&h, header_hex, KEY);
	if (memcmp(word, magic, sizeof word) != 0 || version != VERSION ||
	    memcmp(key, p->key, KEY) != 0 || memcmp(hex, header_hex, KEY) != 0 ||
	    file_size != p->map_size || table_size > p->map_size - PAGE || count > ENTRIES_MAX)
		return false;
	size_t data_end = p->map_size - (size_t)table_size;
	sha256_hex(p->map + data_end, (size_t)table_size, hex);
	p->entries = calloc((size_t)count + 1, sizeof *p->entries);
	if (memcmp(hex, table_hex, KEY) != 0 || !p->entries)
		return false;
	struct bytes_reader r = {.data = p->map + data_end, .size = (size_t)table_size};
	for (p->count = 0; p->count < count; p->count++)
		if (!read_entry(&r, &p->entries[p->count], data_end))
			return false;
	return bytes_complete(&r);
}

/* Only files that nobody else may change. */
static bool map_file(struct packed *p)
{
	struct stat st;
	int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	bool fine = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		    !(st.st_mode & 022) && st.st_size >= PAGE;
	if (fine) {
		void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
		fine = map != MAP_FAILED;
		if (fine) {
			p->map = map;
			p->map_size = (size_t)st.st_size;
			guard_add(map, p->map_size, p->path);
			madvise(map, p->map_size, MADV_WILLNEED);
			futimens(fd, NULL); /* its last use, for those that make room */
		}
	}
	close(fd);
	return fine;
}

static void unmap(struct packed *p)
{
	guard_remove(p->map);
	if (p->map)
		munmap(p->map, p->map_size);
	p->map = NULL;
}

bool packed_find(struct packed *p, const char *name, struct weight_desc *desc)
{
	if (!p || !p->entries)
		return false;
	const struct entry *e = &p->entries[p->at];
	struct entry want = describe(name, desc);
	bool fine = p->at < p->count && strcmp(e->name, want.name) == 0 && e->dtype == want.dtype &&
		    e->cout == want.cout && e->cin == want.cin && e->kernel == want.kernel &&
		    e->flags == want.flags &&
		    e->size == device_weight_packed_size(p->device, desc) &&
		    sum_of(p->map + e->offset, (size_t)e->size) == e->sum;
	if (!fine) {
		/* Those found so far were fine, so the mapping stays; the rest is packed. */
		unlink(p->path);
		free(p->entries);
		p->entries = NULL;
		return false;
	}
	p->at++;
	p->blocks |= format_info(desc->dtype)->block > 1;
	rest_entry(p, e);
	desc->packed = p->map + e->offset;
	return true;
}

void packed_pass(struct packed *p, const char *name)
{
	if (p && p->entries && p->at < p->count && strcmp(p->entries[p->at].name, name) == 0)
		p->at++;
}

/* --- writing --- */

static void stop_writing(struct packed *p)
{
	if (p->fd < 0)
		return;
	unlink(p->temp);
	close(p->fd);
	p->fd = -1;
}

/* Opens the temporary file under a lock, so that of several processes that load the same model
 * one writes. The lock ends with its holder; what a crash left is begun anew. */
static bool lock_temp(struct packed *p)
{
	struct stat mine, there;
	p->fd = open(p->temp, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->fd < 0)
		return false;
	/* Between open and lock another one may have finished: then this is its file. */
	if (flock(p->fd, LOCK_EX | LOCK_NB) == 0 && fstat(p->fd, &mine) == 0 &&
	    stat(p->temp, &there) == 0 && mine.st_ino == there.st_ino)
		return true;
	close(p->fd);
	p->fd = -1;
	return false;
}

/* The file is mapped at the most that it can become; only what is allocated is touched. */
static void begin_writing(struct packed *p)
{
	uint64_t data = weights_bytes(p->files), tensors = weights_tensors(p->files);
	uint64_t most = 2 * data + tensors * 64 * 1024 + PAGE;
	if (!packed_make_room(p->store, data) || !packed_has_space(p->store, 2 * data + SPARE) || most > SIZE_MAX / 2 ||
	    !lock_temp(p))
		return;
	p->map_size = (size_t)most;
	void *map = MAP_FAILED;
	if (ftruncate(p->fd, 0) == 0 && ftruncate(p->fd, (off_t)most) == 0)
		map = mmap(NULL, p->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	if (map == MAP_FAILED) {
		stop_writing(p);
		return;
	}
	p->map = map;
	p->end = PAGE;
	guard_add(map, p->map_size, p->path);
}

static void put_entry(struct bytes_writer *w, const struct entry *e)
{
	uint32_t length = (uint32_t)strlen(e->name);
	bytes_put_u32(w, length);
	bytes_put(w, e->name, length);
	bytes_put_u32(w, e->dtype);
	bytes_put_u32(w, e->cout);
	bytes_put_u32(w, e->cin);
	bytes_put_u32(w, e->kernel);
	bytes_put_u32(w, e->flags);
	bytes_put_u64(w, e->offset);
	bytes_put_u64(w, e->size);
	bytes_put_u64(w, e->sum);
}

void packed_add(struct packed *p, const char *name, struct weight_desc *desc)
{
	struct error err;
	if (!p || p->fd < 0)
		return;
	struct entry e = describe(name, desc);
	e.offset = p->end;
	e.size = device_weight_packed_size(p->device, desc);
	size_t room = up_to_page((size_t)e.size + WEIGHT_PACKED_SLACK);
	/* Allocated before it is written to: a full disk is an answer here and a SIGBUS there. */
	if (room > p->map_size - p->end ||
	    posix_fallocate(p->fd, (off_t)p->end, (off_t)room) != 0 ||
	    device_weight_pack(p->device, desc, p->map + e.offset, &err) != 0) {
		stop_writing(p);
		return;
	}
	e.sum = sum_of(p->map + e.offset, (size_t)e.size);
	put_entry(&p->table, &e);
	rest_entry(p, &e);
	p->count++;
	p->end += room;
	p->blocks |= format_info(desc->dtype)->block > 1;
	desc->packed = p->map + e.offset;
}

/* Table and header behind and before the weights. */
static bool write_ends(struct packed *p)
{
	char hex[SHA256_HEX_SIZE];
	struct bytes_writer h = {0};
	bytes_put(&h, magic, sizeof magic);
	bytes_put_u32(&h, VERSION);
	bytes_put(&h, p->key, KEY);
	bytes_put_u64(&h, p->end + p->table.size);
	bytes_put_u64(&h, p->table.size);
	bytes_put_u64(&h, p->count);
	sha256_hex(p->table.data, p->table.size, hex);
	bytes_put(&h, hex, KEY);
	sha256_hex(h.data, h.size, hex);
	bytes_put(&h, hex, KEY);
	bool fine =
	    !h.failed && !p->table.failed && pwrite(p->fd, h.data, h.size, 0) == (ssize_t)h.size &&
	    pwrite(p->fd, p->table.data, p->table.size, (off_t)p->end) == (ssize_t)p->table.size &&
	    ftruncate(p->fd, (off_t)(p->end + p->table.size)) == 0;
	free(h.data);
	return fine;
}

/* Without fsync: what a power cut leaves of it fails its sums, and gigabytes need not be waited
 * for. */
void packed_complete(struct packed *p)
{
	if (!p)
		return;
	if (p->fd >= 0) {
		if (weights_unchanged(p->files) && !guard_check(NULL) && p->count > 0 && write_ends(p) &&
		    rename(p->temp, p->path) == 0) {
			close(p->fd);
			p->fd = -1;
		}
		stop_writing(p);
		mprotect(p->map, up_to_page(p->end), PROT_READ);
	}
	/* A device with memory of its own has copies. */
	if (p->map && !p->device->info.is_cpu)
		madvise(p->map, p->map_size, MADV_DONTNEED);
	p->files = NULL;
}

/* --- life --- */

/* Everything that the bytes depend on. Hashed text and numbers cannot run into each other: each
 * stands at its place or behind its length. */
static bool make_key(struct packed *p, const char *part, int64_t *changed_ms)
{
	char layout[WEIGHT_LAYOUT_SIZE] = "", word[16] = "";
	struct bytes_writer w = {0};
	if (!device_weight_layout(p->device, layout))
		return false;
	snprintf(word, sizeof word, "%s", part);
	bytes_put_u32(&w, VERSION);
	bytes_put(&w, layout, sizeof layout);
	bytes_put(&w, word, sizeof word);
	weights_identity(p->files, &w, changed_ms);
	sha256_hex(w.data, w.size, p->key);
	bool fine = !w.failed;
	free(w.data);
	return fine;
}

struct packed *packed_open(struct device *device, const struct weights *files, const char *part)
{
	int64_t changed_ms = 0;
	const struct packed_store *store = weights_store(files);
	if (!store || weights_bytes(files) < SMALLEST)
		return NULL;
	struct packed *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->store = store;
	p->device = device;
	p->files = files;
	p->fd = -1;
	/* A device with memory of its own copies at once what it is given. */
	p->lean = device->info.is_cpu && weights_bytes(files) >= packed_lean_from(store);
	if (!make_key(p, part, &changed_ms) || !packed_place(store, p->key, p->path, p->temp)) {
		free(p);
		return NULL;
	}
	if (map_file(p)) {
		if (read_table(p))
			return p;
		unlink(p->path);
		unmap(p);
		free(p->entries);
		p->entries = NULL;
		p->count = 0;
	}
	/* What changed just now may change once more and keep its times. */
	int64_t age = clock_wall_ms() - changed_ms;
	if (age > RACY_MS && !weights_changed(files)) /* then not all of them are the files' */
		begin_writing(p);
	return p;
}

struct packed *packed_link(struct packed *p, struct packed *list)
{
	p->next = list;
	return p;
}

bool packed_is_lean(const struct packed *p)
{
	while (p && !p->lean)
		p = p->next;
	return p != NULL;
}

void packed_rest(const struct packed *p)
{
	for (; p; p = p->next)
		if (p->map)
			madvise(p->map, p->map_size, MADV_DONTNEED);
}

bool packed_is_tight(const struct packed *p)
{
	while (p && !(p->lean && p->blocks))
		p = p->next;
	return p != NULL;
}

void packed_rest_partly(const struct packed *p)
{
	for (; p; p = p->next) {
		size_t size = p->end ? p->end : p->map_size; /* a file that is written is mapped at its most */
		size_t stays = up_to_page(size / 2);
		if (p->map && p->lean && p->blocks)
			madvise(p->map + stays, size - stays, MADV_DONTNEED);
	}
}

void packed_free(struct packed *p)
{
	while (p) {
		struct packed *next = p->next;
		stop_writing(p);
		unmap(p);
		free(p->entries);
		free(p->table.data);
		free(p);
		p = next;
	}
}
