/* sumi models: those that are installed; adding, removing, checking, describing them. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/model_file.h"
#include "base/utf8.h"
#include "cli/models_devices.h"
#include "cli/models_file.h"
#include "cli/models_verify.h"
#include "cli/pull.h"
#include "cli/verbs.h"
#include "diffusion/adapters.h"
#include "diffusion/catalogue.h"
#include "diffusion/family.h"
#include "diffusion/run.h"
#include "weights/tensors.h"
#include "weights/weights.h"

struct adapter_rows {
	const struct cli *cli;
	json_t *rows;
	const char *kind;
};

static int list_file(void *context, const char *name, const char *path, struct error *err)
{
	(void)err;
	struct adapter_rows *a = context;
	char shown[FILES_PATH_MAX];
	utf8_make_printable(strcpy(shown, path));
	json_array_append_new(a->rows, json_pack("{s:s, s:s, s:s}", "name", name, "kind", a->kind, "path",
						 shown));
	if (!a->cli->json)
		printf("%-16s %-16s %s\n", name, a->kind, shown);
	return SUMI_OK;
}

static int list(struct cli *cli, struct error *err)
{
	struct catalogue c;
	int status = catalogue_read(cli->config.packs, cli->config.state_dir, &c, err);
	if (status)
		return status;
	json_t *rows = json_array();
	for (int i = 0; i < c.count; i++) {
		const struct pack_info *p = &c.packs[i];
		char path[FILES_PATH_MAX];
		utf8_make_printable(strcpy(path, p->path));
		json_array_append_new(
		    rows,
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:f, s:s, s:b, s:s?, s:s?}",
			      "name", p->name, "modality", p->modality, "path", path, "digest",
			      p->digest, "licence", p->licence, "width", p->defaults.width,
			      "height", p->defaults.height, "steps", p->defaults.steps, "cfg_scale",
			      p->defaults.cfg_scale, "sampler", p->defaults.sampler, "fast",
			      (int)p->has_fast, "note", p->note[0] ? p->note : NULL,
			      "unread", p->unread[0] ? p->unread : NULL));
		if (!cli->json)
			printf("%-16s %-6s %4dx%-4d %s%s\n", p->name, p->modality,
			       p->defaults.width, p->defaults.height, path,
			       p->has_fast ? "  (has a fast variant)" : "");
		if (p->note[0] && !cli->quiet)
			fprintf(stderr, "sumi: %s: %s\n", p->name, p->note);
		if (p->unread[0] && !cli->quiet)
			fprintf(stderr, "sumi: %s: sumi.json: %s is not known: it has no effect\n", p->name, p->unread);
	}
	for (int i = 0; i < MODELS_KINDS && !status; i++)
		status = models_kinds[i].visit(cli->config.packs, cli->config.state_dir, list_file,
					 &(struct adapter_rows){cli, rows, models_kinds[i].kind}, err);
	for (int i = 0; i < c.problem_count && !cli->quiet; i++)
		fprintf(stderr, "sumi: left out: %s\n", c.problems[i]);
	if (cli->json)
		cli_print_json(json_incref(rows));
	else if (c.count == 0)
		fprintf(stderr,
			"no model packs: put folders in %s/models or name them with packs = … "
			"in sumi.conf\n",
			cli->config.state_dir);
	json_decref(rows);
	catalogue_free(&c);
	return status;
}

/* ---- add, remove ---- */

static int models_folder(const struct cli *cli, char out[FILES_PATH_MAX], struct error *err)
{
	int status = files_path(out, err, "%s/models", cli->config.state_dir);
	return status ? status : files_make_dirs(out, 0755, err);
}

/* What goes on top of models lies in a folder of its kind. */
static int kind_folder(const struct cli *cli, const char *folder, char out[FILES_PATH_MAX],
		       struct error *err)
{
	int status = files_path(out, err, "%s/models/%s", cli->config.state_dir, folder);
	return status ? status : files_make_dirs(out, 0755, err);
}

/* A rename, or where that crosses file systems a copy that then replaces the original. */
static int move(const char *from, const char *to, struct error *err)
{
	struct stat st;
	if (rename(from, to) == 0)
		return SUMI_OK;
	if (errno != EXDEV || stat(from, &st) != 0)
		return error_errno(err, "%s", from);
	int status = S_ISDIR(st.st_mode) ? files_copy_tree(from, to, err) : files_copy(from, to, err);
	if (status || S_ISDIR(st.st_mode)) {
		if (!status)
			files_remove_tree(from);
		return status;
	}
	return unlink(from) == 0 ? SUMI_OK : error_errno(err, "%s", from);
}

