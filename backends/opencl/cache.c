/* The folders of compiled kernels:
 *
 *     CACHE/programs, CACHE/tuning      sumi's own
 *     CACHE/drivers-N/pocl, …/cuda, …   the drivers': the largest N counts
 *     CACHE/guard/NAMESPACE-PID         one a process that has opened a device, locked by it
 *
 * A driver trusts what it finds in its cache: PoCL aborts the process when a file is empty or cut.
 * So a process says in its guard when it is inside a driver that may read or write there. Who finds
 * the guard of one that died inside, and either was seen to die by itself (device_died()), or
 * before this boot, or for the second time in a row, begins another folder for the drivers; so does
 * who sees that what they keep is not whole (whole.h), as not every driver dies of that. Where that
 * was done before and has helped nobody yet (drivers-N/unproved), sumi's own programs go too. The
 * old folder goes when nobody uses it any more: processes that live are not disturbed. */
#define _GNU_SOURCE /* ST_NOEXEC */
#include "backends/opencl/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "backends/backend.h"
#include "backends/opencl/whole.h"
#include "base/files.h"

#define DRIVERS "drivers-"
#define SPACE_MIN ((int64_t)16 << 20) /* less is as good as a full disk */

enum {
	GUARD_SIZE = 4096, /* as large as a block: writing it shows that there is room */
	STALE_S = 3600,    /* a temporary file of a process that lives is younger */
	TROUBLE_SIZE = sizeof((struct device_health *)0)->cache,
	LOCK_TRIES = 500, /* 10 ms apart: who settles may look through many files, or be stopped */
	BOOT_SIZE = 64
};

/* The first byte of a guard. */
enum { OUTSIDE = '0', INSIDE = '1', GUILTY = '2' };

static const struct {
	const char *variable, *folder;
} drivers[] = {
    {"POCL_CACHE_DIR", "pocl"},         {"CUDA_CACHE_PATH", "cuda"},
    {"NEO_CACHE_DIR", "neo"},           {"MESA_SHADER_CACHE_DIR", "mesa"},
    {"AMD_COMGR_CACHE_DIR", "comgr"},
};

/* Settings of drivers, where the user has not chosen; all are PoCL's. They are set before it is called
 * first: it reads some of them once, and from threads of its own. */
static const struct {
	const char *variable, *value;
} settings[] = {
    /* PoCL compiles a kernel once for what clGetProgramInfo() gives us to keep, for any size of
     * work-groups, and once more for the size that it is launched in, although ours say theirs. */
    {"POCL_WORK_GROUP_SPECIALIZATION", "0"},
    /* By its usual method PoCL before 4 lets LLVM look for more to make vectors of, in kernels that say
     * their vectors, and compiles longer for slower ones (docs/performance.md). To later versions this
     * is the usual method. */
    {"POCL_WORK_GROUP_METHOD", "auto"},
};
enum { SETTING_COUNT = sizeof settings / sizeof settings[0] };

enum { DRIVER_COUNT = sizeof drivers / sizeof drivers[0] };

static struct {
	char wanted[FILES_PATH_MAX]; /* files_cache_dir() when it was prepared */
	char root[FILES_PATH_MAX];   /* "": nothing can be written */
	char trouble[TROUBLE_SIZE];
	char set_aside[TROUBLE_SIZE]; /* why this process has begun a generation, or "" */
	bool prepared;
	bool inside;
	bool blamed; /* this process has met damage */
	bool ours[DRIVER_COUNT]; /* variables that we have set */
	int guard;               /* descriptor; 0: none */
	int generation;
} cache;

/* ---- folders ---------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	remove(path);
	return 0;
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* N of "drivers-N", 0 for another name. */
static int generation_of(const char *name)
{
	int n = 0, end = 0;
	if (sscanf(name, DRIVERS "%9d%n", &n, &end) != 1 || name[end] || n < 1)
		return 0;
	return n;
}

