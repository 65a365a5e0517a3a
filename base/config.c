/* sumi.conf, read through inih against one table. */
#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/model_file.h"
#include "base/nearest.h"

enum kind { TEXT, WORD, DURATION, COUNT, SIZE, LEVEL, KEEP };

static const struct setting {
	const char *key;
	enum kind kind;
	size_t offset, size;
	const char *fallback;
	const char *help;
} settings[] = {
#define TEXT_FIELD(f) offsetof(struct config, f), sizeof((struct config *)0)->f
#define NUMBER_FIELD(f) offsetof(struct config, f), 0
    {"state_dir", TEXT, TEXT_FIELD(state_dir), "",
     "where database, files and the private Redis live"},
    {"redis", TEXT, TEXT_FIELD(redis), "",
     "redis://, rediss:// or unix:// URL; empty: a private redis-server in state_dir"},
    {"prefix", TEXT, TEXT_FIELD(prefix), "{sumi}:", "of every key in Redis"},
    {"packs", TEXT, TEXT_FIELD(packs), "", "folders that hold model packs, separated by ':'"},
    {"input_dirs", TEXT, TEXT_FIELD(input_dirs), "",
     "folders whose files jobs may name by path, separated by ':'; empty: none"},
    {"input_memory", SIZE, NUMBER_FIELD(input_memory), "1G",
     "files that waiting jobs start from take at most so much of Redis"},
    {"devices", TEXT, TEXT_FIELD(devices), "auto",
     "devices to use, separated by ','; see sumi devices"},
#define X(NAME, name, model, ...)                                                                  \
	{"model_" #name, TEXT, TEXT_FIELD(models[MODALITY_##NAME]), model,                         \
	 "the model of " #name " jobs that name none"},
    MODALITY_OF_PACKS(X)
#undef X
    {"log", LEVEL, TEXT_FIELD(log), "info", "error, warn, info or debug"},
    {"lease", DURATION, NUMBER_FIELD(lease_ms), "30s",
     "a worker silent for so long has lost its job"},
    {"step_limit", DURATION, NUMBER_FIELD(step_limit_ms), "0",
     "longest time without progress before a worker is killed; 0: derived from the work"},
    {"keep_done", DURATION, NUMBER_FIELD(keep_done_ms), "30d",
     "finished jobs stay in Redis for so long"},
    {"keep_done_count", COUNT, NUMBER_FIELD(keep_done_count), "100000",
     "and at most so many of them"},
    {"keep_results", KEEP, NUMBER_FIELD(keep_results), "0",
     "results older than 90d, or beyond 50G, are deleted, the oldest first, starred ones never; "
     "both may stand there; 0: all are kept"},
    {"reserve", SIZE, NUMBER_FIELD(reserve_bytes), "256M",
     "free disk below which nothing is claimed"},
    {"idle_unload", DURATION, NUMBER_FIELD(idle_unload_ms), "15m",
     "a model unused for so long leaves the device"},
    {"model_memory", SIZE, NUMBER_FIELD(model_memory), "0",
     "models together take at most so much of a device; 0: 3/4 of a GPU's memory, 1/2 of a CPU's"},
    {"weight_cache", SIZE, NUMBER_FIELD(weight_cache_bytes), "16G",
     "weights in a device's layout are kept on disk up to so much; 0: not at all"},
    {"weight_cache_dir", TEXT, TEXT_FIELD(weight_cache_dir), "",
     "where; empty: weights in the cache folder"},
    {"max_attempts", COUNT, NUMBER_FIELD(max_attempts), "3", "for jobs that do not say"},
    {"precision", WORD, TEXT_FIELD(precision), "auto",
     "for jobs that do not say: exact; half, products of bfloat16 on CPUs that have them; int8, "
     "products of whole numbers where weights are quantised; auto, what the pack says, else half "
     "where the device has it"},
    {"upscaler", TEXT, TEXT_FIELD(upscaler), "",
     "the network that enlarges where none is named; empty: the first that there is, your own before the box's"},
    {"preview", DURATION, NUMBER_FIELD(preview_ms), "1s",
     "least time between two previews of a job; 0: none"},
    {"batch", COUNT, NUMBER_FIELD(batch), "4",
     "pictures that are made at once where the device gains by it: variants of a job, jobs of one "
     "model and shape; 1: never"},
    {"reuse", DURATION, NUMBER_FIELD(reuse_ms), "30d",
     "results this young answer identical requests; 0: each is made anew"},
    {"notify_secret", TEXT, TEXT_FIELD(notify_secret), "",
     "what notices to a job's notify URL are signed with; empty: they are not"},
    {"listen", TEXT, TEXT_FIELD(listen), "127.0.0.1:7860",
     "where sumi-gateway listens: ADDRESS:PORT or unix:/PATH, separated by ','"},
    {"public_url", TEXT, TEXT_FIELD(public_url), "",
     "what addresses in the gateway's answers begin with, behind a proxy; empty: the Host asked for"},
    {"origins", TEXT, TEXT_FIELD(origins), "",
     "other sites whose pages may use the gateway: https://example.org, separated by ','"},
    {"connections", COUNT, NUMBER_FIELD(connections), "4096", "of the gateway at once, at most"},
    {"connections_per_address", COUNT, NUMBER_FIELD(connections_per_address), "64",
     "and of one address, this machine's apart"},
};

enum { SETTINGS = sizeof settings / sizeof settings[0] };

/* "512M", "512m", "512 MB" and "512MiB" are one size. */
static int parse_size(const char *text, int64_t *bytes)
{
	char *end;
	double v = strtod(text, &end);
	static const char units[] = "KMGT";
	if (end == text)
		return -1;
	end += strspn(end, " ");
	if (*end) {
		const char *u = strchr(units, toupper((unsigned char)*end));
		if (!u || (end[1] && strcasecmp(end + 1, "B") != 0 && strcasecmp(end + 1, "iB") != 0))
			return -1;
		for (int i = 0; i <= u - units; i++)
			v *= 1024;
	}
	if (!(v >= 0 && v < 0x1p63))
		return -1;
	*bytes = (int64_t)v;
	return 0;
}

/* "90d", "50G" or both, with a space, a comma or a bar between them. */
static int parse_keep(const char *value, struct config_keep *keep, struct error *err)
{
	static const char between[] = " \t,|";
	struct error ignored;
	*keep = (struct config_keep){0};
	if (strcmp(value, "0") == 0 || !*value)
		return SUMI_OK;
	for (const char *at = value + strspn(value, between); *at; at += strspn(at, between)) {
		char word[32];
		size_t n = strcspn(at, between);
		snprintf(word, sizeof word, "%.*s", (int)n, at);
		at += n;
		bool size = n < sizeof word && strchr("KMGTkgtBb", word[n - 1]); /* 5m are minutes */
		int64_t *to = size ? &keep->bytes : &keep->age_ms;
		/* 90 alone would be seconds here: too few to be what somebody meant. */
		bool bare = isdigit((unsigned char)at[-1]);
		int status = n >= sizeof word || *to || bare ? SUMI_INVALID
			     : size		     ? parse_size(word, to)
						     : clock_parse_duration(word, to, &ignored);
		if (status || *to <= 0)
			return error_set(err, SUMI_INVALID,
					 "'%.40s' is neither an age nor a size: write 90d, 50G, or "
					 "both",
					 value);
	}
	return SUMI_OK;
}

static int apply(struct config *config, const struct setting *s, const char *value,
		 struct error *err)
{
	char *text = (char *)config + s->offset;
	int64_t *number = (int64_t *)(void *)((char *)config + s->offset);
	char *end, word[32];
	switch (s->kind) {
	case LEVEL:
	case WORD: /* in any case */
		snprintf(word, sizeof word, "%s", value);
		for (char *c = word; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		if (s->kind == LEVEL && log_level_from_word(word) < 0)
			return error_set(err, SUMI_INVALID,
					 "'%.40s' is not error, warn, info or debug", value);
		snprintf(text, s->size, "%s", word);
		return SUMI_OK;
	case TEXT:
		if (strlen(value) >= s->size)
			return error_set(err, SUMI_TOOBIG, "longer than %zu bytes", s->size - 1);
		strcpy(text, value);
		return SUMI_OK;
	case DURATION:
		return clock_parse_duration(value, number, err);
	case COUNT:
		errno = 0;
		*number = strtoll(value, &end, 10);
		if (end == value || *end || *number < 0 || errno)
			return error_set(err, SUMI_INVALID, "'%.40s' is not a whole number", value);
		return SUMI_OK;
	case KEEP:
		return parse_keep(value, (struct config_keep *)(void *)number, err);
	case SIZE:
		if (parse_size(value, number))
			return error_set(err, SUMI_INVALID,
					 "'%.40s' is not a size: write 512M or 2G", value);
		return SUMI_OK;
	}
	return SUMI_OK;
}

struct reading {
	struct config *config;
	FILE *file;
	struct error *err;
	int status;
	int line;
	int given[SETTINGS]; /* in which line; 0: in none */
};

/* For inih, which would take the rest of a line beyond its buffer for a line of its own, and read
 * on behind an error: the first is the one to tell. */
static char *next_line(char *buffer, int size, void *context)
{
	struct reading *r = context;
	if (r->status || !fgets(buffer, size, r->file))
		return NULL;
	r->line++;
	int last = strchr(buffer, '\n') ? EOF : getc(r->file);
	if (last == EOF)
		return buffer;
	r->status = error_set(r->err, SUMI_TOOBIG, "the line is longer than %d bytes", size - 2);
	return NULL;
}

/* Of two values one would be left out in silence. inih hands an indented line on as one more value. */
static int apply_once(struct reading *r, int i, const char *value)
{
	int before = r->given[i];
	r->given[i] = r->line;
	return before ? error_set(r->err, SUMI_INVALID, "stands in line %d already: leave one of them, on one line", before)
		      : apply(r->config, &settings[i], value, r->err);
}

static int on_pair(void *context, const char *section, const char *name, const char *value)
{
	struct reading *r = context;
	(void)section; /* sections are for the reader's eye: keys are unique */
	for (int i = 0; i < SETTINGS; i++)
		if (strcmp(settings[i].key, name) == 0) {
			r->status = apply_once(r, i, value);
			if (r->status)
				error_prefix(r->err, "%s", name);
			return r->status == SUMI_OK;
		}
	struct nearest near = nearest_to(name);
	for (int i = 0; i < SETTINGS; i++)
		nearest_try(&near, settings[i].key);
	r->status = error_set(r->err, SUMI_INVALID,
			      "there is no setting '%.60s'%s%s%s (sumid --help lists them)", name,
			      near.best ? ", did you mean " : "", near.best ? near.best : "",
			      near.best ? "?" : "");
	return 0;
}

static int find_file(const char *path, char out[FILES_PATH_MAX], struct error *err)
{
	const char *value;
	if (!path)
		path = getenv("SUMI_CONFIG");
	if (path && *path)
		return files_path(out, err, "%s", path);
	if ((value = getenv("XDG_CONFIG_HOME")) && *value == '/') {
		if (files_path(out, err, "%s/sumi/sumi.conf", value) == 0 && access(out, F_OK) == 0)
			return SUMI_OK;
	} else if ((value = getenv("HOME")) && *value) {
		if (files_path(out, err, "%s/.config/sumi/sumi.conf", value) == 0 &&
		    access(out, F_OK) == 0)
			return SUMI_OK;
	}
	if (access("/etc/sumi/sumi.conf", F_OK) == 0)
		return files_path(out, err, "/etc/sumi/sumi.conf");
	out[0] = '\0';
	return SUMI_OK;
}

/* Without a folder to write to nothing is kept: no reason to fail. */
static int finish_cache(struct config *config, struct error *err)
{
	char cache[FILES_PATH_MAX];
	const char *value = getenv("SUMI_WEIGHT_CACHE");
	if (value && *value && parse_size(value, &config->weight_cache_bytes))
		return error_set(
		    err, SUMI_INVALID,
		    "SUMI_WEIGHT_CACHE: '%.40s' is not a size: write 4G, or 0 for none", value);
	value = getenv("SUMI_WEIGHT_CACHE_DIR");
	if (value && *value)
		return files_path(config->weight_cache_dir, err, "%s", value);
	if (!config->weight_cache_dir[0] &&
	    (files_cache_dir(cache, NULL) ||
	     files_path(config->weight_cache_dir, NULL, "%s/weights", cache)))
		config->weight_cache_dir[0] = '\0';
	return SUMI_OK;
}

static int finish(struct config *config, struct error *err)
{
	int status = finish_cache(config, err);
	if (status)
		return status;
	for (int i = 0; i < MODALITIES_OF_PACKS; i++) /* a model's file may stand here as in a job */
		if (!strchr(config->models[i], '/'))
			config->models[i][model_name_length(config->models[i])] = '\0';
	const char *value = getenv("SUMI_REDIS");
	if (value && *value) {
		if (strlen(value) >= sizeof config->redis)
			return error_set(err, SUMI_TOOBIG, "SUMI_REDIS is too long");
		strcpy(config->redis, value);
	}
	value = getenv("SUMI_STATE_DIR");
	if ((value && *value) || !config->state_dir[0]) {
		status = files_state_dir(config->state_dir, err);
		return status ? status : files_make_absolute(config->state_dir, err);
	}
	return SUMI_OK;
}

/* A pipe would be waited for until somebody writes, and is empty when the file is read again, as each worker does. */
static int open_file(const char *path, FILE **out, struct error *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), status = SUMI_OK;
	*out = NULL;
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
		status = error_set(err, SUMI_INVALID, "%s: is a pipe: name a file", path);
	else if (fd < 0 || !(*out = fdopen(fd, "r")))
		status = error_errno(err, "%s", path);
	if (!*out && fd >= 0)
		close(fd);
	return status;
}

static int read_file(struct config *config, struct error *err)
{
	struct reading r = {.config = config, .err = err};
	int failed = open_file(config->file, &r.file, err);
	if (failed)
		return failed;
	int line = ini_parse_stream(next_line, &r, on_pair, &r);
	int status = SUMI_OK;
	if (ferror(r.file)) /* a folder can be opened, but not read */
		status = error_errno(err, "%s", config->file);
	else if (r.status)
		status = error_prefix(err, "%s:%d", config->file, r.line);
	else if (line)
		status = error_set(err, SUMI_INVALID, "%s:%d: not 'key = value'", config->file,
				   line);
	fclose(r.file);
	return status;
}

int config_load(const char *path, struct config *config, struct error *err)
{
	memset(config, 0, sizeof *config);
	for (int i = 0; i < SETTINGS; i++)
		apply(config, &settings[i], settings[i].fallback, NULL);
	int status = find_file(path, config->file, err);
	if (status)
		return status;
	if (config->file[0])
		status = read_file(config, err);
	if (!status && (status = config_check_values(config, err)) && config->file[0])
		error_prefix(err, "%s", config->file);
	return status ? status : finish(config, err);
}

const char *config_model(const struct config *config, const char *modality, bool *chosen)
{
	static const char *const in_the_box[MODALITIES_OF_PACKS] = {
#define X(NAME, name, model, ...) model,
	    MODALITY_OF_PACKS(X)
#undef X
	};
	enum modality_index i = modality_index(modality);
	*chosen = false;
	if ((int)i >= MODALITIES_OF_PACKS)
		return "";
	*chosen = *config->models[i] && strcmp(config->models[i], in_the_box[i]) != 0;
	return config->models[i];
}

const char *config_next_device(const char *list, char entry[CONFIG_DEVICE_SIZE])
{
	list += strspn(list, ", \t");
	size_t n = strcspn(list, ",");
	if (!n)
		return NULL;
	const char *rest = list + n;
	while (n && strchr(" \t", list[n - 1]))
		n--;
	snprintf(entry, CONFIG_DEVICE_SIZE, "%.*s", (int)n, list);
	return rest;
}

void config_print_help(FILE *out)
{
	for (int i = 0; i < SETTINGS; i++)
		fprintf(out, "  %-16s %s%s%s%s\n", settings[i].key, settings[i].help,
			*settings[i].fallback ? " (" : "", settings[i].fallback,
			*settings[i].fallback ? ")" : "");
}
