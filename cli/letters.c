/* sumi dead-letters: what the queue could not take, and jobs that it has put aside. */
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "cli/entry.h"
#include "cli/verbs.h"

enum { LIMIT_MAX = 100000 };

static json_t *letter_json(const struct queue_dead_letter *letter)
{
	char time[CLOCK_TEXT_SIZE];
	json_t *text = json_loads(letter->text, JSON_DECODE_ANY, NULL);
	clock_text(letter->at_ms, time);
	bool valid = utf8_valid(letter->reason, strlen(letter->reason));
	return json_pack("{s:s, s:s, s:s, s:s, s:o}", "time", time, "kind", letter->kind, "id",
			 letter->id, "reason", valid ? letter->reason : "not UTF-8", "text",
			 text ? text : json_null());
}

static void print_letter(const struct queue_dead_letter *letter)
{
	char time[CLOCK_TEXT_SIZE];
	clock_text(letter->at_ms, time);
	printf("%.19s  ", time);
	entry_print_text(letter->kind, SIZE_MAX);
	printf("%*s  ", (int)(8 - strnlen(letter->kind, 8)), "");
	entry_print_text(*letter->id ? letter->id : "-", SIZE_MAX);
	printf("  ");
	entry_print_text(letter->reason, SIZE_MAX);
	putchar('\n');
}

static int run_dead_letters(struct cli *cli)
{
	struct error err = {0};
	struct queue *queue = NULL;
	struct queue_dead_letter *letters = NULL;
	size_t count = 0;
	struct queue_stats stats = {0};
	long limit;
	int status = cli_limit(cli, LIMIT_MAX, &limit, &err);
	if (!status)
		status = cli_queue(cli, &queue, &err);
	if (!status)
		status = queue_dead_letters(queue, (size_t)limit, &letters, &count, &err);
	if (!status && count == (size_t)limit)
		status = queue_stats(queue, &stats, &err);
	queue_close(queue);
	if (status)
		return cli_error(cli, &err);
	json_t *rows = json_array();
	for (size_t i = 0; i < count; i++)
		if (cli->json)
			json_array_append_new(rows, letter_json(&letters[i]));
		else
			print_letter(&letters[i]);
	if (cli->json)
		cli_print_json(json_incref(rows));
	else if (count == 0 && !cli->quiet)
		fprintf(stderr, "nothing there\n");
	if (stats.dead_letters > (int64_t)count && !cli->quiet)
		fprintf(stderr, "%zu of %lld shown; --limit %lld shows all\n", count,
			(long long)stats.dead_letters, (long long)stats.dead_letters);
	json_decref(rows);
	queue_dead_letters_free(letters, count);
	return EXIT_OK;
}

static const struct cli_option dead_letters_options[] = {
    CLI_LIMIT_OPTION, {NULL, 0, NULL, NULL}};

const struct verb verb_dead_letters = {
    .name = "dead-letters",
    .arguments = "[options]",
    .summary = "what could not be read and which jobs were put aside, with the reason",
    .options = dead_letters_options,
    .max_args = 0,
    .run = run_dead_letters,
};
