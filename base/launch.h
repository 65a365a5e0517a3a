/* How a daemon is started: the options that all have, those of its own, and the configuration that they name. */
#ifndef SUMI_BASE_LAUNCH_H
#define SUMI_BASE_LAUNCH_H

#include <stdbool.h>

#include "base/config.h"

/* An option of a program's own. letter: its short form, 0 for none. One of the two is set. */
struct launch_option {
	const char *name;
	char letter;
	const char **value; /* it takes a value: points into argv then */
	bool *given;        /* it takes none */
};

struct launch_program {
	const char *name;
	const struct launch_option *own; /* ends with name == NULL */
	void (*print_help)(void);
};

struct launch {
	const char *config_file, *state_dir; /* NULL: not given */
	bool check;                          /* read the configuration, say what is wrong with it, and exit */
};

/* True: go on. Else the program is to end with *status: it has printed its version or its help, or said what is wrong. */
bool launch_parse(const struct launch_program *program, int argc, char **argv, struct launch *out, int *status);

/* The configuration, with --state-dir in the place of its own. */
int launch_config(const struct launch *launch, struct config *out, struct error *err);

#endif
