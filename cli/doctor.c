/* sumi doctor: is everything there that sumi needs, and if not, what mends it. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/backend.h"
#include "base/formatted.h"
#include "base/utf8.h"
#include "cli/guarded.h"
#include "cli/verbs.h"
#include "diffusion/catalogue.h"
#include "queue/private_redis.h"
#include "weights/packed.h"

enum { LEVEL_FINE, LEVEL_WARNING, LEVEL_BROKEN };

struct examination {
	struct cli *cli;
	json_t *findings;
	int worst;
};

__attribute__((format(printf, 4, 5))) static void find(struct examination *x, int level,
						       const char *what, const char *format, ...)
{
	static const char *const words[] = {"fine", "warning", "broken"};
	FORMATTED(text, 512, format);
	utf8_make_printable(text);
	if (level > x->worst)
		x->worst = level;
	json_array_append_new(x->findings, json_pack("{s:s, s:s, s:s}", "what", what, "level",
						     words[level], "text", text));
	if (!x->cli->json && !(x->cli->quiet && level == LEVEL_FINE))
		printf("%-8s %-8s %s\n", words[level], what, text);
}

static void examine_choice(struct examination *x, const struct device_info *info, int n)
{
	struct error err;
	char entry[CONFIG_DEVICE_SIZE];
	for (const char *at = x->cli->config.devices; (at = config_next_device(at, entry));)
		if (device_match(info, n, entry, &err) < 0)
			find(x, LEVEL_BROKEN, "devices", "in sumi.conf: %s", err.text);
}

enum { DEVICES = 16 };

/* What the process that looks at the devices tells: drivers may crash. */
struct device_trial {
	struct device_info info[DEVICES];
	int count;   /* negative: a status, with its text in err */
	int checked; /* devices that have been tried to an end */
	struct error err;
	struct device_health health;
	struct error found[DEVICES]; /* of each device's own trial */
};

static int try_devices(void *context)
{
	struct device_trial *t = context;
	t->count = device_list(t->info, DEVICES, &t->err);
	device_health(&t->health);
	t->checked = 0;
	for (int i = 0; i < t->count && i < DEVICES; i++) {
		struct device *d = NULL;
		struct error *err = &t->found[i];
		*err = (struct error){0};
		if (device_open(t->info[i].selector, &d, err) == SUMI_OK)
			device_check(d, err);
		device_close(d);
		t->checked++;
	}
	return guarded_again() ? EXIT_FAILED : EXIT_OK;
}

static void tell_device(struct examination *x, const struct device_trial *t, int i)
{
	const struct device_info *info = &t->info[i];
	if (strncmp(info->selector, "opencl", 6) != 0 && !t->found[i].status)
		return;
	if (t->found[i].status)
		find(x, LEVEL_BROKEN, "OpenCL", "%s: %s: %s", info->selector, info->name,
		     t->found[i].text);
	else
		find(x, LEVEL_FINE, "OpenCL", "%s: %s (computes as it should)", info->selector,
		     info->name);
}

static void tell_health(struct examination *x, const struct device_health *health)
{
	char cache[FILES_PATH_MAX];
	if (health->missing[0])
		find(x, LEVEL_WARNING, "OpenCL",
		     "no device, so everything will be very slow: %s%s", health->missing,
		     strstr(health->missing, "no OpenCL driver is installed")
			 ? ". Install your GPU's driver, or for plain CPUs: apt-get install "
			   "pocl-opencl-icd"
			 : "");
	if (health->set_aside[0])
		find(x, LEVEL_WARNING, "cache",
		     "compiled kernels were damaged: they are set aside and made anew: %s",
		     health->set_aside);
	if (health->cache[0])
		find(x, LEVEL_WARNING, "cache", "%s", health->cache);
	else if (files_cache_dir(cache, NULL) == SUMI_OK)
		find(x, LEVEL_FINE, "cache", "%s: compiled kernels", cache);
}

