/* sumi db backup and restore.
 *
 *     DIR/backup.json   what it is; written last but for the folder's own name
 *     DIR/redis/        the queue, as a private Redis' append-only file
 *     DIR/sumi.db, artifacts/, history/, blobs/
 *
 * The queue is copied first: of a job that ends meanwhile it says "running", and after a restore the
 * job goes on and finds its result. The other way round a result would be missed. */
#include "cli/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "queue/redis_copy.h"
#include "queue/snapshot.h"
#include "storage/backup.h"

enum { FORMAT = 1, MANIFEST_MAX = 1 << 16 };
#define MANIFEST "backup.json"
#define PART "restore.part"

static bool ends_in(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n > m && strcasecmp(text + n - m, end) == 0;
}

/* ---- backup ---- */

static int backup_database(struct cli *cli, const char *path, struct error *err)
{
	struct store *store;
	int status = cli_store(cli, &store, err);
	if (status)
		return status;
	status = store_backup(store, path, err);
	store_close(store);
	if (!status && cli->json)
		cli_print_json(json_pack("{s:s}", "path", path));
	else if (!status && !cli->quiet)
		printf("%s\n", path);
	return status;
}

static const char *const summed_parts[] = {"sumi.db", "redis", "history"};

/* {path: SHA-256} of what does not say itself whether it is whole, as results do. */
static int add_sums(const char *dir, const char *name, json_t *sums, struct error *err)
{
	char path[FILES_PATH_MAX], inner[FILES_PATH_MAX], hash[SHA256_HEX_SIZE];
	struct stat st;
	int status = files_path(path, err, "%s/%s", dir, name);
	if (status || lstat(path, &st) != 0)
		return status;
	if (S_ISREG(st.st_mode)) {
		status = sha256_file(path, hash, err);
		if (!status)
			json_object_set_new(sums, name, json_string(hash));
		return status;
	}
	DIR *d = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
	if (S_ISDIR(st.st_mode) && !d)
		return error_errno(err, "%s", path);
	for (struct dirent *e; d && !status && (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    !(status = files_path(inner, err, "%s/%s", name, e->d_name)))
			status = add_sums(dir, inner, sums, err);
	if (d)
		closedir(d);
	return status;
}

static int write_manifest(const struct cli *cli, const char *dir,
			  const struct store_report *report, bool queue, struct error *err)
{
	char path[FILES_PATH_MAX], now[CLOCK_TEXT_SIZE];
	clock_text(clock_wall_ms(), now);
	json_t *sums = json_object();
	json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:i, s:i, s:s, s:o}", "format", FORMAT, "made", now,
			      "version", SUMI_VERSION, "queue", queue ? "redis" : "none", "jobs", report->jobs, "files",
			      report->artifacts, "prefix", cli->config.prefix, "sums", sums);
	int summed = o ? SUMI_OK : error_set(err, SUMI_NOMEM, "out of memory");
	for (size_t i = 0; i < sizeof summed_parts / sizeof summed_parts[0] && !summed; i++)
		summed = add_sums(dir, summed_parts[i], sums, err);
	if (summed) {
		json_decref(o);
		return summed;
	}
	char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
	int status = text ? files_path(path, err, "%s/" MANIFEST, dir)
			  : error_set(err, SUMI_NOMEM, "out of memory");
	if (!status)
		status = files_write_durable(path, text, strlen(text), err);
	free(text);
	json_decref(o);
	return status;
}

/* Of a server that others run, by its own copy of itself; of the private one, by its file. */
static int copy_queue(struct cli *cli, const char *dir, bool *has, struct error *err)
{
	char to[FILES_PATH_MAX];
	struct queue *queue = NULL;
	*has = false;
	if (cli_value(cli, "without-queue"))
		return SUMI_OK;
	int status = files_path(to, err, "%s/redis", dir);
	if (!status && !cli->config.redis[0]) {
		status = redis_copy(cli->config.state_dir, to, err);
		*has = !status;
		/* No daemon has run here: the store alone was brought here. */
		return status == SUMI_NOTFOUND ? SUMI_OK : status;
	}
	if (!status)
		status = cli_queue(cli, &queue, err);
	if (!status)
		status = queue_copy_out(queue, dir, err);
	if (status)
		error_set(err, status, "%s (--without-queue leaves it out: save it at its server, "
				       "before this)", err->text);
	queue_close(queue);
	*has = !status;
	return status;
}

