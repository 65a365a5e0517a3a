/* The words behind a verb: switches, values, job fields, positional arguments. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/nearest.h"
#include "cli/cli.h"
#include "cli/size.h"
#include "cli/when.h"

/* Options of every verb. */
enum { TERMINAL_LIMIT = 50 };

enum common { JSON, QUIET, CONFIG, STATE_DIR, HELP, COMMONS };

const struct cli_option cli_common_options[] = {
    [JSON] = {"json", 0, NULL, "print JSON for programs"},
    [QUIET] = {"quiet", 'q', NULL, "print results only"},
    [CONFIG] = {"config", 'c', "FILE", "read this file instead of sumi.conf"},
    [STATE_DIR] = {"state-dir", 0, "DIR", "the daemon's state directory"},
    [HELP] = {"help", 'h', NULL, "show this help"},
    [COMMONS] = {NULL, 0, NULL, NULL}};

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
	static const char *const letters[][2] = {
	    {"n", "n"}, {"W", "width"}, {"w", "width"}, {"H", "height"}};
	char name[64];
	for (size_t i = 0; !w->name && i < sizeof letters / sizeof letters[0]; i++)
		if (letters[i][0][0] == w->letter)
			return param_find(letters[i][1]);
	if (!w->name || w->name_size >= sizeof name)
		return NULL;
	memcpy(name, w->name, w->name_size);
	name[w->name_size] = '\0';
	return param_named(name);
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

/* "--fast no": the next word is the value of a switch where it can be nothing else. */
static const char *take_switch(const struct cli *cli, const struct word *w, int argc, char **argv,
			       int *at)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on", "off"};
	const char *next = *at + 1 < argc ? argv[*at + 1] : "";
	bool spare = cli->arg_count >= cli->verb->min_args || *at + 2 < argc;
	for (size_t i = 0; !w->value && spare && i < sizeof words / sizeof words[0]; i++)
		if (strcmp(words[i], next) == 0)
			return argv[++*at];
	return w->value ? w->value : "true";
}

/* "$UNSET": another queue, tag or job than the one that was meant, or all of them. */
static int is_empty(const char *shown, struct error *err)
{
	return error_set(err, SUMI_INVALID, "%s is empty: give it a value, or leave it out", shown);
}

static int put_field(struct cli *cli, const struct param *p, const char *text, struct error *err)
{
	json_t *value;
	unsigned modality = cli->verb->modalities; /* whose words there are, as far as is known */
	if (!modality)
		modality = param_modality(json_string_value(json_object_get(cli->fields, "modality")));
	/* What a time means depends on the zone, which may follow: cli_parse() resolves it. */
	int status = param_from_text(when_resolves(p) && *text ? param_find("prompt") : p,
				     modality, text, strlen(text), &value, err);
	if (status)
		return status;
	/* Of --width twice the last counts. */
	if (cli->sized && (status = cli_size_agrees(cli->fields, p, value, err))) {
		json_decref(value);
		return status;
	}
	json_object_del(cli->left_out, p->name);
	json_t *before = json_object_get(cli->fields, p->name);
	if (json_is_array(before) && json_is_array(value)) { /* --tag a --tag b */
		json_array_extend(before, value);
		json_decref(value);
	} else {
		json_object_set_new(cli->fields, p->name, value);
	}
	return SUMI_OK;
}

static int take_field(struct cli *cli, const struct param *p, const struct word *w,
		      const char *shown, int argc, char **argv, int *at, struct error *err)
{
	const char *text = NULL;
	int status = SUMI_OK;
	if (p->type == PARAM_BOOL)
		text = take_switch(cli, w, argc, argv, at);
	else
		status = take_value(w, shown, argc, argv, at, &text, err);
	if (!status && !*text && (p->type != PARAM_TEXT || p->min > 0))
		status = is_empty(shown, err);
	return status ? status : put_field(cli, p, text, err);
}

static int take_common(struct cli *cli, int index, const char *value)
{
	switch ((enum common)index) {
	case JSON:
		cli->json = value != NULL;
		return SUMI_OK;
	case QUIET:
		cli->quiet = value != NULL;
		return SUMI_OK;
	case CONFIG:
		setenv("SUMI_CONFIG", value, 1);
		return SUMI_OK;
	case STATE_DIR:
		setenv("SUMI_STATE_DIR", value, 1);
		return SUMI_OK;
	default:
		return SUMI_CANCELLED; /* help was asked for */
	}
}

