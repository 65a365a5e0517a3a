/* sumi script: a story for sumi film. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "modalities/script.h"
#include "request/param.h"
#include "request/story.h"

enum { THEME_BYTES = 500 };

static const struct cli_option script_options[] = {
    {"output", 'o', "FILE|-", "write it here (default: standard output)"},
    {"scenes", 0, "N", "so many scenes, 1 to 48 (6)"},
    {"seed", 's', "N", "another number, another story (0)"},
    {"language", 0, "en|ru", "of the story; the theme's when not given"},
    {"model", 'm', "NAME", "the model that shall paint it (model_video in sumi.conf)"},
    {NULL, 0, NULL, NULL}};

static int read_options(const struct cli *cli, struct script_order *order, struct error *err)
{
	long scenes = 6;
	const char *seed = cli_value(cli, "seed");
	json_t *value = NULL;
	int status = cli_number(cli, "scenes", 1, SCRIPT_SCENES_MAX, &scenes, err);
	if (!status && seed)
		status = param_from_text(param_find("seed"), 0, seed, strlen(seed), &value, err);
	if (!status && value)
		if (!param_seed(value, &order->seed))
			status = error_set(err, SUMI_INVALID, "--seed is '%.20s': a story's is a number from 0 on, of which it follows", seed);
	json_decref(value);
	order->scenes = (int)scenes;
	order->theme = cli->args[0];
	order->language = cli_value(cli, "language");
	if (!status && order->language && strcmp(order->language, "en") && strcmp(order->language, "ru"))
		status = error_set(err, SUMI_INVALID, "--language is '%.20s', allowed are en and ru", order->language);
	if (!status && (!story_shows(order->theme) || strlen(order->theme) > THEME_BYTES))
		status = error_set(err, SUMI_INVALID, "the theme is a text of 1 to %d bytes: it has %s", THEME_BYTES,
				   story_shows(order->theme) ? "more" : "none that shows");
	if (!status && !utf8_valid(order->theme, strlen(order->theme)))
		status = error_set(err, SUMI_INVALID, "the theme is not UTF-8");
	return status;
}

static int find_packs(struct cli *cli, struct script_order *order, struct error *err)
{
	struct job video = {.modality = modality_names[MODALITY_VIDEO], .model = cli_value(cli, "model")},
		   audio = {.modality = modality_names[MODALITY_AUDIO]};
	order->video = admission_pack(&cli->admission, &video);
	order->audio = admission_pack(&cli->admission, &audio);
	if (order->video)
		return SUMI_OK;
	return video.model ? error_set(err, SUMI_NOTFOUND, "there is no model '%.80s' here: sumi models lists them", video.model)
			   : error_set(err, SUMI_NOTFOUND, "there is no model for videos here: sumi models");
}

static int run_script(struct cli *cli)
{
	struct error err = {0};
	struct script_order order = {.seed = 0};
	const char *output = cli_value(cli, "output");
	char *text = NULL;
	int status = read_options(cli, &order, &err);
	if (!status)
		status = find_packs(cli, &order, &err);
	if (!status)
		status = script_write(&order, &text, &err);
	if (!status)
		status = output_write(output ? output : "-", output, text, strlen(text), &err);
	free(text);
	return status ? cli_error(cli, &err) : EXIT_OK;
}

const struct verb verb_script = {
    .name = "script",
    .arguments = "THEME [options]",
    .summary = "write a story for sumi film about a theme, of what the packs here can paint",
    .options = script_options,
    .min_args = 1,
    .max_args = 1,
    .run = run_script,
    .more = "  sumi script \"an ink drop remembers the sea\" --scenes 6 -o story.txt\n"
	    "It is text to be edited. Words of the theme that no pack here can paint stand in it as\n"
	    "comments. The same theme and seed give the same story.\n",
};
