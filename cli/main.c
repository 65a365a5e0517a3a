/* sumi: the program that a person types. */
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/nearest.h"
#include "cli/cli.h"
#include "cli/inputs.h"
#include "cli/verbs.h"
#include "cli/when.h"
#include "queue/private_redis.h"

const struct verb *const verb_table[] = {
#define X(NAME, name, ...) &verb_##name,
    MODALITY_TABLE(X)
#undef X
#define X(name) &verb_##name,
    VERB_MAP(X)
#undef X
    NULL};

static const struct {
	int status, code;
} exit_codes[] = {
    {SUMI_OK, EXIT_OK},
    {SUMI_INVALID, EXIT_USAGE},
    {SUMI_UNSUPPORTED, EXIT_USAGE},
    {SUMI_CORRUPT, EXIT_USAGE},
    {SUMI_TOOBIG, EXIT_USAGE},
    {SUMI_NOTFOUND, EXIT_NOT_FOUND},
    {SUMI_CONNECT, EXIT_NO_DAEMON},
    {SUMI_CANCELLED, EXIT_JOB_CANCELLED},
};

int cli_error(const struct cli *cli, const struct error *err)
{
	if (cli->json) {
		json_t *o = json_pack("{s:{s:s, s:s}}", "error", "code", status_word(err->status),
				      "message", err->text);
		char *text = json_text(o, JSON_COMPACT);
		fprintf(stderr, "%s\n", text ? text : "{}");
		free(text);
		json_decref(o);
	} else {
		fprintf(stderr, "sumi: %s\n", err->text);
	}
	for (size_t i = 0; i < sizeof exit_codes / sizeof exit_codes[0]; i++)
		if (exit_codes[i].status == err->status)
			return exit_codes[i].code;
	return EXIT_FAILED;
}

/* The URL alone. */
static int cli_queue_url(struct cli *cli, char out[FILES_PATH_MAX], struct error *err)
{
	if (cli->config.redis[0])
		return files_path(out, err, "%s", cli->config.redis);
	return private_redis_url(cli->config.state_dir, out, err);
}

/* What no living worker's device holds is refused before it is sent. */
static void look_for_room(struct cli *cli, struct queue *queue)
{
	struct admission *a = &cli->admission;
	int64_t next = 0;
	a->memory = 0;
	queue_look_for_room(queue, next, &next, &a->memory, a->device, sizeof a->device);
	cli->intake.memory = a->memory;
	memcpy(cli->intake.device, a->device, sizeof a->device);
}

/* Whether a sumid holds the lock of the state folder. Trying to take it could keep one from starting. */
static bool daemon_lives(const struct cli *cli)
{
	char path[FILES_PATH_MAX], line[256];
	struct stat st;
	bool held = false;
	if (files_path(path, NULL, "%s/sumid.lock", cli->config.state_dir) || stat(path, &st) != 0)
		return false;
	FILE *locks = fopen("/proc/locks", "re");
	while (locks && !held && fgets(line, sizeof line, locks)) {
		unsigned long long inode;
		held = strstr(line, " FLOCK ") && sscanf(line, "%*s %*s %*s %*s %*s %*[^:]:%*[^:]:%llu", &inode) == 1 &&
		       inode == (unsigned long long)st.st_ino;
	}
	if (locks)
		fclose(locks);
	return held;
}

/* A daemon that lives starts its server anew; one of sumi.conf may be restarted while somebody waits for a job. */
static int open_patiently(struct cli *cli, const struct queue_options *options, struct queue **out, struct error *err)
{
	enum { PATIENCE_MS = 30000, AGAIN_MS = 200, SILENT_MS = 1000, BROKEN_MS = 5000, RESTART_MS = 15000 };
	const char *timeout = cli_value(cli, "timeout");
	int64_t begun = clock_boot_ms(), patience = PATIENCE_MS, wanted;
	struct error ignored;
	bool told = false, waits = strcmp(cli->verb->name, "wait") == 0 || strcmp(cli->verb->name, "watch") == 0;
	if (timeout && !when_parse_length(timeout, &wanted, &ignored) && wanted < patience)
		patience = wanted;
	for (;;) {
		int status = queue_open(options, out, err);
		bool away = status == SUMI_CONNECT || status == SUMI_NOTFOUND;
		int64_t passed = clock_boot_ms() - begun;
		/* A connection that breaks in the middle is made anew; those two tell of it themselves. A daemon may
		 * be waiting for its server some seconds itself before it sees that it has died. */
		if (!status && !waits && strcmp(cli->verb->name, "doctor") != 0)
			queue_set_patience(*out, cli->config.redis[0] ? BROKEN_MS : RESTART_MS);
		if (!away || passed > patience || strcmp(cli->verb->name, "doctor") == 0 ||
		    !(cli->config.redis[0] ? waits : daemon_lives(cli)))
			return status;
		if (passed > SILENT_MS && !told && !cli->quiet)
			fprintf(stderr, "the queue does not answer: waiting for it\n");
		told |= passed > SILENT_MS;
		clock_sleep_ms(AGAIN_MS);
	}
}