static const struct word size_word = {.name = "size", .name_size = 4};

/* What a misspelt long option may have meant, or "". */
static const char *suggestion(const struct cli *cli, const struct word *w, char out[64])
{
	const struct cli_option *const tables[] = {cli->verb->options, cli_common_options};
	char name[64], given[64];
	snprintf(given, sizeof given, "%.*s", (int)(w->name ? w->name_size : 0),
		 w->name ? w->name : "");
	cli_option_name(given, name, sizeof name);
	struct nearest near = nearest_to(name);
	near.shortened = true;
	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
		for (int i = 0; tables[t] && tables[t][i].name; i++)
			nearest_try(&near, tables[t][i].name);
	if (cli->verb->job_options)
		nearest_try(&near, size_word.name);
	snprintf(out, 64, "%s", near.best ? near.best : "");
	for (const struct param *p = param_table; cli->verb->job_options && p->name; p++) {
		char dashed[32];
		cli_option_name(p->name, dashed, sizeof dashed);
		const char *before = near.best;
		nearest_try(&near, dashed);
		if (near.best != before)
			snprintf(out, 64, "%s", dashed);
	}
	return out;
}

static int no_option(const struct cli *cli, const struct word *w, const char *shown,
		     struct error *err)
{
	char near[64];
	suggestion(cli, w, near);
	return error_set(err, SUMI_INVALID, "there is no option %s%s%s%s (sumi %s --help)", shown,
			 *near ? ", did you mean --" : "", near, *near ? "?" : "",
			 cli->verb->name);
}

