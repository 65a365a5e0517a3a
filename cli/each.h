/* One thing done to each of the jobs that a verb is for. */
#ifndef SUMI_CLI_EACH_H
#define SUMI_CLI_EACH_H

#include "cli/select.h"

struct each {
	struct cli *cli;
	struct queue *queue; /* NULL where the rule does not want it */
	struct store *store; /* the same, and where there is none yet */
	json_t *rows;        /* with --json */
	void *context;       /* the verb's own */
};

/* Does it, and tells of it with each_tell(). */
typedef int each_function(struct each *e, const char *id, struct error *err);

struct each_rule {
	struct select_rule select;
	bool queue, store;   /* what the function works with */
	enum store_mode mode;
	each_function *act;
};

/* Chooses the jobs, acts on each, prints; the exit code. Each stands for itself: one that cannot
 * be done is told, and the others are. */
int each_selected(struct cli *cli, const struct each_rule *rule, void *context);

/* "ID word", or a row; more (may be NULL) is stolen: further fields of that row. */
void each_tell(struct each *e, const char *id, const char *word, json_t *more);

#endif