/* Calls back for each name in a folder of the cache. */
static void each(const char *root, const char *folder,
		 void (*call)(const char *path, const char *name, void *context), void *context)
{
	char path[FILES_PATH_MAX];
	if (files_path(path, NULL, "%s/%s", root, folder))
		return;
	DIR *dir = opendir(path);
	if (!dir)
		return;
	for (const struct dirent *e; (e = readdir(dir));)
		if (e->d_name[0] != '.' &&
		    files_path(path, NULL, "%s/%s/%s", root, folder, e->d_name) == SUMI_OK)
			call(path, e->d_name, context);
	closedir(dir);
}

static void find_newest(const char *path, const char *name, void *context)
{
	(void)path;
	int *newest = context, n = generation_of(name);
	if (n > *newest)
		*newest = n;
}

static void remove_older(const char *path, const char *name, void *context)
{
	int n = generation_of(name);
	if (n && n < *(const int *)context)
		remove_tree(path);
}

static void remove_file(const char *path, const char *name, void *context)
{
	(void)name;
	(void)context;
	unlink(path);
}

/* What files_write_durable() left behind when its process died. */
static void remove_stale(const char *path, const char *name, void *context)
{
	const bool *alone = context;
	struct stat st;
	if (strstr(name, ".tmp.") && lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    (*alone || time(NULL) - st.st_mtime > STALE_S))
		unlink(path);
}

/* ---- guards ----------------------------------------------------------------------- */

static void boot_id(char out[BOOT_SIZE])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	snprintf(out, BOOT_SIZE, "unknown");
	if (!f)
		return;
	if (fscanf(f, "%63s", out) != 1)
		snprintf(out, BOOT_SIZE, "unknown");
	fclose(f);
}

/* Processes of two containers may share a cache, and numbers. */
static int guard_path(const char *root, pid_t pid, char out[FILES_PATH_MAX], struct error *err)
{
	struct stat st = {0};
	if (stat("/proc/self/ns/pid", &st) != 0)
		st.st_ino = 0;
	return files_path(out, err, "%s/guard/%llu-%ld", root, (unsigned long long)st.st_ino,
			  (long)pid);
}

struct guard {
	char state;
	int generation;
	char boot[BOOT_SIZE];
};

static bool guard_read(int fd, struct guard *g)
{
	char text[128] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	return n > 0 && sscanf(text, "%c %d %63s", &g->state, &g->generation, g->boot) == 3;
}

/* False with errno: the folder cannot be written. */
static bool guard_open(const char *root)
{
	char path[FILES_PATH_MAX], text[GUARD_SIZE] = "", boot[BOOT_SIZE];
	if (guard_path(root, getpid(), path, NULL)) {
		errno = ENAMETOOLONG;
		return false;
	}
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	boot_id(boot);
	snprintf(text, sizeof text, "%c %d %s\n", OUTSIDE, cache.generation, boot);
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 ||
	    pwrite(fd, text, sizeof text, 0) != (ssize_t)sizeof text) {
		int code = errno;
		unlink(path);
		close(fd);
		errno = code;
		return false;
	}
	cache.guard = fd;
	return true;
}

static void guard_close(void)
{
	cl_cache_leave();
	if (cache.guard > 0)
		close(cache.guard);
	cache.guard = 0;
}

static void guard_say(char state)
{
	/* Where it cannot be written, a death is only found out a start later. */
	if (cache.guard > 0 && pwrite(cache.guard, &state, 1, 0) != 1)
		cache.inside = false;
}

struct trial {
	int current; /* generation */
	int used;    /* the oldest that a living process uses */
	char boot[BOOT_SIZE];
	bool alone;         /* no other process lives */
	bool guilty, doubt; /* the caches have killed somebody; perhaps */
};

