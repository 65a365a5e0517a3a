/* sumi db: looking after the store. */
#include <string.h>

#include "cli/backup.h"
#include "cli/verbs.h"

static void print_line(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "%s\n", text);
}

static int check(struct cli *cli, struct store_report *report, struct error *err)
{
	struct store *store;
	int status = cli_store(cli, &store, err);
	if (status)
		return status;
	status = store_check(store, true, report, err);
	store_close(store);
	if (!status && cli->json)
		cli_print_json(json_pack("{s:b, s:i, s:i, s:i}", "fine", 1, "jobs", report->jobs,
					 "files", report->artifacts, "inputs", report->blobs));
	else if (!status && !cli->quiet)
		printf("fine: %d jobs, %d files\n", report->jobs,
		       report->artifacts + report->blobs);
	return status;
}

static int vacuum(struct cli *cli, struct store_report *report, struct error *err)
{
	struct store *store;
	struct store_options options = {.dir = cli->config.state_dir, .mode = STORE_WRITE};
	(void)report;
	int status = store_open(&options, &store, err);
	if (status)
		return status;
	status = store_vacuum(store, err);
	store_close(store);
	if (!status && cli->json)
		cli_print_json(json_object());
	return status;
}

static int rebuild(struct cli *cli, struct store_report *report, struct error *err)
{
	char moved[FILES_PATH_MAX];
	struct store_options options = {.dir = cli->config.state_dir, .mode = STORE_WRITE};
	int status = store_rebuild(&options, moved, report, err);
	if (!status && cli->json)
		cli_print_json(json_pack("{s:i, s:i, s:s?}", "jobs", report->jobs, "files",
					 report->artifacts, "old_database",
					 moved[0] ? moved : NULL));
	else if (!status && !cli->quiet)
		printf("brought back %d jobs and %d files%s%s\n", report->jobs, report->artifacts,
		       moved[0] ? "; the old database is " : "", moved);
	return status;
}

static const struct {
	const char *name;
	int (*run)(struct cli *cli, struct store_report *report, struct error *err);
} actions[] = {{"check", check}, {"backup", backup_make}, {"restore", backup_restore}, {"vacuum", vacuum}, {"rebuild", rebuild}};

static int run_db(struct cli *cli)
{
	struct error err = {0};
	struct store_report report = {.line = print_line};
	for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
		if (strcmp(actions[i].name, cli->args[0]) == 0) {
			int status = actions[i].run(cli, &report, &err);
			return status ? cli_error(cli, &err) : EXIT_OK;
		}
	error_set(&err, SUMI_INVALID, "'%.40s' is not check, backup, restore, vacuum or rebuild",
		  cli->args[0]);
	return cli_error(cli, &err);
}

static const struct cli_option db_options[] = {
    {"force", 0, NULL, "restore: move aside what the state folder has, replace the queue"},
    {"without-queue", 0, NULL, "backup: leave the queue out"},
    {NULL, 0, NULL, NULL}};

const struct verb verb_db = {
    .name = "db",
    .arguments = "check|backup DIR|restore DIR|vacuum|rebuild",
    .summary = "check, back up, restore, shrink or rebuild what sumi keeps",
    .options = db_options,
    .min_args = 1,
    .max_args = 2,
    .run = run_db,
    .more = "  check          the database, its search index, every file and its hash, also of those that\n"
	    "                 results were made from\n"
	    "  backup DIR     database, queue and files as one set in a new folder, also while sumid\n"
	    "                 runs; a name that ends in .db: the database alone\n"
	    "  restore DIR    such a set into the state folder (stop sumid first)\n"
	    "  vacuum         give unused room back to the disk\n"
	    "  rebuild        make it anew from the files' own metadata (stop sumid first)\n",
};