/* Of two such values neither may go in silence: what is deleted depends on them. */
static bool narrows(const char *name)
{
	static const char *const names[] = {"state", "tag",   "modality", "model",
					    "older", "since", "until"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* One of a table of options that are no job's. A switch may be taken back: --no-json. */
static int take_own(struct cli *cli, const struct cli_option *table, int i, const struct word *w,
		    const char *shown, int argc, char **argv, int *at, struct error *err)
{
	const char *value = "";
	int status = SUMI_OK;
	if (table[i].value) {
		status = take_value(w, shown, argc, argv, at, &value, err);
	} else if (w->value) {
		json_t *on;
		status = param_from_text(param_find("fast"), 0, w->value, strlen(w->value), &on, NULL)
			     ? error_set(err, SUMI_INVALID, "%s takes no value, or true or false",
					 shown)
			     : SUMI_OK;
		value = !status && json_is_true(on) ? "" : NULL;
		if (!status)
			json_decref(on);
	}
	if (!status && table[i].value && !*value)
		status = is_empty(shown, err);
	if (status)
		return status;
	if (table == cli_common_options)
		return take_common(cli, i, value);
	if (narrows(table[i].name) && cli->values[i] && strcmp(cli->values[i], value) != 0)
		return error_set(err, SUMI_INVALID, "--%s is given as '%.40s' and as '%.40s': only one "
						    "at a time",
				 table[i].name, cli->values[i], value);
	cli->values[i] = value;
	return SUMI_OK;
}

/* --no- before the name of a long option: the rest, else false. */
static bool without_no(const struct word *w, struct word *rest)
{
	if (!w->name || w->name_size < 4 || w->value || strncmp(w->name, "no", 2) != 0 ||
	    (w->name[2] != '-' && w->name[2] != '_'))
		return false;
	*rest = (struct word){.name = w->name + 3, .name_size = w->name_size - 3, .value = "false"};
	return true;
}

/* --no-X of what is no switch, where a file may bring it. */
static bool leave_out(struct cli *cli, const struct word *w)
{
	struct word positive;
	const struct param *p = cli->verb->takes_back && without_no(w, &positive) ? find_field(&positive) : NULL;
	if (!p || p->type == PARAM_BOOL)
		return false;
	json_object_del(cli->fields, p->name);
	json_object_set_new(cli->left_out, p->name, json_true());
	return true;
}

/* --no-X of a switch is --X=false. */
static bool is_denied(const struct cli *cli, const struct word *w, struct word *positive)
{
	const struct cli_option *const tables[] = {cli->verb->options, cli_common_options};
	if (!without_no(w, positive))
		return false;
	const struct param *p = cli->verb->job_options ? find_field(positive) : NULL;
	if (p && p->type == PARAM_BOOL)
		return true;
	for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
		int i = find(tables[t], positive);
		if (i >= 0)
			return !tables[t][i].value && strcmp(tables[t][i].name, "help") != 0;
	}
	return false;
}

static int take_option(struct cli *cli, const struct word *w, const char *shown, int argc,
		       char **argv, int *at, struct error *err)
{
	struct word positive;
	int i = find(cli->verb->options, w);
	if (i >= 0)
		return take_own(cli, cli->verb->options, i, w, shown, argc, argv, at, err);
	if (leave_out(cli, w))
		return SUMI_OK;
	if (is_denied(cli, w, &positive))
		return take_option(cli, &positive, shown, argc, argv, at, err);
	const struct param *field = cli->verb->job_options ? find_field(w) : NULL;
	if (field)
		return take_field(cli, field, w, shown, argc, argv, at, err);
	if (cli->verb->job_options && w->name && same_name(size_word.name, w->name, w->name_size)) {
		const char *size;
		int status = take_value(w, shown, argc, argv, at, &size, err);
		if (!status && cli_size(size, cli->fields, err))
			status = error_prefix(err, "%s", shown);
		cli->sized = true;
		return status;
	}
	if ((i = find(cli_common_options, w)) < 0)
		return no_option(cli, w, shown, err);
	/* -h 768: who writes that wants no help. */
	if (w->letter == 'h' && cli->verb->job_options &&
	    (w->value || (*at + 1 < argc && isdigit((unsigned char)argv[*at + 1][0]))))
		return error_set(err, SUMI_INVALID,
				 "-h shows the help: write -H or --height for the height");
	return take_own(cli, cli_common_options, i, w, shown, argc, argv, at, err);
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
	char note[WHEN_NOTE_SIZE] = "";
	int status = SUMI_OK;
	cli->fields = json_object();
	cli->left_out = json_object();
	for (int i = 0; i < argc && !status; i++)
		status = take_word(cli, argc, argv, &i, &plain, err);
	/* What is wrong before --json is told in JSON as well. */
	for (int i = 0; i < argc && status && !cli->json; i++)
		cli->json = strcmp(argv[i], "--json") == 0;
	if (!status)
		status = when_resolve(cli->fields, note, err);
	if (status)
		return status;
	if (*note && !cli->quiet)
		fprintf(stderr, "sumi: note: %s\n", note);
	if (cli->arg_count < v->min_args)
		return error_set(err, SUMI_INVALID, "usage: sumi %s%s%s", v->name,
				 *v->arguments ? " " : "", v->arguments);
	if (v->max_args >= 0 && cli->arg_count > v->max_args)
		return error_set(
		    err, SUMI_INVALID,
		    "'%.60s' is one argument too many: put quotes around texts of several "
		    "words (usage: sumi %s%s%s)",
		    cli->args[v->max_args], v->name, *v->arguments ? " " : "", v->arguments);
	/* Verbs of many ids say themselves which cannot be one. */
	bool names = *v->arguments != '[' && strncmp(v->arguments, "ID…", strlen("ID…")) != 0;
	for (int i = 0; names && i < cli->arg_count; i++)
		if (!cli->args[i][strspn(cli->args[i], " \t\r\n")])
			return error_set(err, SUMI_INVALID,
					 "argument %d is empty, perhaps a variable that is not set (usage: "
					 "sumi %s%s%s)",
					 i + 1, v->name, *v->arguments ? " " : "", v->arguments);
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

int cli_limit(const struct cli *cli, long most, long *limit, struct error *err)
{
	*limit = isatty(STDOUT_FILENO) ? TERMINAL_LIMIT : most;
	return cli_number(cli, "limit", 1, most, limit, err);
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
	struct stat there;
	if (!status && stat(folder, &there) == 0 && !S_ISDIR(there.st_mode))
		status = error_set(err, SUMI_INVALID, "-o %s: %s is a file, not a folder", output, folder);
	if (!status && access(folder, W_OK | X_OK) != 0)
		status = error_set(err, SUMI_INVALID, "nothing can be written to %s: %s", folder,
				   strerror(errno));
	return status;
}