int cli_queue(struct cli *cli, struct queue **out, struct error *err)
{
	char url[FILES_PATH_MAX];
	int status = cli_queue_url(cli, url, err);
	if (status)
		return status;
	struct queue_options options = {
	    .url = url,
	    .prefix = cli->config.prefix,
	    .patience_ms = -1,
	    .max_attempts = (int)cli->config.max_attempts,
	    .check = admission_ask,
	    .settle = admission_settle,
	    .check_context = &cli->intake,
	    .stored = inputs_stored,
	    .stored_context = cli,
	};
	/* What a daemon would say of them. */
	cli->intake.config = &cli->config;
	cli->intake.others = cli->config.redis[0] != '\0';
	cli->intake.deep = true;
	status = open_patiently(cli, &options, out, err);
	if (!status && cli->verb->job_options)
		look_for_room(cli, *out);
	bool away = status == SUMI_CONNECT || status == SUMI_NOTFOUND;
	if (away && cli->config.redis[0]) /* no daemon starts that one */
		return error_set(err, SUMI_CONNECT, "the queue does not answer: %s (it is the server of "
						    "'redis' in sumi.conf or SUMI_REDIS)",
				 err->text);
	if (away && daemon_lives(cli))
		return error_set(err, SUMI_CONNECT, "sumid runs, and its Redis does not answer: its log says why (%s)", err->text);
	if (away)
		return error_set(err, SUMI_CONNECT,
				 "no daemon answers: start one with 'sumid &' or 'systemctl start "
				 "sumid' (%s)",
				 err->text);
	return status;
}

int cli_store(struct cli *cli, struct store **out, struct error *err)
{
	static bool told;
	struct store_options options = {.dir = cli->config.state_dir, .mode = STORE_READ};
	int status = store_open(&options, out, err);
	bool none = status == SUMI_NOTFOUND && store_has_files(options.dir);
	if ((none || store_is_lost(options.dir)) && !told && !cli->quiet && strcmp(cli->verb->name, "doctor") != 0)
		fprintf(stderr, "sumi: note: the database was lost, and its results are not listed: stop sumid and run sumi db "
				"rebuild, which brings them back\n");
	told = true;
	return status;
}

void cli_check_reader(void)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
	if (poll(&out, 1, 0) <= 0 || !(out.revents & POLLERR))
		return;
	/* The queue's connection has told the system to leave the signal out. */
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

