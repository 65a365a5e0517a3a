/* sumi preprocess: the map of a picture that a network would be shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/files.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "media/picture_file.h"
#include "media/png.h"
#include "media/preprocess.h"

static const struct cli_option preprocess_options[] = {
    {"output", 'o', "FILE", "write here, '-' for standard output; a PNG"},
    {NULL, 0, NULL, NULL}};

static int unknown(const char *name, struct error *err)
{
	char names[200] = "";
	for (const struct preprocessor *p = preprocessors; p->name; p++) {
		size_t n = strlen(names);
		snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", p->name);
	}
	return error_set(err, SUMI_INVALID, "'%.40s' is no map: there are %s", name, names);
}

static int check(const struct cli *cli, const char *output, struct error *err)
{
	const char *dot = output ? strrchr(output, '.') : NULL;
	if (!output)
		return error_set(err, SUMI_INVALID, "say where the map goes: -o FILE.png");
	if (cli_is_folder(output))
		return error_set(err, SUMI_INVALID, "-o %s is a folder: name a file in it", output);
	if (!output_is_standard(output) && (!dot || strcasecmp(dot, ".png") != 0))
		return error_set(err, SUMI_INVALID, "-o %s: maps are PNG files", output);
	return output_check(cli, err);
}

static int make_map(const struct preprocessor *p, const char *file, uint8_t **png, size_t *size,
		    struct error *err)
{
	char *data;
	size_t bytes;
	uint8_t *rgb = NULL;
	int width, height, status = files_read(file, PICTURE_FILE_MAX, &data, &bytes, err);
	if (status)
		return status;
	status = picture_decode(data, bytes, file, &rgb, &width, &height, err);
	free(data);
	if (status)
		return status;
	uint8_t *map = malloc((size_t)width * (size_t)height * 3);
	status = map ? preprocess(p, rgb, width, height, NULL, map, err)
		     : error_set(err, SUMI_NOMEM, "%s: no memory for its map", file);
	if (!status)
		status = png_encode(map, width, height, NULL, png, size, err);
	free(map);
	free(rgb);
	return status;
}

static int run_preprocess(struct cli *cli)
{
	struct error err = {0};
	uint8_t *png = NULL;
	size_t size;
	const char *output = cli_value(cli, "output");
	const struct preprocessor *p = preprocessor_find(cli->args[0]);
	int status = p ? check(cli, output, &err) : unknown(cli->args[0], &err);
	if (!status)
		status = make_map(p, cli->args[1], &png, &size, &err);
	if (!status)
		status = output_write(output, output, png, size, &err);
	free(png);
	if (status)
		return cli_error(cli, &err);
	if (cli->json && !output_is_standard(output))
		cli_print_json(json_pack("{s:s, s:s, s:I}", "path", output, "map", p->name, "bytes",
					 (json_int_t)size));
	return EXIT_OK;
}

const struct verb verb_preprocess = {
    .name = "preprocess",
    .arguments = "MAP FILE -o OUT.png",
    .summary = "the map of a picture that a network is shown",
    .options = preprocess_options,
    .min_args = 2,
    .max_args = 2,
    .run = run_preprocess,
    .more = "  canny       edges, white on black\n"
	    "  lineart     dark lines, white on black\n"
	    "  scribble    strokes, white on black\n"
	    "  luminance   brightness without colour\n"
	    "  blur        without detail, for tile networks\n"
	    "It is made as for a job's control of that kind, in the picture's own size.\n",
};