/* What `sumi models` would not list, or not be able to use, is said while somebody looks: a picture, a page of HTML,
 * a download that was cut short, tensors of nothing that is known, a folder of something else. */
static int check_model(const char *path, bool folder, struct error *err)
{
	json_t *about = NULL;
	bool any = false;
	int status = folder ? pack_parts_any(path, &any, err) : models_file_describe(path, &about, err);
	if (!status && folder && !any)
		status = error_set(err, SUMI_INVALID,
				   "%s: holds no model: neither a model_index.json nor parts of one. Name a file in it, or the "
				   "folder in packs of sumi.conf", path);
	const char *kind = json_string_value(json_object_get(about, "kind"));
	if (kind && strcmp(kind, "unknown") == 0)
		status = error_set(err, SUMI_UNSUPPORTED,
				   "%s: its %" JSON_INTEGER_FORMAT " tensors are those of no model that is known (sumi models "
				   "show)", path, json_integer_value(json_object_get(about, "tensors")));
	json_decref(about);
	return status;
}

/* The model that a path would become: its folder's or file's name, without the file's ending. */
static int place_of(const struct cli *cli, const char *from, char to[FILES_PATH_MAX],
		    struct plan *plan, struct error *err)
{
	char models[FILES_PATH_MAX];
	struct stat st;
	if (stat(from, &st) != 0)
		return error_errno(err, "%s", from);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return error_set(err, SUMI_INVALID, "%s: is neither a file nor a folder", from);
	const char *slash = strrchr(from, '/'), *base = slash ? slash + 1 : from;
	const char *end = S_ISREG(st.st_mode) ? strrchr(base, '.') : NULL;
	const char *folder = models_kind_folder(from);
	const char *name = cli_value(cli, "name");
	plan_set_name(plan, base);
	int status = name ? plan_take_name(plan, name, err) : SUMI_OK;
	if (!status)
		status = models_check_folder(from, err);
	if (!status && !folder)
		status = check_model(from, S_ISDIR(st.st_mode), err);
	if (!status)
		status = folder ? kind_folder(cli, folder, models, err) : models_folder(cli, models, err);
	if (!status)
		status = files_path(to, err, "%s/%s%s", models, plan->name, end ? end : "");
	if (!status && access(to, F_OK) == 0)
		status = error_set(err, SUMI_EXISTS, "%s is there already: sumi models remove %s, or "
						     "--name another", to, plan->name);
	return status;
}

/* By a link, copied or moved. */
static int bring(const struct cli *cli, const char *from, const char *to, struct error *err)
{
	struct stat st;
	if (cli_value(cli, "move"))
		return move(from, to, err);
	if (cli_value(cli, "copy") && stat(from, &st) != 0)
		return error_errno(err, "%s", from);
	if (cli_value(cli, "copy"))
		return S_ISDIR(st.st_mode) ? files_copy_tree(from, to, err) : files_copy(from, to, err);
	return symlink(from, to) == 0 ? SUMI_OK : error_errno(err, "%s", to);
}

/* What stands beside a file comes with it: ncnn's NAME.param has its numbers in NAME.bin, and NAME.sumi.json says
 * what a file cannot. */
static int bring_beside(const struct cli *cli, const char *from, const char *to, struct error *err)
{
	static const struct {
		const char *of, *ending; /* NULL: of every file, where it is there */
	} kinds[] = {{".param", ".bin"}, {NULL, ".sumi.json"}};
	const char *dot = strrchr(from, '.'), *slash = strrchr(from, '/');
	struct stat st;
	if (!dot || (slash && dot < slash) || stat(from, &st) != 0 || !S_ISREG(st.st_mode))
		return SUMI_OK;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		char paths[2][FILES_PATH_MAX];
		if (kinds[i].of && strcasecmp(dot, kinds[i].of) != 0)
			continue;
		size_t end = strlen(dot);
		int status = files_path(paths[0], err, "%.*s%s", (int)(dot - from), from, kinds[i].ending);
		if (!status)
			status = files_path(paths[1], err, "%.*s%s", (int)(strlen(to) - end), to, kinds[i].ending);
		if (!status && !kinds[i].of && access(paths[0], F_OK) != 0)
			continue;
		if (!status && access(paths[1], F_OK) == 0)
			status = error_set(err, SUMI_EXISTS, "%s is there already", paths[1]);
		if (status || (status = bring(cli, paths[0], paths[1], err)))
			return status;
	}
	return SUMI_OK;
}

