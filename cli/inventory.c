/* sumi devices, status: what this machine has and does. */
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "base/utf8.h"
#include "cli/entry.h"
#include "cli/guarded.h"
#include "cli/verbs.h"

enum { DEVICES = 64 };

/* In a process of its own; the exit status. */
static int list_devices(void *context)
{
	struct cli *cli = context;
	struct error err = {0};
	static struct device_info info[DEVICES];
	int n = device_list(info, DEVICES, &err);
	if (n < 0)
		return cli_error(cli, &err);
	guarded_warn(NULL, NULL);
	json_t *rows = json_array();
	for (int i = 0; i < n && i < DEVICES; i++) {
		const struct device_info *d = &info[i];
		json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:i}",
						      "selector", d->selector, "name", d->name,
						      "platform", d->platform, "driver", d->driver,
						      "kind", d->is_cpu ? "cpu" : "gpu", "memory",
						      (json_int_t)d->memory, "f16", (int)d->has_f16,
						      "compute_units", d->compute_units));
		if (!cli->json)
			printf("%-12s %s  %s  %.1f GiB\n", d->selector, d->is_cpu ? "cpu" : "gpu",
			       d->name, (double)d->memory / (1 << 30));
	}
	if (cli->json)
		cli_print_json(json_incref(rows));
	json_decref(rows);
	return EXIT_OK;
}

static int run_devices(struct cli *cli)
{
	struct error err = {0};
	int status = guarded_call(list_devices, cli, &err);
	return status < 0 ? cli_error(cli, &err) : status;
}

static json_t *workers_json(struct queue *queue, struct error *err)
{
	struct queue_worker_info *workers;
	size_t count;
	if (queue_workers(queue, &workers, &count, err))
		return NULL;
	json_t *rows = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(
		    rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s*}", "name",
				    workers[i].name, "device", workers[i].device, "host",
				    workers[i].host, "job", workers[i].job, "trouble",
				    workers[i].trouble, "pid", (json_int_t)workers[i].pid,
				    "seen_ms_ago", (json_int_t)workers[i].seen_ms_ago, "waits",
				    workers[i].waits[0] ? workers[i].waits : NULL));
	free(workers);
	return rows;
}

/* Jobs that wait for a worker with their model, and none lives. */
static json_t *unserved_json(struct queue *queue, struct error *err)
{
	struct queue_unserved *list;
	size_t count;
	if (queue_unserved(queue, &list, &count, err))
		return NULL;
	json_t *rows = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(rows, json_pack("{s:s, s:I}", "class", list[i].class, "jobs",
						      (json_int_t)list[i].jobs));
	free(list);
	return rows;
}

static void print_unserved(const json_t *unserved)
{
	size_t i;
	json_t *u;
	json_array_foreach(unserved, i, u)
	{
		const char *class = json_string_value(json_object_get(u, "class"));
		const char *slash = strchr(class, '/');
		bool named = slash && slash[1];
		printf("%" JSON_INTEGER_FORMAT " of the ready jobs wait for ",
		       json_integer_value(json_object_get(u, "jobs")));
		entry_print_text(class, SIZE_MAX);
		printf("%s: no living worker has %s (sumi models)\n", named ? "" : "…",
		       named ? "this model" : "a model for this");
	}
}

/* What all jobs wait for, or "". */
static const char *waits_of(const struct queue_troubles *troubles)
{
	return *troubles->server ? troubles->server : troubles->workers;
}

static void print_status(const struct queue_stats *s, const struct queue_troubles *troubles,
			 const json_t *workers, const json_t *unserved)
{
	size_t i;
	json_t *w;
	if (*waits_of(troubles))
		printf("waits: %s\n", waits_of(troubles));
	if (s->paused) {
		printf("paused%s", s->pause_reason[0] ? ": " : "");
		entry_print_text(s->pause_reason, sizeof s->pause_reason);
		printf(" (sumi resume ends it)\n");
	}
	for (int state = 0; state < JOB_STATES; state++)
		printf("%-10s %lld\n", job_state_word((enum job_state)state),
		       (long long)s->states[state]);
	if (s->intake)
		printf("%-10s %lld\n", "arriving", (long long)s->intake);
	if (s->dead_letters)
		printf("%-10s %lld (sumi dead-letters)\n", "put aside", (long long)s->dead_letters);
	if (s->inputs)
		printf("%-10s %lld to start from, %.1f MiB\n", "files", (long long)s->inputs,
		       (double)s->input_bytes / (1 << 20));
	json_array_foreach(workers, i, w)
	{
		const char *job = json_string_value(json_object_get(w, "job"));
		printf("worker ");
		entry_print_text(json_string_value(json_object_get(w, "name")), SIZE_MAX);
		printf("  ");
		entry_print_text(json_string_value(json_object_get(w, "device")), SIZE_MAX);
		printf("  ");
		entry_print_text(*job ? job : "idle", SIZE_MAX);
		if (json_object_get(w, "waits")) {
			printf("  waits: ");
			entry_print_text(json_string_value(json_object_get(w, "waits")), SIZE_MAX);
		}
		putchar('\n');
		const char *trouble = json_string_value(json_object_get(w, "trouble"));
		if (*trouble) {
			printf("  warning: ");
			entry_print_text(trouble, SIZE_MAX);
			putchar('\n');
		}
	}
	if (json_array_size(workers) == 0)
		printf("no worker is alive (is sumid running? if so, its log says why)\n");
	print_unserved(unserved);
}

static int run_status(struct cli *cli)
{
	struct error err = {0};
	struct queue *queue = NULL;
	struct queue_stats s;
	struct queue_troubles troubles;
	json_t *workers = NULL, *unserved = NULL;
	int status = cli_queue(cli, &queue, &err);
	if (!status)
		status = queue_stats(queue, &s, &err);
	if (!status)
		status = queue_troubles(queue, &troubles, &err);
	if (!status &&
	    (!(workers = workers_json(queue, &err)) || !(unserved = unserved_json(queue, &err))))
		status = err.status;
	queue_close(queue);
	if (status || !cli->json) {
		int code = status ? cli_error(cli, &err) : EXIT_OK;
		if (!status)
			print_status(&s, &troubles, workers, unserved);
		json_decref(workers);
		json_decref(unserved);
		return code;
	}
	json_t *states = json_object();
	for (int state = 0; state < JOB_STATES; state++)
		json_object_set_new(states, job_state_word((enum job_state)state),
				    json_integer(s.states[state]));
	return cli_print_json(json_pack(
	    "{s:b, s:s, s:I, s:o, s:I, s:I, s:I, s:o, s:o, s:s*}", "paused", (int)s.paused, "pause_reason",
	    s.pause_reason, "arriving", (json_int_t)s.intake, "states", states, "dead_letters",
	    (json_int_t)s.dead_letters, "inputs", (json_int_t)s.inputs, "input_bytes",
	    (json_int_t)s.input_bytes, "workers", workers, "unserved", unserved, "waits",
	    *waits_of(&troubles) ? waits_of(&troubles) : NULL));
}

const struct verb verb_devices = {.name = "devices",
				  .arguments = "",
				  .summary = "the devices that could be used",
				  .max_args = 0,
				  .run = run_devices};

const struct verb verb_status = {.name = "status",
				 .arguments = "",
				 .summary = "how full the queue is and who works on it",
				 .max_args = 0,
				 .run = run_status};
