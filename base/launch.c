#include "base/launch.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/files.h"

enum { OWN_MAX = 8, COMMON = 5, FIRST = 256 };

/* Option number i of all: the common ones, then the program's. */
static struct launch_option option_at(const struct launch_program *p, struct launch *out, bool *version, bool *help,
				      size_t i)
{
	const struct launch_option common[COMMON] = {{"config", 'c', &out->config_file, NULL},
						     {"state-dir", 's', &out->state_dir, NULL},
						     {"check", 0, NULL, &out->check},
						     {"version", 0, NULL, version},
						     {"help", 'h', NULL, help}};
	return i < COMMON ? common[i] : p->own[i - COMMON];
}

bool launch_parse(const struct launch_program *p, int argc, char **argv, struct launch *out, int *status)
{
	struct launch_option all[COMMON + OWN_MAX + 1];
	struct option longs[COMMON + OWN_MAX + 1] = {{0}};
	char letters[2 * (COMMON + OWN_MAX) + 1] = "";
	bool version = false, help = false;
	size_t count = 0;
	*out = (struct launch){0};
	*status = 2;
	for (; count < COMMON + OWN_MAX && (all[count] = option_at(p, out, &version, &help, count)).name; count++) {
		int takes = all[count].value ? required_argument : no_argument;
		longs[count] = (struct option){all[count].name, takes, NULL, FIRST + (int)count};
		if (all[count].letter)
			snprintf(letters + strlen(letters), 3, "%c%s", all[count].letter, all[count].value ? ":" : "");
	}
	for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
		size_t i = 0;
		while (i < count && c != FIRST + (int)i && c != all[i].letter)
			i++;
		if (c == '?' || i == count)
			return false;
		if (all[i].value && !*optarg) { /* "$UNSET" */
			fprintf(stderr, "%s: --%s is empty: say what it is, or leave it out\n", p->name, all[i].name);
			return false;
		}
		if (all[i].value)
			*all[i].value = optarg;
		else
			*all[i].given = true;
	}
	if (optind < argc) {
		fprintf(stderr, "%s: '%s' is not an option; %s --help lists them\n", p->name, argv[optind], p->name);
		return false;
	}
	*status = 0;
	if (help)
		p->print_help();
	else if (version)
		printf("%s %s\n", p->name, SUMI_VERSION);
	return !help && !version;
}

int launch_config(const struct launch *launch, struct config *out, struct error *err)
{
	int status = config_load(launch->config_file, out, err);
	return !status && launch->state_dir ? files_path(out->state_dir, err, "%s", launch->state_dir) : status;
}
