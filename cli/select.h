/* Which jobs a verb is for: ids, ids from standard input, or what a filter finds. */
#ifndef SUMI_CLI_SELECT_H
#define SUMI_CLI_SELECT_H

#include "cli/cli.h"

/* Rows for the table of a verb's options. */
#define SELECT_OPTIONS                                                                             \
	{"state", 's', "STATE", "those in this state"},                                            \
	    {"tag", 't', "TAG", "those with this tag"},                                            \
	    {"modality", 0, MODALITY_CHOICE, "only those of it"},                       \
	    {"model", 'm', "NAME", "those of this model"},                                         \
	    {"older", 0, "AGE", "those that were sent longer ago: 12h, 90d"},                      \
	    {"all", 0, NULL, "all that the verb is for"},                                          \
	{                                                                                          \
		"dry-run", 0, NULL, "say which, and do nothing"                                    \
	}

#define SELECT_ARGUMENTS "ID…|-|[--state, --tag, --older, --all …]"

enum select_source { SELECT_QUEUE = 1, SELECT_STORE = 2 };

/* What a verb is for, where a filter is given. */
struct select_rule {
	unsigned sources;         /* enum select_source, or both */
	unsigned states, unasked; /* bit of enum job_state: that --state may name; without it */
	bool spare_starred;       /* starred ones are left out and counted */
};
#define SELECT_STATE(name) (1u << JOB_##name)

struct selection {
	char **ids;
	size_t count;
	size_t starred; /* left out */
	bool by_filter; /* nobody has named them: one that is gone meanwhile is no mistake */
};

/* Reads arguments and options of the verb. queue and store may be NULL where the rule has not that
 * source. Each id once. The caller releases *s with select_clear(), also after a failure.
 * SUMI_INVALID says what to give. */
int select_jobs(struct cli *cli, const struct select_rule *rule, struct queue *queue,
		struct store *store, struct selection *s, struct error *err);
void select_clear(struct selection *s);

/* The ids that stand as arguments, of "-" those on standard input, each once; nobody has looked whether there are
 * such jobs. As select_jobs() else. */
int select_named(struct cli *cli, struct selection *s, struct error *err);

/* A state as people write it, in any case; -1 for a word that is none. */
int select_state(const char *word);

/* The value of --modality, NULL when it was not given. SUMI_INVALID for what is none. */
int select_modality(const struct cli *cli, const char **modality, struct error *err);

/* Whether a filter wants a job of the queue; its state is not looked at. */
bool select_wants(const struct store_filter *filter, const struct queue_entry *entry);

#endif