int cli_print_json(json_t *value)
{
	char *text = json_text(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
	int code = text ? EXIT_OK : EXIT_FAILED;
	json_decref(value);
	if (text)
		puts(text);
	free(text);
	return code;
}

/* What other programs call a verb; taken: it is understood, else proposed. */
static const struct other_name {
	const char *name, *verb;
	bool taken;
} other_names[] = {
    {"img", "image", true},      {"vid", "video", true},       {"picture", "image", false},
    {"pic", "image", false},     {"txt2img", "image", false},  {"img2img", "image", false},
    {"generate", "image", false}, {"gen", "image", false},     {"draw", "image", false},
    {"paint", "image", false},   {"create", "image", false},   {"make", "image", false},
    {"movie", "film", false},    {"clip", "video", false},     {"animate", "video", false},
    {"music", "audio", false},   {"sound", "audio", false},    {"song", "audio", false},
    {"ls", "list", false},       {"jobs", "list", false},      {"queue", "list", false},
    {"ps", "list", false},       {"history", "list", false},   {"log", "watch", false},
    {"logs", "watch", false},    {"tail", "watch", false},     {"follow", "watch", false},
    {"rm", "delete", false},     {"remove", "delete", false},  {"erase", "delete", false},
    {"purge", "delete", false},  {"stop", "cancel", false},    {"kill", "cancel", false},
    {"abort", "cancel", false},  {"get", "fetch", false},      {"save", "fetch", false},
    {"download", "fetch", false}, {"export", "fetch", false},  {"install", "pull", false},
    {"info", "show", false},     {"describe", "show", false},  {"find", "search", false},
    {"redo", "again", false},    {"rerun", "retry", false},    {"unpause", "resume", false},
    {"continue", "resume", false}, {"check", "doctor", false}, {"enlarge", "upscale", false},
    {"lora", "models", false},     {"loras", "models", false},    {"add", "models add", false},
    {"backup", "db backup", false}, {"restore", "db restore", false}, {NULL, NULL, false},
};

static const char *const daemon_names[] = {"start", "serve", "server", "daemon", "run", "restart"};

static const struct other_name *find_other(const char *name)
{
	const struct other_name *o = other_names;
	while (o->name && strcmp(o->name, name) != 0)
		o++;
	return o->name ? o : NULL;
}

static const struct verb *find_verb(const char *name)
{
	for (const struct verb *const *v = verb_table; *v; v++)
		if (strcmp((*v)->name, name) == 0)
			return *v;
	const struct other_name *other = find_other(name);
	return other && other->taken ? find_verb(other->verb) : NULL;
}

static int no_verb(const char *name)
{
	struct nearest near = nearest_to(name);
	near.shortened = true;
	if (*name == '-') {
		nearest_try(&near, "--help");
		nearest_try(&near, "--version");
		if (strcmp(name, "-v") == 0)
			near.best = "--version";
		if (near.best)
			fprintf(stderr, "sumi: there is no option '%.40s', did you mean %s?\n", name,
				near.best);
		else
			fprintf(stderr,
				"sumi: '%.40s' stands before the verb: options come behind it: "
				"sumi VERB %.40s\n",
				name, name);
		return EXIT_USAGE;
	}
	for (size_t i = 0; i < sizeof daemon_names / sizeof daemon_names[0]; i++)
		if (strcmp(daemon_names[i], name) == 0) {
			fprintf(stderr,
				"sumi: there is no verb '%s': the daemon is a program of its own, sumid "
				"(man sumid)\n",
				name);
			return EXIT_USAGE;
		}
	for (const struct verb *const *v = verb_table; *v; v++)
		nearest_try(&near, (*v)->name);
	const struct other_name *other = find_other(name);
	if (other)
		near.best = other->verb;
	fprintf(stderr, "sumi: there is no verb '%.40s'%s%s%s; sumi --help lists them\n", name,
		near.best ? ", did you mean '" : "", near.best ? near.best : "",
		near.best ? "'?" : "");
	return EXIT_USAGE;
}

static int run_verb(struct cli *cli, int argc, char **argv)
{
	struct error err = {0};
	int status = cli_parse(cli, argc, argv, &err);
	if (status == SUMI_CANCELLED) {
		cli_print_help(stdout, cli->verb);
		return EXIT_OK;
	}
	if (!status)
		status = config_load(NULL, &cli->config, &err);
	cli->admission = (struct admission){.config = &cli->config};
	return status ? cli_error(cli, &err) : cli->verb->run(cli);
}

/* A listing that is cut off by a full disk is no listing; a reader that has gone wants no more. */
static int end_output(int code)
{
	cli_check_reader();
	errno = EIO; /* of what failed before and was not told */
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (errno == EPIPE)
		cli_check_reader();
	fprintf(stderr, "sumi: standard output: %s\n", strerror(errno));
	return code ? code : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	static struct cli cli; /* static: it is large */
	setlocale(LC_CTYPE, "");
	if (argc < 2) {
		cli_print_help(stderr, NULL);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		const struct verb *verb = argc > 2 ? find_verb(argv[2]) : NULL;
		if (argc > 2 && !verb)
			return no_verb(argv[2]);
		cli_print_help(stdout, verb);
		return end_output(EXIT_OK);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V") || !strcmp(argv[1], "version")) {
		printf("sumi %s\n", SUMI_VERSION);
		return end_output(EXIT_OK);
	}
	cli.verb = find_verb(argv[1]);
	if (!cli.verb)
		return no_verb(argv[1]);
	int code = run_verb(&cli, argc - 2, argv + 2);
	json_decref(cli.fields);
	json_decref(cli.left_out);
	admission_free(&cli.admission);
	admission_free(&cli.intake);
	return end_output(code);
}
