/* sumi models verify: whether what is installed is whole. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/model_file.h"
#include "cli/models_file.h"
#include "cli/models_verify.h"
#include "diffusion/catalogue.h"
#include "hub/plan.h"

/* A line of a list that sha256sum could check: "HASH  PATH". */
static int verify_line(const char *folder, char *line, struct error *err)
{
	char path[FILES_PATH_MAX], hash[SHA256_HEX_SIZE];
	line[strcspn(line, "\r\n")] = '\0';
	if (strlen(line) < 67 || strspn(line, "0123456789abcdef") != 64 || line[64] != ' ' ||
	    !plan_path_is_safe(line + 66))
		return error_set(err, SUMI_CORRUPT, "%s: its list of hashes has a line '%.80s'", folder,
				 line);
	int status = files_path(path, err, "%s/%s", folder, line + 66);
	if (!status)
		status = sha256_file(path, hash, err);
	if (!status && memcmp(hash, line, 64) != 0)
		status = error_set(err, SUMI_CORRUPT, "%s: its hash is %s, %.64s when it was fetched", path,
				   hash, line);
	return status;
}

static int verify_list(const char *list, const char *folder, int *files, struct error *err)
{
	char line[FILES_PATH_MAX + 80];
	int status = SUMI_OK;
	FILE *in = fopen(list, "re");
	if (!in)
		return error_errno(err, "%s", list);
	for (*files = 0; !status && fgets(line, sizeof line, in); ++*files)
		status = verify_line(folder, line, err);
	fclose(in);
	return status;
}

/* By the hashes that were noted when it was fetched; where there are none, by its headers, of which nothing is said here. *listed: it was by hashes, of so many files. */
static int verify_one(const char *name, const char *path, int *files, bool *listed, struct error *err)
{
	char list[FILES_PATH_MAX], folder[FILES_PATH_MAX];
	struct stat st;
	int status = files_path(folder, err, "%s", path);
	if (!status && stat(folder, &st) == 0 && S_ISREG(st.st_mode)) {
		char *slash = strrchr(folder, '/');
		if (slash)
			*slash = '\0';
		status = files_path(list, err, "%s/%s.sha256", folder, name);
		if (!status && access(list, F_OK) != 0) /* of a folder's file */
			status = files_path(list, err, "%s/SHA256SUMS", folder);
	} else if (!status) {
		status = files_path(list, err, "%s/SHA256SUMS", folder);
	}
	*listed = !status && access(list, F_OK) == 0;
	return *listed ? verify_list(list, folder, files, err) : status;
}

/* All that are looked at, or the one of a name. */
struct verification {
	const struct cli *cli;
	const char *name; /* NULL: all */
	bool found;
	json_t *rows;
	int (*check)(const char *path, struct error *err); /* the headers */
	int worst;
	struct error error; /* of the worst */
};

static void tell(struct verification *v, const char *name, bool listed, int files, int status, const struct error *one)
{
	if (status) {
		if (v->worst && !v->cli->json)
			fprintf(stderr, "sumi: %s\n", v->error.text);
		v->worst = status;
		v->error = *one;
	} else if (!v->cli->json && !v->cli->quiet && listed) {
		printf("%-16s %d files have the hashes that they came with\n", name, files);
	} else if (!v->cli->json && !v->cli->quiet) {
		printf("%-16s its headers are whole; no hashes were noted\n", name);
	}
	json_array_append_new(v->rows,
			      json_pack("{s:s, s:b, s:s}", "name", name, "whole", !status, "trouble", status ? one->text : ""));
}

static void verify_model(struct verification *v, const struct pack_info *p)
{
	struct error one = {0};
	bool listed;
	int files = 0;
	if (v->name && !model_file_is_called(p->name, v->name))
		return;
	v->found = true;
	int status = verify_one(p->name, p->path, &files, &listed, &one);
	if (!status && !listed)
		status = pack_parts_check_weights(p, &one);
	tell(v, p->name, listed, files, status, &one);
	if (p->unread[0] && !v->cli->quiet)
		fprintf(stderr, "sumi: %s: sumi.json: %s is not known: it has no effect\n", p->name, p->unread);
}

/* What goes on top of models; of two of a name the first counts. */
static int verify_file(void *context, const char *name, const char *path, struct error *err)
{
	struct verification *v = context;
	struct error one = {0};
	bool listed;
	int files = 0;
	(void)err;
	if (v->name && (v->found || !model_file_is_called(name, v->name)))
		return SUMI_OK;
	v->found = true;
	int status = verify_one(name, path, &files, &listed, &one);
	if (!status && !listed)
		status = v->check(path, &one);
	tell(v, name, listed, files, status, &one);
	return SUMI_OK;
}

int models_verify(struct cli *cli, struct error *err)
{
	struct catalogue c;
	struct verification v = {.cli = cli, .name = cli->arg_count > 1 ? cli->args[1] : NULL};
	char path[FILES_PATH_MAX];
	int status = catalogue_list(cli->config.packs, cli->config.state_dir, &c, err);
	if (status)
		return status;
	v.rows = json_array();
	for (int i = 0; i < c.count; i++)
		verify_model(&v, &c.packs[i]);
	for (int i = 0; i < MODELS_KINDS && !status && !(v.name && v.found); i++) {
		v.check = models_kinds[i].check;
		status = models_kinds[i].visit(cli->config.packs, cli->config.state_dir, verify_file, &v, err);
	}
	if (!status && v.name && !v.found) /* says which there are */
		status = catalogue_find(&c, v.name, path, err);
	if (cli->json)
		cli_print_json(json_incref(v.rows));
	json_decref(v.rows);
	catalogue_free(&c);
	if (!status && v.worst)
		*err = v.error;
	return status ? status : v.worst;
}