static void examine_devices(struct examination *x)
{
	struct error err = {0};
	struct device_trial *t = guarded_memory(sizeof *t);
	int status = t ? guarded_call(try_devices, t, &err)
		       : error_set(&err, SUMI_NOMEM, "out of memory");
	for (int i = 0; t && i < t->checked && i < DEVICES; i++)
		tell_device(x, t, i);
	if (status < 0)
		find(x, LEVEL_BROKEN, "OpenCL", "%s%s%s",
		     t && t->checked < t->count ? t->info[t->checked].selector : "",
		     t && t->checked < t->count ? ": " : "", err.text);
	else if (t->count < 0)
		find(x, LEVEL_BROKEN, "OpenCL", "%s", t->err.text);
	if (t && (t->count > 0 || status == SUMI_OK))
		tell_health(x, &t->health);
	if (t && t->count > 0)
		examine_choice(x, t->info, t->count < DEVICES ? t->count : DEVICES);
}

static void examine_models(struct examination *x)
{
	struct catalogue c;
	struct error err = {0};
	if (catalogue_list(x->cli->config.packs, x->cli->config.state_dir, &c, &err)) {
		find(x, LEVEL_BROKEN, "models", "%s", err.text);
		return;
	}
	for (int i = 0; i < c.count; i++)
		find(x, c.packs[i].note[0] ? LEVEL_WARNING : LEVEL_FINE, "models",
		     "%s (%s) in %s%s%s", c.packs[i].name, c.packs[i].modality, c.packs[i].path,
		     c.packs[i].note[0] ? ": " : "", c.packs[i].note);
	for (int i = 0; i < c.problem_count; i++)
		find(x, LEVEL_WARNING, "models", "%s", c.problems[i]);
	if (catalogue_check_defaults(&c, &x->cli->config, &err))
		find(x, LEVEL_BROKEN, "models", "%s", err.text);
	if (c.count == 0)
		find(x, LEVEL_BROKEN, "models",
		     "none found: put a pack's folder into %s/models, or name its parent with "
		     "packs = … "
		     "in sumi.conf",
		     x->cli->config.state_dir);
	catalogue_free(&c);
}

static void examine_weight_cache(struct examination *x)
{
	const struct config *c = &x->cli->config;
	struct packed_usage usage;
	struct error err = {0};
	struct packed_store *store = NULL;
	if (packed_store_open(c->weight_cache_dir, (uint64_t)c->weight_cache_bytes, &store, &err) ||
	    packed_usage(store, &usage, &err))
		find(x, LEVEL_FINE, "cache", "%s: models load more slowly (weight_cache)",
		     err.text);
	else
		find(x, LEVEL_FINE, "cache", "%s: packed weights, %d files, %.1f of %.1f GiB",
		     usage.dir, usage.files, (double)usage.bytes / (1 << 30),
		     (double)usage.limit / (1 << 30));
	packed_store_close(store);
}

/* What sumid starts where no Redis is named. */
static void examine_server_program(struct examination *x)
{
	char program[FILES_PATH_MAX];
	struct error err = {0};
	if (!x->cli->config.redis[0] && private_redis_program(NULL, program, &err))
		find(x, LEVEL_BROKEN, "Redis", "%s", err.text);
}

static void examine_redis(struct examination *x)
{
	struct queue *queue = NULL;
	struct queue_server server;
	struct error err = {0};
	char warning[512];
	examine_server_program(x);
	if (cli_queue(x->cli, &queue, &err)) {
		find(x, LEVEL_BROKEN, "Redis", "%s", err.text);
		return;
	}
	if (queue_check_server(queue, warning, sizeof warning, &err))
		find(x, LEVEL_BROKEN, "Redis", "%s", err.text);
	else if (warning[0])
		find(x, LEVEL_WARNING, "Redis", "%s", warning);
	if (queue_server(queue, &server, &err) == 0)
		find(x, LEVEL_FINE, "Redis",
		     "%s, eviction %s, append-only file %s (fsync %s)", server.product,
		     server.eviction, server.aof ? "on" : "off", server.fsync);
	struct queue_stats stats;
	if (queue_stats(queue, &stats, &err) == 0)
		find(x, stats.workers ? LEVEL_FINE : LEVEL_WARNING, "workers", "%lld alive%s",
		     (long long)stats.workers, stats.workers ? "" : ": is sumid running?");
	queue_close(queue);
}

