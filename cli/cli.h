/* What the verbs of `sumi` share: the table of verbs, options made from the job schema,
 * connections, output, exit codes. */
#ifndef SUMI_CLI_CLI_H
#define SUMI_CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/config.h"
#include "base/status.h"
#include "modalities/admission.h"
#include "queue/queue.h"
#include "storage/storage.h"

/* Exit codes, as the manual documents them. */
/* EXIT_SUCCESS and EXIT_FAILURE of stdlib.h are not used. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,    /* something went wrong; the message says what */
	EXIT_USAGE = 2,     /* bad option, bad parameter, bad file: nothing was done */
	EXIT_NOT_FOUND = 3, /* no such job, artifact or model */
	EXIT_NO_DAEMON = 4, /* the queue cannot be reached */
	EXIT_JOB_FAILED = 5,
	EXIT_JOB_CANCELLED = 6,
	EXIT_INTERRUPTED = 130
};

/* An option of one verb, beside those that all verbs and all jobs have. */
struct cli_option {
	const char *name;  /* without dashes: "output"; NULL ends a table */
	char letter;       /* 0: none */
	const char *value; /* what stands for its value in the help; NULL: a switch */
	const char *help;
};

struct cli;

struct verb {
	const char *name;
	const char *arguments;            /* "PROMPT [options]" */
	const char *summary;              /* one line */
	const struct cli_option *options; /* may be NULL */
	bool job_options;                 /* also takes a job's parameters as options */
	bool takes_back;                  /* and --no-NAME of each: what a file brings of it is left out */
	unsigned modalities;              /* whose, PARAM_IMAGE …; 0: all */
	int min_args, max_args;           /* positional; max -1: any number */
	/* Returns an exit code; has printed its own error with cli_error(). */
	int (*run)(struct cli *cli);
	const char *more; /* further help, may be NULL */
};

extern const struct verb *const verb_table[]; /* NULL-terminated */

struct cli {
	const struct verb *verb;
	struct config config;
	bool sized; /* --size was given */
	bool json, quiet;
	const char *args[1024]; /* positional */
	int arg_count;
	const char *values[32]; /* of verb->options, by index; "" for a switch that is set */
	json_t *fields;         /* job options that were given, in their JSON types */
	json_t *left_out;       /* with takes_back: the names of those that were given as --no-NAME, as keys */
	struct admission admission;
	struct admission intake; /* of jobs that still lie in the queue's intake */
};

/* Those of every verb. */
extern const struct cli_option cli_common_options[];

/* Fills cli from the words behind the verb. SUMI_INVALID with a message that says what to do. */
int cli_parse(struct cli *cli, int argc, char **argv, struct error *err);

/* A parameter's name as options have it: clip-skip. Returns out. */
const char *cli_option_name(const char *name, char *out, size_t size);

/* The value of one of the verb's own options, NULL when it was not given. */
const char *cli_value(const struct cli *cli, const char *name);

/* The same as a whole number between min and max; *value stays when it was not given. */
int cli_number(const struct cli *cli, const char *name, long min, long max, long *value,
	       struct error *err);

/* --limit, and without it 50 where a person reads and `most` where a program does, which wants all. */
#define CLI_LIMIT_OPTION {"limit", 'l', "N", "at most so many (50 on a terminal, else all)"}
int cli_limit(const struct cli *cli, long most, long *limit, struct error *err);

/* Makes the first argument the prompt among the job's fields. */
int cli_prompt(struct cli *cli, struct error *err);

/* A folder that is there, or a path that ends in '/'. */
bool cli_is_folder(const char *path);

/* Whether a file could be written to output: asked before hours are spent on it. A path that
 * ends in '/' is a folder that will be made; NULL is the present folder. */
int cli_check_output(const char *output, struct error *err);

/* Prints "sumi: message" (or, with --json, {"error": …}) on stderr; returns the exit code
 * that fits the status. */
int cli_error(const struct cli *cli, const struct error *err);

/* The queue that the configuration names, or the daemon's private one. The message says how
 * to start a daemon when there is none. The caller closes it. */
int cli_queue(struct cli *cli, struct queue **out, struct error *err);

/* The store, read only. */
int cli_store(struct cli *cli, struct store **out, struct error *err);

/* Ends the program, quietly as any filter ends, when standard output is a pipe that nobody reads
 * any more. */
void cli_check_reader(void);

/* Prints a JSON document and a newline to stdout; releases it. */
int cli_print_json(json_t *value);

/* The help of a verb; of the program with NULL. */
void cli_print_help(FILE *out, const struct verb *verb);

#endif
