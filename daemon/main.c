/* sumid: the generation daemon. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/config.h"
#include "base/log.h"
#include "daemon/devices.h"
#include "daemon/supervisor.h"
#include "daemon/worker.h"
#include "diffusion/catalogue.h"
#include "queue/queue.h"

struct arguments {
	const char *config_file, *state_dir;
	/* of the processes that the daemon starts itself */
	const char *worker, *devices;
	int index, report_fd;
	enum { SERVE, CHECK, LIST_DEVICES, UNMATCHED_DEVICES, WORKER, VERSION, HELP, WRONG } mode;
};

static const struct option options[] = {{"config", required_argument, NULL, 'c'},
					{"state-dir", required_argument, NULL, 's'},
					{"check", no_argument, NULL, 'k'},
					{"list-devices", no_argument, NULL, 'l'},
					{"unmatched-devices", required_argument, NULL, 'm'},
					{"worker", required_argument, NULL, 'w'},
					{"index", required_argument, NULL, 'i'},
					{"report-fd", required_argument, NULL, 'r'},
					{"version", no_argument, NULL, 'V'},
					{"help", no_argument, NULL, 'h'},
					{NULL, 0, NULL, 0}};

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

static void parse(int argc, char **argv, struct arguments *a)
{
	int c;
	*a = (struct arguments){.report_fd = -1};
	while ((c = getopt_long(argc, argv, "c:s:h", options, NULL)) != -1)
		switch (c) {
		case 'c':
			a->config_file = optarg;
			break;
		case 's':
			a->state_dir = optarg;
			break;
		case 'k':
			a->mode = CHECK;
			break;
		case 'l':
			a->mode = LIST_DEVICES;
			break;
		case 'm':
			a->mode = UNMATCHED_DEVICES;
			a->devices = optarg;
			break;
		case 'w':
			a->mode = WORKER;
			a->worker = optarg;
			break;
		case 'i':
			a->index = atoi(optarg);
			break;
		case 'r':
			a->report_fd = atoi(optarg);
			break;
		case 'V':
			a->mode = VERSION;
			break;
		case 'h':
			a->mode = HELP;
			break;
		default:
			a->mode = WRONG;
			return;
		}
	if (optind < argc) {
		fprintf(stderr, "sumid: '%s' is not an option; sumid --help lists them\n",
			argv[optind]);
		a->mode = WRONG;
	}
}

static int serve(const struct arguments *a, struct error *err)
{
	struct supervisor_options o = {
	    .config_file = a->config_file,
	    .state_dir = a->state_dir,
	    .program = "/proc/self/exe",
	};
	return supervisor_run(&o, err);
}

static int work(const struct arguments *a, struct error *err)
{
	struct config config;
	int status = config_load(a->config_file, &config, err);
	if (!status && a->state_dir)
		status = files_path(config.state_dir, err, "%s", a->state_dir);
	if (status)
		return status;
	log_set_level((enum log_level)log_level_from_word(config.log));
	struct worker_options o = {
	    .config = &config,
	    .redis_url = config.redis,
	    .selector = a->worker,
	    .index = a->index,
	    .report_fd = a->report_fd,
	};
	return worker_run(&o, err);
}

static int check_models(const struct config *config, struct error *err)
{
	struct catalogue c;
	int status = catalogue_list(config->packs, config->state_dir, &c, err);
	if (status)
		return status;
	status = catalogue_check_defaults(&c, config, err);
	catalogue_free(&c);
	return status;
}

static int check(const struct arguments *a, struct error *err)
{
	struct config config;
	int status = config_load(a->config_file, &config, err);
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

int main(int argc, char **argv)
{
	struct arguments a;
	struct error err = {0};
	int status = SUMI_OK;
	parse(argc, argv, &a);
	/* Whatever it makes, prompts, pictures, caches, is for its user and group alone. */
	umask(umask(0) | 0027);
	switch (a.mode) {
	case SERVE:
		status = serve(&a, &err);
		break;
	case WORKER:
		status = work(&a, &err);
		break;
	case CHECK:
		status = check(&a, &err);
		break;
	case LIST_DEVICES:
		status = devices_print(&err);
		break;
	case UNMATCHED_DEVICES:
		status = devices_print_unmatched(a.devices, &err);
		break;
	case VERSION:
		printf("sumid %s\n", SUMI_VERSION);
		break;
	case HELP:
		print_help();
		break;
	case WRONG:
		return 2;
	}
	if (!status && (fflush(stdout) != 0 || ferror(stdout)))
		status = error_errno(&err, "standard output");
	if (status)
		log_error("exit", "error=\"%s\"", err.text);
	return status == SUMI_OK ? 0 : status == SUMI_INVALID ? 2 : 1;
}
