/* sumid: the generation daemon. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/launch.h"
#include "base/log.h"
#include "daemon/devices.h"
#include "daemon/supervisor.h"
#include "daemon/worker.h"
#include "diffusion/catalogue.h"
#include "queue/queue.h"

/* of the processes that the daemon starts itself */
static const char *worker, *devices, *number, *report_fd;
static bool list_devices;

static const struct launch_option own[] = {{"list-devices", 0, NULL, &list_devices},
					   {"unmatched-devices", 0, &devices, NULL},
					   {"worker", 0, &worker, NULL},
					   {"index", 0, &number, NULL},
					   {"report-fd", 0, &report_fd, NULL},
					   {NULL, 0, NULL, NULL}};

static void print_help(void)
{
	printf(
	    "usage: sumid [--config FILE] [--state-dir DIR]\n"
	    "\n"
	    "Takes jobs out of the queue and renders them. Without any configuration it keeps\n"
	    "everything in one folder and starts a Redis of its own there.\n"
	    "\n"
	    "  -c, --config FILE    read this file instead of sumi.conf\n"
	    "  -s, --state-dir DIR  where database, files and the private Redis live\n"
	    "      --check          read the configuration, say what is wrong with it, and exit\n"
	    "      --list-devices   print the devices there are, one a line, and exit\n"
	    "      --version, --help\n"
	    "\n"
	    "SIGTERM ends it at the next step boundary, SIGHUP reads the configuration again.\n"
	    "\n"
	    "Settings of sumi.conf (key = value, default in brackets):\n");
	config_print_help(stdout);
}

static int serve(const struct launch *a, struct error *err)
{
	struct supervisor_options o = {
	    .config_file = a->config_file,
	    .state_dir = a->state_dir,
	    .program = "/proc/self/exe",
	};
	return supervisor_run(&o, err);
}

static int work(const struct launch *a, struct error *err)
{
	struct config config;
	int status = launch_config(a, &config, err);
	if (status)
		return status;
	log_set_level((enum log_level)log_level_from_word(config.log));
	struct worker_options o = {
	    .config = &config,
	    .redis_url = config.redis,
	    .selector = worker,
	    .index = number ? atoi(number) : 0,
	    .report_fd = report_fd ? atoi(report_fd) : -1,
	};
	return worker_run(&o, err);
}

static int check_models(const struct config *config, struct error *err)
{
	struct catalogue c;
	int status = catalogue_list(config->packs, config->state_dir, &c, err);
	if (status)
		return status;
	for (int i = 0; i < c.problem_count; i++) /* a place that is not there, half a pack */
		log_warn("model.unusable", "error=\"%s\"", c.problems[i]);
	status = catalogue_check_defaults(&c, config, err);
	catalogue_free(&c);
	return status;
}

static int check(const struct launch *a, struct error *err)
{
	struct config config;
	int status = launch_config(a, &config, err);
	if (!status &&
	    ((config.redis[0] && (status = queue_url_check(config.redis, err))) ||
	     (status = devices_check(config.devices, err))) &&
	    config.file[0])
		error_prefix(err, "%s", config.file);
	if (!status)
		status = check_models(&config, err);
	if (!status)
		printf("%s: fine\n", config.file[0] ? config.file : "no configuration file");
	return status;
}

static int run(const struct launch *a, struct error *err)
{
	if (a->check)
		return check(a, err);
	if (list_devices)
		return devices_print(err);
	if (devices)
		return devices_print_unmatched(devices, err);
	return worker ? work(a, err) : serve(a, err);
}

int main(int argc, char **argv)
{
	static const struct launch_program program = {"sumid", own, print_help};
	struct launch a;
	struct error err = {0};
	int exit_status, status = SUMI_OK;
	/* Whatever it makes, prompts, pictures, caches, is for its user and group alone. */
	umask(umask(0) | 0027);
	if (launch_parse(&program, argc, argv, &a, &exit_status))
		status = run(&a, &err);
	else if (exit_status)
		return exit_status;
	if (!status && (fflush(stdout) != 0 || ferror(stdout)))
		status = error_errno(&err, "standard output");
	if (status)
		log_error("exit", "error=\"%s\"", err.text);
	return status == SUMI_OK ? 0 : status == SUMI_INVALID ? 2 : 1;
}