static void judge(const char *path, const char *name, void *context)
{
	struct trial *t = context;
	struct guard g;
	unsigned long long space;
	long pid;
	int end = 0;
	if (sscanf(name, "%llu-%ld%n", &space, &pid, &end) != 2 || name[end])
		return;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	bool dead = flock(fd, LOCK_EX | LOCK_NB) == 0, known = guard_read(fd, &g);
	if (!dead) {
		t->alone = false;
		if (known && g.generation < t->used)
			t->used = g.generation;
	} else if (known) { /* else it is just being made */
		bool current = g.generation == t->current;
		t->guilty |= current && (g.state == GUILTY ||
					 (g.state == INSIDE && strcmp(g.boot, t->boot) != 0));
		t->doubt |= current && g.state == INSIDE;
		unlink(path);
	}
	close(fd);
}

/* ---- preparing -------------------------------------------------------------------- */

static void touch(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		close(fd);
}

static bool generation_path(const char *root, int generation, char path[FILES_PATH_MAX])
{
	return files_path(path, NULL, "%s/" DRIVERS "%d", root, generation) == SUMI_OK;
}

static bool unproved_path(const char *root, int generation, char path[FILES_PATH_MAX])
{
	return files_path(path, NULL, "%s/" DRIVERS "%d/unproved", root, generation) == SUMI_OK;
}

static bool suspect_path(const char *root, char path[FILES_PATH_MAX])
{
	return files_path(path, NULL, "%s/guard/suspect", root) == SUMI_OK;
}

static void set_aside(const char *root, struct trial *t, const char *why)
{
	char path[FILES_PATH_MAX];
	if (!generation_path(root, t->current + 1, path) || mkdir(path, 0700) != 0)
		return;
	t->current++;
	snprintf(cache.set_aside, sizeof cache.set_aside, "%s", why);
	if (unproved_path(root, t->current - 1, path) && access(path, F_OK) == 0)
		each(root, "programs", remove_file, NULL);
	if (unproved_path(root, t->current, path))
		touch(path);
}

static int settling_lock(const char *root)
{
	char path[FILES_PATH_MAX];
	if (files_path(path, NULL, "%s/guard/lock", root))
		return -1;
	int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	for (int i = 0; lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0; i++) {
		if (i < LOCK_TRIES) {
			nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		} else {
			close(lock);
			lock = -1;
		}
	}
	return lock;
}

/* Whether the present generation must not be used, and why. */
static bool is_bad(const char *root, const struct trial *t, struct error *why)
{
	char path[FILES_PATH_MAX];
	if (t->guilty || (t->doubt && suspect_path(root, path) && access(path, F_OK) == 0)) {
		error_set(why, SUMI_CORRUPT, "a process died while a driver built or loaded them");
		return true;
	}
	return generation_path(root, t->current, path) && cl_whole(path, why) != SUMI_OK;
}

/* Who died inside, what is damaged, and what follows; the present generation. One process at a time
 * does that. */
static int settle(const char *root)
{
	char suspect[FILES_PATH_MAX];
	struct error why;
	struct trial t = {.current = 1, .used = 1 << 30, .alone = true};
	int lock = settling_lock(root);
	each(root, ".", find_newest, &t.current);
	if (lock < 0 || !suspect_path(root, suspect))
		return t.current;
	boot_id(t.boot);
	each(root, "guard", judge, &t);
	if (is_bad(root, &t, &why)) {
		set_aside(root, &t, why.text);
		unlink(suspect);
	} else if (t.doubt) {
		touch(suspect);
	}
	int oldest = t.used < t.current ? t.used : t.current;
	each(root, ".", remove_older, &oldest);
	each(root, "programs", remove_stale, &t.alone);
	each(root, "tuning", remove_stale, &t.alone);
	close(lock);
	return t.current;
}

static bool is_full(const char *root)
{
	int64_t space = files_free_space(root);
	return space >= 0 && space < SPACE_MIN;
}