static int add(struct cli *cli, struct error *err)
{
	char from[FILES_PATH_MAX], to[FILES_PATH_MAX];
	struct plan plan = {0};
	bool own = cli_value(cli, "move") || cli_value(cli, "copy");
	if (!*cli->args[1]) /* the present folder, to files_make_absolute() */
		return error_set(err, SUMI_INVALID, "name a file, a folder or an address");
	if (strstr(cli->args[1], "://"))
		return pull_models(cli, &cli->args[1], 1, err);
	if (cli_value(cli, "move") && cli_value(cli, "copy"))
		return error_set(err, SUMI_INVALID, "--move or --copy, not both");
	int status = files_path(from, err, "%s", cli->args[1]);
	for (size_t n = strlen(from); n > 1 && from[n - 1] == '/'; n--)
		from[n - 1] = '\0';
	if (!status)
		status = files_make_absolute(from, err);
	if (!status && adapter_config_path(from, to)) /* what it counts stands beside it: the folder is the LoRA */
		*strrchr(from, '/') = '\0';
	if (!status)
		status = place_of(cli, from, to, &plan, err);
	if (!status)
		status = bring_beside(cli, from, to, err);
	if (!status)
		status = bring(cli, from, to, err);
	if (!status && cli->json)
		cli_print_json(json_pack("{s:s, s:s}", "name", plan.name, "path", to));
	else if (!status && !cli->quiet)
		printf("%s%s%s\n", to, own ? "" : " -> ", own ? "" : from);
	return status;
}

/* Whether an entry of the folder is the model NAME, or what stands beside it. */
static bool belongs(const char *entry, const char *name)
{
	static const char *const beside[] = {".sumi.json", ".sha256"};
	const char *ending = model_file_ending(name); /* of a file that is named by it, no other goes */
	size_t n = ending ? (size_t)(ending - name) : strlen(name);
	size_t length = strlen(entry), cut = 0;
	char own[FILES_PATH_MAX];
	for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++)
		if (length > strlen(beside[i]) && strcasecmp(entry + length - strlen(beside[i]), beside[i]) == 0)
			cut = strlen(beside[i]);
	if (strncmp(entry, name, n) != 0 || files_path(own, NULL, "%.*s", (int)(length - cut), entry))
		return false;
	if (ending)
		return strcmp(entry, name) == 0 || (cut && length - cut == n);
	return model_name_length(own) == n;
}

static int remove_entry(const char *path, struct error *err)
{
	struct stat st;
	if (lstat(path, &st) != 0)
		return error_errno(err, "%s", path);
	if (S_ISDIR(st.st_mode)) {
		files_remove_tree(path);
		return access(path, F_OK) == 0 ? error_set(err, SUMI_IO, "%s: could not be removed whole",
							   path)
					       : SUMI_OK;
	}
	return unlink(path) == 0 ? SUMI_OK : error_errno(err, "%s", path);
}

static int not_ours(const struct cli *cli, const char *name, const char *models, struct error *err)
{
	struct catalogue c;
	char path[FILES_PATH_MAX];
	int status = catalogue_list(cli->config.packs, cli->config.state_dir, &c, err);
	if (status)
		return status;
	status = catalogue_find(&c, name, path, err);
	catalogue_free(&c);
	return status ? status
		      : error_set(err, SUMI_PERM,
				  "%s lies in %s, where sumi put nothing: only what is in %s is removed", name,
				  path, models);
}

/* Whether other files of a folder have the name of one that is named with its ending: what stands beside is theirs too. */
static bool is_shared(const char *folder, const char *name)
{
	const char *ending = model_file_ending(name), *other;
	DIR *dir = ending ? opendir(folder) : NULL;
	bool shared = false;
	for (struct dirent *e; dir && !shared && (e = readdir(dir));)
		shared = (other = model_file_ending(e->d_name)) && other - e->d_name == ending - name &&
			 strncmp(e->d_name, name, (size_t)(ending - name)) == 0 && strcmp(e->d_name, name) != 0;
	if (dir)
		closedir(dir);
	return shared;
}

