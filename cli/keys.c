/* sumi keys: who may use the gateway. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "cli/verbs.h"
#include "queue/senders.h"

enum { KEY_BYTES = 32 };

/* "60/m": so many in a second, minute, hour or day. */
static int parse_rate(const char *text, double *rate, struct error *err)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = {{"/s", 1}, {"/m", 60}, {"/h", 3600}, {"/d", 86400}};
	char *end;
	double n = text ? strtod(text, &end) : 0;
	if (!text)
		return SUMI_OK;
	for (size_t i = 0; end != text && i < sizeof units / sizeof units[0]; i++)
		if (strcmp(end, units[i].unit) == 0 && n > 0 && n < 1e9) {
			*rate = n / units[i].seconds;
			return SUMI_OK;
		}
	return error_set(err, SUMI_INVALID, "--rate is '%.40s': write 60/m, 2/s or 500/h", text);
}

static int read_options(struct cli *cli, struct queue_key *key, struct error *err)
{
	const char *scope = cli_value(cli, "scope");
	long jobs = 0;
	int status = parse_rate(cli_value(cli, "rate"), &key->rate, err);
	if (!status)
		status = cli_number(cli, "jobs", 1, 1000000, &jobs, err);
	if (status)
		return status;
	key->jobs = jobs;
	key->scope = QUEUE_SCOPE_SUBMIT;
	if (scope && queue_scope_from_word(scope) < 0)
		return error_set(err, SUMI_INVALID, "--scope is '%.40s': it must be read, submit or admin",
				 scope);
	if (scope)
		key->scope = (enum queue_scope)queue_scope_from_word(scope);
	if (!job_id_valid(cli->args[1]) || strlen(cli->args[1]) > JOB_ID_MAX)
		return error_set(err, SUMI_INVALID,
				 "'%.64s' cannot be a name: 1 to 64 of A-Z a-z 0-9 . _ : -", cli->args[1]);
	/* Its owner would see what everybody sends who says no name. */
	if (strcmp(cli->args[1], param_find("submitter")->fallback) == 0)
		return error_set(err, SUMI_INVALID, "'%s' is the sender of jobs that name none: take another name",
				 cli->args[1]);
	strcpy(key->name, cli->args[1]);
	key->created = clock_wall_ms();
	return SUMI_OK;
}

/* The key is shown once: what is kept is its hash. */
static int add(struct cli *cli, struct queue *queue, struct error *err)
{
	struct queue_key key = {0};
	unsigned char random[KEY_BYTES];
	char text[sizeof "sumi_" + 2 * KEY_BYTES] = "sumi_";
	int status = read_options(cli, &key, err);
	if (status)
		return status;
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return error_errno(err, "random numbers");
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(text + 5 + 2 * i, 3, "%02x", random[i]);
	sha256_hex(text, strlen(text), key.sha256);
	status = queue_key_add(queue, &key, err);
	if (status)
		return status;
	if (cli->json)
		return cli_print_json(json_pack("{s:s, s:s, s:s}", "name", key.name, "scope",
						queue_scope_word(key.scope), "key", text));
	printf("%s\n", text);
	if (!cli->quiet)
		fprintf(stderr, "keep it: only its hash is kept here\n");
	return SUMI_OK;
}

static void print_key(const struct queue_key *k)
{
	char time[CLOCK_TEXT_SIZE], jobs[48] = "", rate[48] = "";
	clock_text(k->created, time);
	if (k->jobs)
		snprintf(jobs, sizeof jobs, "  %lld jobs", (long long)k->jobs);
	if (k->rate > 0)
		snprintf(rate, sizeof rate, "  %g/m", k->rate * 60);
	printf("%-24s %-6s  %.19s%s%s\n", k->name, queue_scope_word(k->scope), time, rate, jobs);
}

static int list(struct cli *cli, struct queue *queue, struct error *err)
{
	struct queue_key *keys;
	size_t count;
	char time[CLOCK_TEXT_SIZE];
	int status = queue_keys(queue, &keys, &count, err);
	if (status)
		return status;
	json_t *rows = json_array();
	for (size_t i = 0; i < count; i++) {
		clock_text(keys[i].created, time);
		json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:f, s:I}", "name", keys[i].name,
						      "scope", queue_scope_word(keys[i].scope), "created",
						      time, "rate_per_minute", keys[i].rate * 60, "jobs",
						      (json_int_t)keys[i].jobs));
		if (!cli->json)
			print_key(&keys[i]);
	}
	if (cli->json)
		cli_print_json(json_incref(rows));
	else if (!count && !cli->quiet)
		fprintf(stderr, "no keys: the gateway serves this machine alone\n");
	json_decref(rows);
	free(keys);
	return SUMI_OK;
}

static int revoke(struct cli *cli, struct queue *queue, struct error *err)
{
	int status = queue_key_revoke(queue, cli->args[1], err);
	if (!status && cli->json)
		cli_print_json(json_pack("{s:s}", "revoked", cli->args[1]));
	return status;
}

static const struct {
	const char *name;
	int args;
	int (*run)(struct cli *cli, struct queue *queue, struct error *err);
} actions[] = {{"add", 2, add}, {"list", 1, list}, {"revoke", 2, revoke}};

static int run_keys(struct cli *cli)
{
	struct error err = {0};
	struct queue *queue = NULL;
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		if (strcmp(actions[i].name, cli->args[0]) != 0)
			continue;
		if (cli->arg_count != actions[i].args) {
			error_set(&err, SUMI_INVALID, "sumi keys %s takes %s", actions[i].name,
				  actions[i].args == 2 ? "one name" : "no name");
			return cli_error(cli, &err);
		}
		int status = cli_queue(cli, &queue, &err);
		if (!status)
			status = actions[i].run(cli, queue, &err);
		queue_close(queue);
		return status ? cli_error(cli, &err) : EXIT_OK;
	}
	error_set(&err, SUMI_INVALID, "'%.40s' is not add, list or revoke", cli->args[0]);
	return cli_error(cli, &err);
}

static const struct cli_option keys_options[] = {
    {"rate", 0, "N/m", "add: requests that send work, at most (60/m, 2/s, 500/h)"},
    {"jobs", 0, "N", "add: jobs that have not ended, at most"},
    {"scope", 0, "read|submit|admin", "add: look only; send too (default); everybody's jobs, the queue"},
    {NULL, 0, NULL, NULL}};

const struct verb verb_keys = {
    .name = "keys",
    .arguments = "add NAME|list|revoke NAME",
    .summary = "who may use the gateway",
    .options = keys_options,
    .min_args = 1,
    .max_args = 2,
    .run = run_keys,
    .more = "  add NAME       makes a key and prints it, once\n"
	    "  list           the names, and what each may\n"
	    "  revoke NAME    within a second it opens nothing any more\n"
	    "A key's owner sees his own jobs: those whose submitter is NAME. A job that he sends is\n"
	    "made in turns with those of others.\n",
};
