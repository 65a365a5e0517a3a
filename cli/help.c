/* The help of the program and of its verbs. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

const char *cli_option_name(const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s", name);
	for (char *p = out; *p; p++)
		*p = *p == '_' ? '-' : *p;
	return out;
}

static void print_option(FILE *out, char letter, const char *name, const char *value,
			 const char *help)
{
	char left[224], dashed[32];
	cli_option_name(name, dashed, sizeof dashed);
	snprintf(left, sizeof left, "%c%c%s--%s%s%s", letter ? '-' : ' ', letter ? letter : ' ',
		 letter ? ", " : "  ", dashed, value ? " " : "", value ? value : "");
	fprintf(out, "  %-28s %s\n", left, help);
}

/* What stands for a value: the words of a choice that the modalities know, else its kind. */
static const char *placeholder(const struct param *p, unsigned modalities, char *out, size_t size)
{
	static const char *const by_type[] = {
	    [PARAM_TEXT] = "TEXT",[PARAM_NAME] = "NAME", [PARAM_LABEL] = "NAME", [PARAM_ID] = "ID",
	    [PARAM_WORD] = "WORD",[PARAM_RANK] = "WORD", [PARAM_INT] = "N",
	    [PARAM_SEED] = "N", [PARAM_NUMBER] = "X", [PARAM_AMOUNT] = "X",
	    [PARAM_BOOL] = NULL,[PARAM_TIME] = "TIME", [PARAM_WINDOW] = "FROM-TO",
	    [PARAM_URL] = "URL", [PARAM_ZONE] = "ZONE",[PARAM_EVERY] = "TIME", [PARAM_ID_LIST] = "ID,ID",
	    [PARAM_TEXT_LIST] = "A,B", [PARAM_FILE] = "FILE|ID", [PARAM_OBJECT_LIST] = "A,KEY=X;B",
	};
	size_t used = 0;
	*out = '\0';
	for (const struct param_word *w = p->words; w && w->word; w++)
		if (w->modalities & modalities && used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "|" : "",
						 w->word);
	return used ? out : by_type[p->type];
}

/* Rows with a letter, or with a better word for their value than their type's. */
static const struct {
	const char *name;
	char letter;
	const char *value;
} special[] = {{"n", 'n', NULL},	{"width", 'W', NULL}, {"height", 'H', NULL}};

static void print_param(FILE *out, const struct param *p, unsigned modalities)
{
	char words[144], letter = 0;
	const char *value = placeholder(p, modalities, words, sizeof words);
	for (size_t i = 0; i < sizeof special / sizeof special[0]; i++)
		if (strcmp(special[i].name, p->name) == 0) {
			letter = special[i].letter;
			value = special[i].value ? special[i].value : value;
		}
	print_option(out, letter, p->name, value, p->help);
}

/* The rows of a group that the verb's modalities know; its title before the first. */
static void print_group(FILE *out, enum param_group group, unsigned modalities)
{
	bool titled = false;
	for (const struct param *p = param_table; p->name; p++) {
		/* The verb and its argument say these. */
		if (p->group != group || !(p->modalities & modalities) ||
		    !strcmp(p->name, "modality") || !strcmp(p->name, "prompt"))
			continue;
		if (!titled)
			fprintf(out, "\nOf the job: %s\n", param_group_title(group));
		titled = true;
		print_param(out, p, modalities);
		if (strcmp(p->name, "height") == 0)
			print_option(out, 0, "size", "WxH", "width and height at once: 512x768");
	}
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
	for (int group = 0; v->job_options && group < PARAM_GROUPS; group++)
		print_group(out, (enum param_group)group,
			    v->modalities ? v->modalities : PARAM_ALL);
	fprintf(out, "\nOf every verb:\n");
	for (const struct cli_option *o = cli_common_options; o->name; o++)
		print_option(out, o->letter, o->name, o->value, o->help);
	fprintf(out, "\nA switch is taken back by --no-NAME%s.\n",
		v->job_options ? "; docs/job.schema.json has the limits" : "");
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
