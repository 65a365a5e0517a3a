/* The words behind a verb: switches, values, job fields, positional arguments. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

/* Options of every verb. */
static const struct cli_option common[] = {
    {"json", 0, NULL, "print JSON for programs"},
    {"quiet", 'q', NULL, "print results only"},
    {"config", 'c', "FILE", "read this file instead of sumi.conf"},
    {"state-dir", 0, "DIR", "the daemon's state directory"},
    {"help", 'h', NULL, "show this help"},
    {NULL, 0, NULL, NULL}};

struct word {
	const char *name; /* of a long option, without dashes; NULL for a short one */
	size_t name_size;
	char letter;
	const char *value; /* behind '=', or NULL */
};

static bool same_name(const char *option, const char *given, size_t size)
{
	/* --cfg_scale is as good as --cfg-scale */
	if (strlen(option) != size)
		return false;
	for (size_t i = 0; i < size; i++)
		if (option[i] != given[i] && !((option[i] == '-' || option[i] == '_') &&
					       (given[i] == '-' || given[i] == '_')))
			return false;
	return true;
}

static int find(const struct cli_option *table, const struct word *w)
{
	for (int i = 0; table && table[i].name; i++)
		if (w->name ? same_name(table[i].name, w->name, w->name_size)
			    : table[i].letter == w->letter)
			return i;
	return -1;
}

static const struct param *find_field(const struct word *w)
{
	if (!w->name)
		return w->letter == 'n' ? param_find("n") : NULL;
	for (const struct param *p = param_table; p->name; p++)
		if (same_name(p->name, w->name, w->name_size))
			return p;
	return NULL;
}

/* The value behind '=' or in the next word. */
static int take_value(const struct word *w, const char *shown, int argc, char **argv, int *at,
		      const char **value, struct error *err)
{
	*value = w->value;
	if (!*value && *at + 1 < argc)
		*value = argv[++*at];
	if (!*value)
		return error_set(err, SUMI_INVALID, "%s needs a value", shown);
	return SUMI_OK;
}

static int take_field(struct cli *cli, const struct param *p, const struct word *w,
		      const char *shown, int argc, char **argv, int *at, struct error *err)
{
	const char *text = "true";
	json_t *value;
	int status = SUMI_OK;
	if (p->type != PARAM_BOOL || w->value)
		status = take_value(w, shown, argc, argv, at, &text, err);
	if (!status)
		status = param_from_text(p, text, strlen(text), &value, err);
	if (status)
		return status;
	/* The daemon has another working directory. */
	char *path = strcmp(p->name, "init") == 0 ? realpath(text, NULL) : NULL;
	if (path)
		json_string_set(value, path);
	free(path);
	json_t *before = json_object_get(cli->fields, p->name);
	if (json_is_array(before) && json_is_array(value)) { /* --tag a --tag b */
		json_array_extend(before, value);
		json_decref(value);
	} else {
		json_object_set_new(cli->fields, p->name, value);
	}
	return SUMI_OK;
}

static int take_common(struct cli *cli, int index, const char *value)
{
	if (index == 0)
		cli->json = true;
	else if (index == 1)
		cli->quiet = true;
	else if (index == 2)
		setenv("SUMI_CONFIG", value, 1);
	else if (index == 3)
		setenv("SUMI_STATE_DIR", value, 1);
	else
		return SUMI_CANCELLED; /* help was asked for */
	return SUMI_OK;
}