/* What of a folder is the model NAME, or stands beside it. */
static int remove_from(const char *folder, const char *name, int *removed, struct error *err)
{
	char path[FILES_PATH_MAX];
	struct stat st;
	int status = files_path(path, err, "%s/%s", folder, name);
	if (status || (model_file_ending(name) && lstat(path, &st) != 0))
		return status;
	bool alone = is_shared(folder, name);
	DIR *dir = opendir(folder);
	if (!dir)
		return error_errno(err, "%s", folder);
	struct dirent *e;
	while (!status && (e = readdir(dir))) {
		if (!belongs(e->d_name, name) || (alone && strcmp(e->d_name, name) != 0) ||
		    (status = files_path(path, err, "%s/%s", folder, e->d_name)))
			continue;
		status = remove_entry(path, err);
		++*removed;
	}
	closedir(dir);
	return status;
}

/* Only below the state folder's models; of what is linked there the link. */
static int remove_model(struct cli *cli, struct error *err)
{
	char models[FILES_PATH_MAX], other[FILES_PATH_MAX];
	const char *name = cli->args[1];
	int removed = 0, status = models_folder(cli, models, err);
	if (status)
		return status;
	bool is_folder = false;
	for (int i = 0; i < MODELS_KINDS; i++)
		is_folder = is_folder || strcmp(name, models_kinds[i].folder) == 0;
	if (strchr(name, '/') || name[0] == '.' || !name[0] || is_folder)
		return error_set(err, SUMI_INVALID, "'%.100s' is no name of a model", name);
	status = remove_from(models, name, &removed, err);
	for (int i = 0; i < MODELS_KINDS && !status && removed == 0; i++)
		if (!(status = kind_folder(cli, models_kinds[i].folder, other, err)))
			status = remove_from(other, name, &removed, err);
	if (!status && removed == 0)
		return not_ours(cli, name, models, err);
	if (!status && cli->json)
		cli_print_json(json_pack("{s:s}", "removed", name));
	return status;
}

/* ---- show ---- */

static uint64_t bytes_below(const char *path)
{
	struct stat st;
	char inner[FILES_PATH_MAX];
	uint64_t bytes = 0;
	if (stat(path, &st) != 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return (uint64_t)st.st_size;
	DIR *dir = opendir(path);
	struct dirent *e;
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.' && !files_path(inner, NULL, "%s/%s", path, e->d_name))
			bytes += bytes_below(inner);
	if (dir)
		closedir(dir);
	return bytes;
}

static const char *said(const struct pack_info *p, const char *key)
{
	const char *text = json_string_value(json_object_get(p->manifest, key));
	return text && *text ? text : NULL;
}

/* {"unet": {"bytes", "formats": {"F16": tensors, …}, "file"}, …}, of those with weights. */
static json_t *describe_parts(const struct pack_info *p)
{
	json_t *parts = json_object();
	for (const struct part *const *at = p->family->parts; *at; at++) {
		char path[FILES_PATH_MAX];
		struct weights *w;
		if (!(*at)->weights || pack_part(p, (*at)->folder, path, NULL) || weights_open(path, &w, NULL))
			continue;
		json_t *formats = json_object();
		for (size_t i = 0; i < weights_tensors(w); i++) {
			const char *format = weights_at(w, i)->format;
			json_int_t n = json_integer_value(json_object_get(formats, format));
			json_object_set_new(formats, format, json_integer(n + 1));
		}
		json_object_set_new(parts, (*at)->folder, json_pack("{s:I, s:o, s:s}", "bytes",
								    (json_int_t)weights_bytes(w), "formats",
								    formats, "path", path));
		weights_close(w);
	}
	return parts;
}

static json_t *describe(const struct pack_info *p)
{
	struct run_params usual = {.width = p->defaults.width, .height = p->defaults.height,
				   .frames = 1, .steps = p->defaults.steps,
				   .cfg_scale = p->defaults.cfg_scale};
	json_t *o = json_pack(
	    "{s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:i, s:i, s:i, s:f, s:s, s:s, s:b, s:I, s:I, s:o}", "name",
	    p->name, "modality", p->modality, "family", p->family->name, "path", p->path, "licence", p->licence, "licence_url",
	    said(p, "licence_url"), "source", said(p, "source"), "width", p->defaults.width, "height",
	    p->defaults.height, "steps", p->defaults.steps, "cfg_scale", p->defaults.cfg_scale,
	    "sampler", p->defaults.sampler, "scheduler", p->defaults.schedule, "fast", (int)p->has_fast,
	    "bytes", (json_int_t)bytes_below(p->path), "step_bytes",
	    (json_int_t)run_memory(p, &usual), "parts", describe_parts(p));
	return o;
}

/* "unet         5.1 GB, F16 (PATH)" */
static void print_parts(const json_t *parts)
{
	const char *part, *format;
	json_t *value, *count;
	json_object_foreach((json_t *)parts, part, value)
	{
		char size[32], path[FILES_PATH_MAX];
		plan_size_text((uint64_t)json_integer_value(json_object_get(value, "bytes")), size);
		printf("%-12s %s", part, size);
		json_object_foreach(json_object_get(value, "formats"), format, count)
			printf(", %s", format);
		snprintf(path, sizeof path, "%s", json_string_value(json_object_get(value, "path")));
		utf8_make_printable(path);
		printf(" (%s)\n", path);
	}
}

static void print_description(const json_t *o)
{
	static const char *const bytes[] = {"bytes", "step_bytes"};
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)o, key, value)
	{
		char text[32];
		if (strcmp(key, "parts") == 0 || strcmp(key, "devices") == 0) {
			(*key == 'p' ? print_parts : models_devices_print)(value);
			continue;
		}
		bool is_size = strcmp(key, bytes[0]) == 0 || strcmp(key, bytes[1]) == 0;
		printf("%-12s ", key);
		if (is_size) {
			plan_size_text((uint64_t)json_integer_value(value), text);
			puts(text);
			continue;
		}
		char *dumped = json_is_string(value) ? strdup(json_string_value(value))
						     : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
		if (dumped)
			utf8_make_printable(dumped);
		puts(dumped ? dumped : "");
		free(dumped);
	}
}