static void examine_disk(struct examination *x)
{
	const char *dir = x->cli->config.state_dir;
	struct stat st;
	if (stat(dir, &st) != 0) {
		find(x, LEVEL_WARNING, "disk", "%s is not there yet: sumid makes it when it starts",
		     dir);
		return;
	}
	int64_t space = files_free_space(dir);
	bool low = space >= 0 && space < x->cli->config.reserve_bytes;
	find(x, low ? LEVEL_BROKEN : LEVEL_FINE, "disk", "%s: %.1f GiB free%s", dir,
	     (double)space / (1 << 30), low ? ": below the reserve, so nothing is rendered" : "");
	if (access(dir, W_OK) != 0)
		find(x, LEVEL_WARNING, "rights",
		     "%s: you may read and not write it; sumid must run as its owner", dir);
	else
		find(x, LEVEL_FINE, "rights", "%s can be written", dir);
}

/* A folder that is misspelt would be refused to every sender in the words for a file of another. */
static void examine_inputs(struct examination *x)
{
	char folder[FILES_PATH_MAX];
	struct stat st;
	for (const char *at = x->cli->config.input_dirs; *at; at += *at == ':') {
		size_t n = strcspn(at, ":");
		snprintf(folder, sizeof folder, "%.*s", (int)n, at);
		if (stat(folder, &st) != 0 || !S_ISDIR(st.st_mode))
			find(x, LEVEL_WARNING, "inputs", "%s: no such folder (input_dirs)", folder);
		else
			find(x, LEVEL_FINE, "inputs", "%s: jobs may name files in it%s", folder,
			     access(folder, R_OK | X_OK) ? ", though you may not read it" : "");
		at += n;
	}
}

/* Of many findings of one kind the first say enough. */
struct finds {
	struct examination *x;
	const char *mend;
	int told;
};

static void on_problem(void *context, const char *text)
{
	enum { TOLD = 3 };
	struct finds *f = context;
	if (f->told++ < TOLD)
		find(f->x, LEVEL_BROKEN, "database", "%s: %s", text, f->mend);
}

static void examine_database(struct examination *x)
{
	static const struct {
		int (*check)(struct store *s, struct store_report *report, struct error *err);
		const char *mend;
	} checks[] = {
	    {store_check_tables, "stop sumid and run sumi db rebuild, which makes it anew"},
	    {store_check_present,
	     "sumi db check names all; sumi delete the job, or bring the file back from a backup"},
	    {store_check_strays, "stop sumid and run sumi db rebuild, which brings them back"}};
	struct store *store;
	struct error err = {0};
	int problems = 0, files = 0, status = cli_store(x->cli, &store, &err);
	if (status == SUMI_NOTFOUND && store_has_files(x->cli->config.state_dir))
		find(x, LEVEL_BROKEN, "database", "there is none, and there are files of results: run sumi db rebuild, which makes it "
		     "from them, before sumid is started");
	else if (status == SUMI_NOTFOUND)
		find(x, LEVEL_FINE, "database", "there is none yet: sumid makes it");
	else if (status)
		find(x, LEVEL_BROKEN, "database", "%s", err.text);
	if (status)
		return;
	for (size_t i = 0; i < sizeof checks / sizeof checks[0] && !status && !problems; i++) {
		struct finds finds = {x, checks[i].mend, 0};
		struct store_report report = {.context = &finds, .line = on_problem};
		status = checks[i].check(store, &report, &err);
		problems = report.problems;
		files = report.artifacts;
	}
	if (status)
		find(x, LEVEL_BROKEN, "database", "%s", err.text);
	else if (problems == 0)
		find(x, LEVEL_FINE, "database", "sound, and each of %d files is there", files);
	store_close(store);
}

static int run_doctor(struct cli *cli)
{
	struct examination x = {.cli = cli, .findings = json_array()};
	find(&x, LEVEL_FINE, "settings", "%s", cli->config.file[0] ? cli->config.file : "defaults");
	examine_devices(&x);
	examine_models(&x);
	examine_inputs(&x);
	examine_disk(&x);
	examine_database(&x);
	examine_weight_cache(&x);
	examine_redis(&x);
	if (cli->json)
		cli_print_json(json_incref(x.findings));
	json_decref(x.findings);
	return x.worst == LEVEL_BROKEN ? EXIT_FAILED : EXIT_OK;
}

const struct verb verb_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "check OpenCL, models, Redis, database, disk and rights; say how to mend each",
    .max_args = 0,
    .run = run_doctor};