static int take_option(struct cli *cli, const struct word *w, const char *shown, int argc,
		       char **argv, int *at, struct error *err)
{
	const struct cli_option *table = cli->verb->options;
	const struct param *field = cli->verb->job_options ? find_field(w) : NULL;
	const char *value = "";
	int status, i = find(table, w);
	if (i < 0 && field)
		return take_field(cli, field, w, shown, argc, argv, at, err);
	bool own = i >= 0;
	if (!own) {
		table = common;
		i = find(common, w);
	}
	if (i < 0) {
		char name[64];
		snprintf(name, sizeof name, "%.*s", (int)(w->name ? w->name_size : 0),
			 w->name ? w->name : "");
		for (char *p = name; *p; p++)
			if (*p == '-')
				*p = '_';
		const char *near = cli->verb->job_options ? param_nearest(name) : NULL;
		return error_set(err, SUMI_INVALID, "there is no option %s%s%s%s (sumi %s --help)",
				 shown, near ? ", did you mean --" : "", near ? near : "",
				 near ? "?" : "", cli->verb->name);
	}
	if (table[i].value) {
		status = take_value(w, shown, argc, argv, at, &value, err);
		if (status)
			return status;
	} else if (w->value) {
		return error_set(err, SUMI_INVALID, "%s takes no value", shown);
	}
	if (!own)
		return take_common(cli, i, value);
	cli->values[i] = value;
	return SUMI_OK;
}

static int take_word(struct cli *cli, int argc, char **argv, int *at, bool *plain,
		     struct error *err)
{
	const char *text = argv[*at];
	char shown[80];
	snprintf(shown, sizeof shown, "%.*s", (int)strcspn(text, "="), text);
	if (!*plain && strcmp(text, "--") == 0) {
		*plain = true;
		return SUMI_OK;
	}
	if (!*plain && strncmp(text, "--", 2) == 0) {
		struct word w = {.name = text + 2, .name_size = strcspn(text + 2, "=")};
		w.value = w.name[w.name_size] ? w.name + w.name_size + 1 : NULL;
		return take_option(cli, &w, shown, argc, argv, at, err);
	}
	if (!*plain && text[0] == '-' && text[1]) {
		struct word w = {.letter = text[1]};
		w.value = text[2] == '=' ? text + 3 : text[2] ? text + 2 : NULL;
		return take_option(cli, &w, shown, argc, argv, at, err);
	}
	if (cli->arg_count == (int)(sizeof cli->args / sizeof cli->args[0]))
		return error_set(err, SUMI_TOOBIG, "too many arguments");
	cli->args[cli->arg_count++] = text;
	return SUMI_OK;
}

int cli_parse(struct cli *cli, int argc, char **argv, struct error *err)
{
	const struct verb *v = cli->verb;
	bool plain = false;
	int status = SUMI_OK;
	cli->fields = json_object();
	for (int i = 0; i < argc && !status; i++)
		status = take_word(cli, argc, argv, &i, &plain, err);
	/* What is wrong before --json is told in JSON as well. */
	for (int i = 0; i < argc && status && !cli->json; i++)
		cli->json = strcmp(argv[i], "--json") == 0;
	if (status)
		return status;
	if (cli->arg_count < v->min_args)
		return error_set(err, SUMI_INVALID, "usage: sumi %s%s%s", v->name,
				 *v->arguments ? " " : "", v->arguments);
	if (v->max_args >= 0 && cli->arg_count > v->max_args)
		return error_set(
		    err, SUMI_INVALID,
		    "'%.60s' is one argument too many: put quotes around texts of several "
		    "words (usage: sumi %s%s%s)",
		    cli->args[v->max_args], v->name, *v->arguments ? " " : "", v->arguments);
	return SUMI_OK;
}

const char *cli_value(const struct cli *cli, const char *name)
{
	for (int i = 0; cli->verb->options && cli->verb->options[i].name; i++)
		if (strcmp(cli->verb->options[i].name, name) == 0)
			return cli->values[i];
	return NULL;
}

int cli_number(const struct cli *cli, const char *name, long min, long max, long *value,
	       struct error *err)
{
	const char *text = cli_value(cli, name);
	if (!text)
		return SUMI_OK;
	char *end;
	long v = strtol(text, &end, 10);
	if (end == text || *end || v < min || v > max)
		return error_set(err, SUMI_INVALID, "--%s is '%.40s': it must be %ld to %ld", name,
				 text, min, max);
	*value = v;
	return SUMI_OK;
}