static int fill(struct cli *cli, const char *dir, struct store_report *report, struct error *err)
{
	struct store *store = NULL;
	bool queue;
	int status = cli_store(cli, &store, err);
	if (!status)
		status = copy_queue(cli, dir, &queue, err);
	if (!status)
		status = store_copy(store, dir, report, err);
	if (!status)
		status = write_manifest(cli, dir, report, queue, err);
	store_close(store);
	return status;
}

int backup_make(struct cli *cli, struct store_report *report, struct error *err)
{
	char dir[FILES_PATH_MAX], part[FILES_PATH_MAX];
	const char *name = cli->arg_count > 1 ? cli->args[1] : NULL;
	if (!name)
		return error_set(err, SUMI_INVALID, "usage: sumi db backup DIR|FILE.db");
	if (ends_in(name, ".db"))
		return backup_database(cli, name, err);
	if (ends_in(name, ".tar") || ends_in(name, ".gz") || ends_in(name, ".zst"))
		return error_set(err, SUMI_INVALID,
				 "%s: a backup is a folder: name one, then tar -cf %s -C FOLDER .", name,
				 name);
	size_t n = strlen(name);
	while (n > 1 && name[n - 1] == '/')
		n--;
	int status = files_path(dir, err, "%.*s", (int)n, name);
	if (!status)
		status = files_path(part, err, "%s.part", dir);
	if (status)
		return status;
	if (access(dir, F_OK) == 0)
		return error_set(err, SUMI_INVALID, "%s is there already: name a new folder", dir);
	if (mkdir(part, 0750) != 0)
		return errno == EEXIST
			   ? error_set(err, SUMI_INVALID,
				       "%s is left of a backup that was cut off: remove it", part)
			   : error_errno(err, "%s", part);
	status = fill(cli, part, report, err);
	if (!status && rename(part, dir) != 0)
		status = error_errno(err, "%s", dir);
	if (!status)
		status = files_sync_parent(dir, err);
	if (status)
		return status == SUMI_CORRUPT
			   ? error_set(err, status, "%s; what could be copied is in %s", err->text,
				       part)
			   : status;
	if (cli->json)
		cli_print_json(json_pack("{s:s, s:i, s:i}", "path", dir, "jobs", report->jobs,
					 "files", report->artifacts));
	else if (!cli->quiet)
		printf("%s: %d jobs, %d files\n", dir, report->jobs, report->artifacts);
	return SUMI_OK;
}

/* ---- restore ---- */

/* What a set holds, as is written in it. */
struct manifest {
	bool queue;
	int64_t jobs, files;
	json_t *sums; /* NULL: it is of a sumi that wrote none */
};

static int read_manifest(const struct cli *cli, const char *dir, struct manifest *m, struct error *err)
{
	char path[FILES_PATH_MAX], *text = NULL;
	const char *word = NULL, *prefix = NULL;
	json_t *root = NULL;
	size_t size;
	int64_t format = 0;
	int status = files_path(path, err, "%s/" MANIFEST, dir);
	if (!status)
		status = files_read_regular(path, MANIFEST_MAX, &text, &size, err);
	if (status == SUMI_NOTFOUND)
		return error_set(err, status, "%s is no backup of sumi's: it has no " MANIFEST, dir);
	if (!status && (status = json_read_text(text, size, path, &root, err)))
		error_set(err, status, "%s is damaged: %s; nothing was restored", dir, err->text);
	if (!status)
		status = json_want_int(root, path, "format", 0, INT32_MAX, &format, err);
	if (!status)
		status = json_want_string(root, path, "queue", &word, err);
	if (!status)
		status = json_want_string(root, path, "prefix", &prefix, err);
	if (!status)
		status = json_want_int(root, path, "jobs", 0, INT32_MAX, &m->jobs, err);
	if (!status)
		status = json_want_int(root, path, "files", 0, INT32_MAX, &m->files, err);
	if (!status && (format != FORMAT || !word))
		status = error_set(err, SUMI_UNSUPPORTED,
				   "%s: is of another sumi (format %lld, this one knows %d)", path,
				   (long long)format, FORMAT);
	m->queue = !status && strcmp(word, "none") != 0;
	if (m->queue && prefix && strcmp(prefix, cli->config.prefix) != 0)
		status = error_set(err, SUMI_INVALID,
				   "the keys of its queue begin with %s, those of sumi.conf with %s: "
				   "set prefix = %s",
				   prefix, cli->config.prefix, prefix);
	m->sums = !status ? json_incref(json_object_get(root, "sums")) : NULL;
	json_decref(root);
	free(text);
	return status;
}