/* Not to be able to keep what is compiled costs its time at every start: that is said, not borne. */
static bool own_folders(const char *root, struct error *why)
{
	static const char *const own[] = {"programs", "tuning", "guard"};
	char path[FILES_PATH_MAX];
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
		if (files_path(path, why, "%s/%s", root, own[i]) || files_make_dirs(path, 0700, why))
			return false;
		if (access(path, R_OK | W_OK | X_OK) != 0) {
			error_errno(why, "%s", path);
			return false;
		}
	}
	return true;
}

/* Makes the folder, with a guard in it; or says in why what stands against it. */
static bool use(const char *root, struct error *why)
{
	char path[FILES_PATH_MAX];
	struct statvfs v;
	if (!own_folders(root, why))
		return false;
	if (statvfs(root, &v) == 0 && (v.f_flag & ST_NOEXEC)) {
		error_set(why, SUMI_PERM, "%s: its file system is mounted noexec", root);
		return false;
	}
	if (is_full(root)) {
		error_set(why, SUMI_FULL, "%s: the disk is full", root);
		return false;
	}
	cache.generation = settle(root);
	if (!guard_open(root)) {
		error_errno(why, "%s", root);
		return false;
	}
	for (int i = 0; i < DRIVER_COUNT; i++)
		if (files_path(path, why, "%s/" DRIVERS "%d/%s", root, cache.generation,
			       drivers[i].folder) ||
		    files_make_dirs(path, 0700, why)) {
			guard_close();
			return false;
		}
	return files_path(cache.root, why, "%s", root) == SUMI_OK;
}

