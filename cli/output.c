/* Where results go. */
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "request/param.h"

bool output_is_standard(const char *output)
{
	return output && strcmp(output, "-") == 0;
}

/* What stands behind the last dot of a file's name; NULL where nothing does, or where the name is
 * not that of a file: a folder, a device, a pipe. */
static const char *suffix_of(const char *output)
{
	struct stat there;
	if (!output || output_is_standard(output) || cli_is_folder(output) ||
	    (stat(output, &there) == 0 && !S_ISREG(there.st_mode)))
		return NULL;
	const char *slash = strrchr(output, '/'), *name = slash ? slash + 1 : output;
	const char *dot = strrchr(name, '.');
	return dot && dot > name && dot[1] ? dot + 1 : NULL;
}

/* The word of the table that a suffix stands for, "WEBP" too; NULL: none. */
static const char *format_word(const char *suffix)
{
	for (const struct param_word *w = param_find("format")->words; w->word; w++)
		if (strcasecmp(w->word, suffix) == 0)
			return w->word;
	return strcasecmp(suffix, "jpg") == 0 ? "jpeg" : NULL;
}

/* Whether a name ends in a format's word, which may have a dot of its own: x.height.png. */
static bool ends_in(const char *output, const char *format)
{
	size_t n = strlen(output), m = strlen(format);
	return n > m + 1 && output[n - m - 1] == '.' && strcasecmp(output + n - m, format) == 0;
}

static int refuse_suffix(const char *output, const char *suffix, const char *modality,
			 struct error *err)
{
	char names[128] = "";
	for (const struct param_word *w = param_find("format")->words; w->word; w++) {
		size_t n = strlen(names);
		if (w->modalities & param_modality(modality))
			snprintf(names + n, sizeof names - n, "%s.%s", n ? ", " : "", w->word);
	}
	return error_set(err, SUMI_INVALID, "-o %s: .%.20s is no format for %s: end the name in %s",
			 output, suffix, modality, names);
}

/* True for a modality that is none: the job is refused for that. */
static bool makes(const char *modality, const char *format)
{
	unsigned mask = param_modality(modality);
	return !mask || param_has_word(param_find("format"), mask, format);
}

static int take_suffix(struct cli *cli, const char *output, const char *modality, struct error *err)
{
	const char *suffix = suffix_of(output);
	const char *given = json_string_value(json_object_get(cli->fields, "format"));
	if (!suffix)
		return SUMI_OK;
	const char *format = format_word(suffix);
	for (const struct param_word *w = param_find("format")->words; w->word; w++)
		if (strchr(w->word, '.') && ends_in(output, w->word) && makes(modality, w->word))
			format = w->word;
	if (!format || !makes(modality, format))
		return refuse_suffix(output, suffix, modality, err);
	if (given && strcmp(given, format) != 0)
		return error_set(err, SUMI_INVALID,
				 "-o %s and --format %s contradict each other: leave one of them out",
				 output, given);
	json_object_set_new(cli->fields, "format", json_string(format));
	return SUMI_OK;
}

/* One stream takes one file. */
static int check_single(const struct cli *cli, const char *modality, const char *format,
			struct error *err)
{
	const char *given = json_string_value(json_object_get(cli->fields, "format"));
	format = given ? given : format;
	json_int_t n = json_integer_value(json_object_get(cli->fields, "n"));
	if (n > 1)
		return error_set(err, SUMI_INVALID,
				 "%lld results do not fit into standard output: give -o a folder",
				 (long long)n);
	if (modality_index(modality) == MODALITY_VIDEO && format && strcmp(format, "png") == 0)
		return error_set(err, SUMI_INVALID,
				 "a video as PNG is a file for each frame: give -o a name or a folder");
	return SUMI_OK;
}

int output_check(const struct cli *cli, struct error *err)
{
	const char *output = cli_value(cli, "output");
	const char *slash = output ? strrchr(output, '/') : NULL, *name = slash ? slash + 1 : output;
	/* A hidden file without an ending, as the system sees it. */
	if (name && *name == '.' && format_word(name + 1))
		return error_set(err, SUMI_INVALID, "-o %s: write a name before %s", output, name);
	if (!output_is_standard(output))
		return cli_check_output(output, err);
	if (cli->json)
		return error_set(err, SUMI_INVALID,
				 "--json and -o - both want standard output: leave one of them out");
	if (isatty(STDOUT_FILENO))
		return error_set(err, SUMI_INVALID,
				 "standard output is a terminal: add '> FILE' or '| PROGRAM', or give "
				 "-o a name");
	return SUMI_OK;
}

int output_prepare(struct cli *cli, const char *modality, const char *format, struct error *err)
{
	const char *output = cli_value(cli, "output");
	if (cli_value(cli, "detach") && output)
		return error_set(err, SUMI_INVALID,
				 "--detach returns before there is a result: leave out -o %s, and "
				 "when it is done: sumi fetch ID -o %s",
				 output, output);
	if (cli_value(cli, "detach"))
		return SUMI_OK;
	int status = output_check(cli, err);
	if (!status && output_is_standard(output))
		status = check_single(cli, modality, format, err);
	return status ? status : take_suffix(cli, output, modality, err);
}

int output_fits(const char *output, const char *format, struct error *err)
{
	const char *suffix = suffix_of(output), *word = suffix ? format_word(suffix) : NULL;
	if (!suffix || (word && strcmp(word, format) == 0) || ends_in(output, format))
		return SUMI_OK;
	return error_set(err, SUMI_INVALID, "-o %s: the result is %s: end the name in .%s", output,
			 format, format);
}

int output_path(const char *output, const struct output_part *p, char out[FILES_PATH_MAX],
		struct error *err)
{
	char variant[16] = "", role[64] = "";
	size_t n = output ? strlen(output) : 0;
	bool folder = !output || cli_is_folder(output), main = strcmp(p->role, "main") == 0;
	if (!main && p->number)
		snprintf(role, sizeof role, "-%.20s-%d", p->role, p->number);
	else if (!main)
		snprintf(role, sizeof role, "-%.20s", p->role);
	if (folder)
		return files_path(out, err, "%s%s%s-%d%s.%s", output ? output : "",
				  output && output[n - 1] != '/' ? "/" : "", p->job, p->variant + 1,
				  role, p->format);
	if (main && p->variant == 0)
		return files_path(out, err, "%s", output);
	if (p->variant > 0)
		snprintf(variant, sizeof variant, "-%d", p->variant + 1);
	const char *suffix = ends_in(output, p->format) ? output + n - strlen(p->format) : suffix_of(output);
	int stem = suffix ? (int)(suffix - 1 - output) : (int)n;
	return files_path(out, err, "%.*s%s%s.%s", stem, output, variant, role, p->format);
}

int output_write(const char *output, const char *path, const void *data, size_t size,
		 struct error *err)
{
	if (!output_is_standard(output))
		return files_write_durable(path, data, size, err);
	errno = EIO;
	if (fwrite(data, 1, size, stdout) != size || fflush(stdout) != 0) {
		int code = errno;
		cli_check_reader();
		errno = code;
		return error_errno(err, "standard output");
	}
	return SUMI_OK;
}