/* Nobody may work with the state folder meanwhile: the daemon's own lock, and that of its Redis. */
static int lock_state(const char *dir, int locks[2], struct error *err)
{
	static const char *const names[2] = {"sumid.lock", "redis/redis.lock"};
	static const char *const holders[2] = {
	    "sumid runs: stop it first, and wait until it has ended",
	    "the Redis server of a sumid that died runs: start sumid, which takes it over, and stop it"};
	char path[FILES_PATH_MAX];
	int status = files_make_dirs(dir, 0750, err);
	for (int i = 0; i < 2 && !status; i++) {
		if ((status = files_path(path, err, "%s/%s", dir, names[i])))
			break;
		locks[i] = open(path, O_RDWR | (i == 0 ? O_CREAT : 0) | O_CLOEXEC, 0640);
		if (locks[i] < 0 && errno == ENOENT && i == 1)
			return SUMI_OK; /* no private Redis was here */
		if (locks[i] < 0)
			status = error_errno(err, "%s", path);
		else if (flock(locks[i], LOCK_EX | LOCK_NB) != 0)
			status = error_set(err, SUMI_BUSY, "%s is held: %s", path, holders[i]);
	}
	return status;
}

/* A set without one of them would be taken for an empty one. */
static int check_parts(const char *from, const struct manifest *m, struct error *err)
{
	static const char *const needed[] = {"sumi.db", "redis"};
	char path[FILES_PATH_MAX];
	struct stat st;
	int status = SUMI_OK;
	for (int i = 0; i < (m->queue ? 2 : 1) && !status; i++) {
		status = files_path(path, err, "%s/%s", from, needed[i]);
		if (!status && (stat(path, &st) != 0 || !(i ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode))))
			status = error_set(err, SUMI_CORRUPT, "%s is damaged: it has no %s; nothing was restored",
					   from, needed[i]);
	}
	return status;
}

/* A queue that is cut short would be taken for one with fewer jobs, and a history for a shorter one. */
static int check_sums(const char *from, const char *part, const struct manifest *m, struct error *err)
{
	const char *name;
	json_t *sum;
	int status = SUMI_OK;
	if (m->sums && !json_is_object(m->sums))
		return error_set(err, SUMI_CORRUPT, "%s is damaged: field 'sums' of its " MANIFEST " must be an object; nothing was "
				 "restored", from);
	json_object_foreach(m->sums, name, sum)
	{
		char path[FILES_PATH_MAX], hash[SHA256_HEX_SIZE] = "";
		struct error ignored;
		const char *want = json_string_value(sum);
		if (status || (status = files_path(path, err, "%s/%s", part, name)))
			break;
		if (sha256_file(path, hash, &ignored) || !want || strcmp(hash, want) != 0)
			status = error_set(err, SUMI_CORRUPT, "%s is damaged: its %.200s is not what was saved; nothing was restored",
					   from, name);
	}
	return status;
}

/* Copies the set beside the store and looks at every byte of it, before anything is touched. */
static int take_copy(const char *from, const char *part, const struct manifest *m, struct store_report *report,
		     struct error *err)
{
	char source[FILES_PATH_MAX], target[FILES_PATH_MAX];
	struct store_options options = {
	    .dir = part, .mode = STORE_WRITE, .reserve = -1, .ballast = -1};
	static const char *const names[] = {"sumi.db", "artifacts", "thumbs",
					    "history", "redis",     "blobs"};
	struct store *store;
	struct stat st;
	int status = check_parts(from, m, err);
	for (size_t i = 0; i < sizeof names / sizeof names[0] && !status; i++) {
		if ((status = files_path(source, err, "%s/%s", from, names[i])) ||
		    (status = files_path(target, err, "%s/%s", part, names[i])) ||
		    stat(source, &st) != 0)
			continue;
		status = S_ISDIR(st.st_mode) ? files_copy_tree(source, target, err)
					     : files_copy(source, target, err);
	}
	if (!status)
		status = check_sums(from, part, m, err);
	if (status)
		return status;
	status = store_open(&options, &store, err);
	if (status == SUMI_CORRUPT)
		error_set(err, status, "%s is damaged: its sumi.db is no whole database; nothing was restored", from);
	if (status)
		return status;
	status = store_check(store, true, report, err);
	store_close(store);
	if (!status && (report->jobs < m->jobs || report->artifacts < m->files))
		return error_set(err, SUMI_CORRUPT,
				 "%s is damaged: it was made with %lld jobs and %lld files, and has %d and %d; nothing "
				 "was restored",
				 from, (long long)m->jobs, (long long)m->files, report->jobs, report->artifacts);
	return status == SUMI_CORRUPT
		   ? error_set(err, status,
			       "%s is damaged (%d problem%s): nothing was restored", from,
			       report->problems, report->problems == 1 ? "" : "s")
		   : status;
}