/* A folder for the user in one where everybody may write: it must be his own. */
static bool is_private(const char *path)
{
	struct stat st;
	return (mkdir(path, 0700) == 0 || errno == EEXIST) && lstat(path, &st) == 0 &&
	       S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

/* Where there is room for it, one after the other; false: there are no more. */
static bool temporary(int i, char path[FILES_PATH_MAX])
{
	const char *own = getenv("TMPDIR");
	const char *const places[] = {own && own[0] == '/' ? own : "/tmp", "/tmp", "/var/tmp",
				      "/dev/shm"};
	return i < (int)(sizeof places / sizeof places[0]) &&
	       files_path(path, NULL, "%.200s/sumi-cache-%ld", places[i], (long)geteuid()) == 0;
}

static bool use_temporary(void)
{
	char path[FILES_PATH_MAX];
	for (int i = 0; temporary(i, path); i++)
		if (is_private(path) && use(path, NULL))
			return true;
	return false;
}

/* A folder that the user chose and that cannot be written, or holds what is damaged, would cost him
 * the device. */
static bool keeps_to(const char *variable, const char *his)
{
	struct error why;
	size_t used = strlen(cache.trouble);
	if (files_make_dirs(his, 0700, &why) == SUMI_OK) {
		if (access(his, W_OK | X_OK) != 0)
			error_errno(&why, "%s", his);
		else if (cl_whole(his, &why) == SUMI_OK)
			return true;
	}
	snprintf(cache.trouble + used, sizeof cache.trouble - used,
		 "%s%s=%.200s is not used: %.200s", used ? "; " : "", variable, his, why.text);
	return false;
}

static void tell_drivers(void)
{
	char path[FILES_PATH_MAX];
	for (int i = 0; i < DRIVER_COUNT; i++) {
		const char *his = getenv(drivers[i].variable);
		if (his && *his && !cache.ours[i] && keeps_to(drivers[i].variable, his))
			continue;
		if (files_path(path, NULL, "%s/" DRIVERS "%d/%s", cache.root, cache.generation,
			       drivers[i].folder) == SUMI_OK)
			cache.ours[i] = setenv(drivers[i].variable, path, 1) == 0;
	}
}

void cl_cache_prepare(void)
{
	char wanted[FILES_PATH_MAX];
	struct error why = {0};
	bool fine = files_cache_dir(wanted, &why) == SUMI_OK;
	if (!fine)
		wanted[0] = '\0';
	if (cache.prepared &&
	    (strcmp(wanted, cache.wanted) == 0 || strcmp(wanted, cache.root) == 0))
		return;
	guard_close();
	for (int i = 0; i < SETTING_COUNT; i++)
		setenv(settings[i].variable, settings[i].value, 0);
	cache.prepared = true;
	cache.root[0] = cache.trouble[0] = '\0';
	strcpy(cache.wanted, wanted);
	if (!fine || !use(wanted, &why)) {
		if (use_temporary()) {
			files_cache_redirect(wanted, cache.root, NULL);
			snprintf(cache.trouble, sizeof cache.trouble,
				 "%.300s: compiled kernels are kept in %.100s for now", why.text,
				 cache.root);
		} else {
			snprintf(cache.trouble, sizeof cache.trouble,
				 "%.300s, nor is there a temporary folder for compiled kernels: "
				 "set SUMI_CACHE_DIR to one that can be written",
				 why.text);
		}
	}
	if (cache.root[0])
		tell_drivers();
}

void cl_cache_settings(char out[CL_SETTINGS_SIZE])
{
	out[0] = '\0';
	for (int i = 0; i < SETTING_COUNT; i++) {
		const char *value = getenv(settings[i].variable);
		size_t used = strlen(out);
		snprintf(out + used, CL_SETTINGS_SIZE - used, "%s=%.32s ", settings[i].variable,
			 value ? value : "");
	}
}

void cl_cache_forked(void)
{
	cache.guard = 0;
	cache.inside = false;
}

void cl_cache_watch(void)
{
	if (cache.root[0])
		guard_open(cache.root);
}

const char *cl_cache_trouble(void)
{
	return cache.trouble;
}

const char *cl_cache_set_aside(void)
{
	return cache.set_aside;
}

void cl_cache_enter(void)
{
	if (cache.inside || cache.blamed)
		return;
	cache.inside = true;
	guard_say(INSIDE);
}

void cl_cache_leave(void)
{
	if (!cache.inside)
		return;
	cache.inside = false;
	guard_say(OUTSIDE);
}

void cl_cache_blame(void)
{
	cache.inside = false;
	cache.blamed = true;
	guard_say(GUILTY);
}

bool cl_cache_is_damaged(void)
{
	char path[FILES_PATH_MAX];
	if (!cache.blamed && cache.root[0] &&
	    generation_path(cache.root, cache.generation, path) &&
	    (is_full(cache.root) || cl_whole(path, NULL) != SUMI_OK))
		cl_cache_blame();
	return cache.blamed;
}

void cl_cache_proved(void)
{
	char path[FILES_PATH_MAX];
	if (!cache.root[0] || cache.blamed)
		return;
	if (suspect_path(cache.root, path))
		unlink(path);
	if (unproved_path(cache.root, cache.generation, path))
		unlink(path);
}

/* ---- seen from outside ------------------------------------------------------------ */

static bool convict(const char *root, pid_t pid, bool by_itself)
{
	char path[FILES_PATH_MAX];
	struct guard g;
	if (guard_path(root, pid, path, NULL))
		return false;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	char verdict = by_itself ? GUILTY : OUTSIDE;
	if (!guard_read(fd, &g))
		g.state = OUTSIDE;
	if (g.state == INSIDE && pwrite(fd, &verdict, 1, 0) == 1)
		g.state = verdict;
	close(fd);
	return g.state == GUILTY;
}

bool cl_cache_died(pid_t pid, bool by_itself)
{
	char path[FILES_PATH_MAX];
	bool guilty = files_cache_dir(path, NULL) == SUMI_OK && convict(path, pid, by_itself);
	for (int i = 0; !guilty && temporary(i, path); i++)
		guilty = convict(path, pid, by_itself);
	return guilty;
}