static int describe_installed(struct cli *cli, json_t **out, struct error *err)
{
	struct catalogue c;
	char path[FILES_PATH_MAX];
	int status = catalogue_list(cli->config.packs, cli->config.state_dir, &c, err);
	if (status)
		return status;
	status = catalogue_find(&c, cli->args[1], path, err);
	const struct pack_info *p = status ? NULL : catalogue_at(&c, path);
	struct pack_info elsewhere = {0};
	if (!status && !p && !(status = pack_info_read_plain(path, &elsewhere, err)))
		p = &elsewhere;
	*out = status ? NULL : describe(p);
	if (*out)
		json_object_set_new(*out, "devices", models_devices(cli, &c, p));
	pack_info_free(&elsewhere);
	catalogue_free(&c);
	return status;
}

/* Of a file that is a whole model what devices need for it, too. */
static void add_devices(struct cli *cli, const char *file, json_t *o)
{
	struct catalogue c;
	struct pack_info info;
	if (pack_info_read_plain(file, &info, NULL))
		return;
	if (!catalogue_list(cli->config.packs, cli->config.state_dir, &c, NULL)) {
		json_object_set_new(o, "devices", models_devices(cli, &c, &info));
		catalogue_free(&c);
	}
	pack_info_free(&info);
}

struct search {
	const char *name;
	char path[FILES_PATH_MAX]; /* empty: not found yet */
};

static int look_for(void *context, const char *name, const char *path, struct error *err)
{
	struct search *s = context;
	return s->path[0] || !model_file_is_called(name, s->name) ? SUMI_OK : files_path(s->path, err, "%s", path);
}

/* A model, or what goes on top of one. */
static int describe_named(struct cli *cli, json_t **out, struct error *err)
{
	struct search s = {.name = cli->args[1]};
	struct error ignored;
	int status = describe_installed(cli, out, err);
	if (status != SUMI_NOTFOUND)
		return status;
	for (int i = 0; i < MODELS_KINDS && !s.path[0]; i++)
		if (models_kinds[i].visit(cli->config.packs, cli->config.state_dir, look_for, &s, &ignored))
			return status;
	if (!s.path[0])
		return status;
	return models_describe(s.path, out, err);
}