int cli_prompt(struct cli *cli, struct error *err)
{
	if (cli->arg_count == 0)
		return SUMI_OK;
	json_t *prompt = json_string(cli->args[0]);
	if (!prompt)
		return error_set(err, SUMI_INVALID, "the prompt is not valid UTF-8");
	json_object_set_new(cli->fields, "prompt", prompt);
	return SUMI_OK;
}

bool cli_is_folder(const char *path)
{
	struct stat there;
	size_t n = strlen(path);
	return (n && path[n - 1] == '/') || (stat(path, &there) == 0 && S_ISDIR(there.st_mode));
}

int cli_check_output(const char *output, struct error *err)
{
	char folder[FILES_PATH_MAX];
	const char *slash = output ? strrchr(output, '/') : NULL;
	int length = slash && slash > output ? (int)(slash - output) : 1;
	if (output && !*output)
		return error_set(err, SUMI_INVALID, "-o needs the name of a file or a folder");
	if (slash && !slash[1])
		return SUMI_OK;
	int status = output && cli_is_folder(output)
			 ? files_path(folder, err, "%s", output)
			 : files_path(folder, err, "%.*s", length, slash ? output : ".");
	if (!status && access(folder, W_OK | X_OK) != 0)
		status = error_set(err, SUMI_INVALID, "nothing can be written to %s: %s", folder,
				   strerror(errno));
	return status;
}

static void print_option(FILE *out, char letter, const char *name, const char *value,
			 const char *help)
{
	char left[64];
	snprintf(left, sizeof left, "%c%c%s--%s%s%s", letter ? '-' : ' ', letter ? letter : ' ',
		 letter ? ", " : "  ", name, value ? " " : "", value ? value : "");
	for (char *p = left; *p; p++)
		if (*p == '_')
			*p = '-';
	fprintf(out, "  %-28s %s\n", left, help);
}

static const char *placeholder(const struct param *p)
{
	static const char *const by_type[] = {
	    [PARAM_TEXT] = "TEXT",      [PARAM_NAME] = "NAME",     [PARAM_ID] = "ID",
	    [PARAM_WORD] = "WORD",      [PARAM_RANK] = "WORD",     [PARAM_INT] = "N",
	    [PARAM_NUMBER] = "X",       [PARAM_BOOL] = NULL,       [PARAM_TIME] = "TIME",
	    [PARAM_WINDOW] = "FROM-TO", [PARAM_ZONE] = "ZONE",     [PARAM_EVERY] = "TIME",
	    [PARAM_ID_LIST] = "ID,ID",  [PARAM_TEXT_LIST] = "A,B",
	};
	return by_type[p->type];
}

static void print_verb_help(FILE *out, const struct verb *v)
{
	fprintf(out, "usage: sumi %s %s\n\n%s\n", v->name, v->arguments, v->summary);
	if (v->more)
		fprintf(out, "\n%s", v->more);
	if (v->options) {
		fprintf(out, "\nOptions:\n");
		for (const struct cli_option *o = v->options; o->name; o++)
			print_option(out, o->letter, o->name, o->value, o->help);
	}
	if (v->job_options) {
		fprintf(out, "\nOf the job (docs/job.schema.json has the limits):\n");
		for (const struct param *p = param_table; p->name; p++)
			if (strcmp(p->name, "modality") != 0 && strcmp(p->name, "prompt") != 0)
				print_option(out, strcmp(p->name, "n") == 0 ? 'n' : 0, p->name,
					     placeholder(p), p->help);
	}
	fprintf(out, "\nOf every verb:\n");
	for (const struct cli_option *o = common; o->name; o++)
		print_option(out, o->letter, o->name, o->value, o->help);
}

void cli_print_help(FILE *out, const struct verb *verb)
{
	if (verb) {
		print_verb_help(out, verb);
		return;
	}
	fprintf(out, "usage: sumi VERB [arguments] [options]\n\n");
	for (const struct verb *const *v = verb_table; *v; v++)
		fprintf(out, "  %-10s %s\n", (*v)->name, (*v)->summary);
	fprintf(out, "\nsumi VERB --help says more; man sumi has everything.\n");
}
