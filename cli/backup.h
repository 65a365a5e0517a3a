/* sumi db backup and restore: database, queue and files as one set. */
#ifndef SUMI_CLI_BACKUP_H
#define SUMI_CLI_BACKUP_H

#include "cli/cli.h"

/* Into a new folder (or, for a name that ends in .db, the database alone into a new file). */
int backup_make(struct cli *cli, struct store_report *report, struct error *err);

/* Out of such a folder into the state folder; --force moves aside what is there. */
int backup_restore(struct cli *cli, struct store_report *report, struct error *err);

#endif