/* By its name; else a file, whatever it holds. */
static int show(struct cli *cli, struct error *err)
{
	struct stat st;
	const char *what = cli->args[1];
	bool file = stat(what, &st) == 0 && S_ISREG(st.st_mode);
	json_t *o = NULL;
	int status = file			     ? models_file_describe(what, &o, err)
		     : models_kind_folder(what) ? models_describe(what, &o, err)
						     : describe_named(cli, &o, err);
	if (status)
		return status;
	if (file)
		add_devices(cli, what, o);
	if (cli->json) {
		cli_print_json(o);
	} else {
		print_description(o);
		json_decref(o);
	}
	return SUMI_OK;
}

/* ---- quantize ---- */

static int quantize(struct cli *cli, struct error *err)
{
	struct catalogue c;
	char path[FILES_PATH_MAX], out[FILES_PATH_MAX];
	const char *type = cli_value(cli, "type");
	struct stat st;
	bool here = *cli->args[1] == '.' || (stat(cli->args[1], &st) == 0 && S_ISREG(st.st_mode));
	int status = catalogue_list(cli->config.packs, cli->config.state_dir, &c, err);
	if (status)
		return status;
	status = here ? files_path(path, err, "%s", cli->args[1])
		      : catalogue_find(&c, cli->args[1], path, err);
	if (!status)
		status = models_quantize(path, type ? type : "q8_0", out, err);
	catalogue_free(&c);
	if (!status && cli->json)
		cli_print_json(json_pack("{s:s}", "path", out));
	else if (!status)
		printf("%s\n", out);
	return status;
}

/* ---- the verb ---- */

static const struct {
	const char *name;
	int min, max; /* words behind it */
	int (*run)(struct cli *cli, struct error *err);
} actions[] = {{"list", 0, 0, list},	 {"add", 1, 1, add},   {"remove", 1, 1, remove_model},
	       {"verify", 0, 1, models_verify}, {"show", 1, 1, show},
	       {"quantize", 1, 1, quantize}};

static int run_models(struct cli *cli)
{
	struct error err = {0};
	const char *name = cli->arg_count > 0 ? cli->args[0] : "list";
	int words = cli->arg_count > 0 ? cli->arg_count - 1 : 0;
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		if (words < actions[i].min || words > actions[i].max) {
			error_set(&err, SUMI_INVALID, "sumi models %s takes %s", name,
				  actions[i].max == 0   ? "nothing"
				  : actions[i].min == 0 ? "one model, or none for all"
							: "one model");
			return cli_error(cli, &err);
		}
		return actions[i].run(cli, &err) ? cli_error(cli, &err) : EXIT_OK;
	}
	error_set(&err, SUMI_INVALID, "'%.40s' is not list, add, remove, verify, show or quantize", name);
	return cli_error(cli, &err);
}

static const struct cli_option models_options[] = {
    {"name", 0, "NAME", "add: what sumi shall call it"},
    {"move", 0, NULL, "add: move it, instead of a link to where it is"},
    {"copy", 0, NULL, "add: copy it, instead of a link to where it is"},
    {"type", 0, "TYPE", "quantize: q8_0 (as given), q6_K, q5_K, q5_1, q5_0, q4_K, q4_1, q4_0, q3_K or q2_K"},
    {NULL, 0, NULL, NULL}};

const struct verb verb_models = {
    .name = "models",
    .arguments = "[add FILE|FOLDER|URL|remove NAME|verify [NAME]|show NAME|FILE|quantize NAME|PATH]",
    .summary = "the models that are installed; adding, removing, checking them",
    .options = models_options,
    .min_args = 0,
    .max_args = 2,
    .run = run_models,
    .more = "  add            a model of this machine by a link (--move, --copy), or by its address\n"
	    "  remove         what add and pull brought; of a link, the link\n"
	    "  verify         hashes of what was pulled, else the headers of the weights\n"
	    "  show           what it is, where it comes from, its licence, parts, sizes, usual settings, what\n"
	    "                 it needs on each device and how fast it is expected to be there; of a\n"
	    "                 file what it holds: a checkpoint, a LoRA, an upscaler …, of which family\n"
	    "  quantize       its UNet in blocks of few bits, as a model NAME-TYPE beside it, in the same folder\n"
	    "sumi pull fetches models of Hugging Face and Civitai.\n",
};