/* The queue goes to the server that sumi.conf names, and its copy not into the state folder. */
static int hand_over(struct cli *cli, const char *part, struct error *err)
{
	char redis[FILES_PATH_MAX];
	struct queue *queue = NULL;
	int status = files_path(redis, err, "%s/redis", part);
	if (!status)
		status = cli_queue(cli, &queue, err);
	if (!status)
		status = queue_copy_in(queue, part, cli_value(cli, "force") != NULL, err);
	queue_close(queue);
	if (!status)
		files_remove_tree(redis);
	return status;
}

static void name_aside(char out[64])
{
	char when[CLOCK_TEXT_SIZE];
	clock_text(clock_wall_ms(), when);
	snprintf(out, 64, "before-restore-%.4s%.2s%.2sT%.2s%.2s%.2s", when, when + 5, when + 8,
		 when + 11, when + 14, when + 17);
}

static int put_in_place(const char *dir, bool there, char aside[64], struct error *err)
{
	int status = SUMI_OK;
	aside[0] = '\0';
	if (there) {
		name_aside(aside);
		status = store_move_aside(dir, aside, err);
	}
	return status ? status : store_move_in(dir, PART, err);
}

static int check_place(struct cli *cli, struct error *err)
{
	const char *dir = cli->config.state_dir;
	char part[FILES_PATH_MAX];
	if (store_exists(dir) && !cli_value(cli, "force"))
		return error_set(err, SUMI_INVALID,
				 "%s is not empty: --force moves what is there into a folder beside "
				 "it",
				 dir);
	int status = files_path(part, err, "%s/" PART, dir);
	if (!status && mkdir(part, 0750) != 0)
		status = errno == EEXIST
			     ? error_set(err, SUMI_INVALID,
					 "%s is left of a restore that was cut off: remove it", part)
			     : error_errno(err, "%s", part);
	return status;
}

int backup_restore(struct cli *cli, struct store_report *report, struct error *err)
{
	const char *dir = cli->config.state_dir, *from = cli->arg_count > 1 ? cli->args[1] : NULL;
	char part[FILES_PATH_MAX], aside[64] = "";
	int locks[2] = {-1, -1};
	struct manifest set = {0};
	bool made = false, there = false;
	if (!from)
		return error_set(err, SUMI_INVALID, "usage: sumi db restore DIR [--force]");
	int status = read_manifest(cli, from, &set, err);
	if (!status)
		status = lock_state(dir, locks, err);
	if (!status) {
		there = store_exists(dir);
		status = check_place(cli, err);
		made = !status;
	}
	if (!status)
		status = files_path(part, err, "%s/" PART, dir);
	if (!status)
		status = take_copy(from, part, &set, report, err);
	if (!status && set.queue && cli->config.redis[0])
		status = hand_over(cli, part, err);
	bool touched = !status;
	if (!status)
		status = put_in_place(dir, there, aside, err);
	if (touched && status)
		error_set(err, status, "%s (what is not in its place yet is in %s)", err->text,
			  part);
	else if (made)
		files_remove_tree(part);
	for (int i = 0; i < 2; i++)
		if (locks[i] >= 0)
			close(locks[i]);
	json_decref(set.sums);
	if (status)
		return status;
	if (cli->json)
		cli_print_json(json_pack("{s:i, s:i, s:s?}", "jobs", report->jobs, "files",
					 report->artifacts, "old_state", *aside ? aside : NULL));
	else if (!cli->quiet)
		printf("restored %d jobs and %d files%s%s\n", report->jobs, report->artifacts,
		       *aside ? "; what was there is in " : "", aside);
	return SUMI_OK;
}
