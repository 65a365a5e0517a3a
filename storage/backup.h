/* The store as a whole, copied to another folder and back. */
#ifndef SUMI_STORAGE_BACKUP_H
#define SUMI_STORAGE_BACKUP_H

#include "storage/storage.h"

/* Copies history, database and every file that its rows name into dir, a new folder of the same
 * shape, while others work with the store; jobs that are deleted meanwhile are left out. Hashes
 * are checked: what is missing or damaged is reported and SUMI_CORRUPT in the end. The folder is
 * synced. */
int store_copy(struct store *s, const char *dir, struct store_report *report, struct error *err);

/* Takes the store out of DIR into DIR/name, as it is: what moves and what does not is told by one
 * table for this and store_move_in(). Files that are not there are left out. The caller holds the
 * daemon's lock. */
int store_move_aside(const char *dir, const char *name, struct error *err);
/* The reverse: from DIR/name, the database last. */
int store_move_in(const char *dir, const char *name, struct error *err);

/* Whether DIR holds a store: a database, or artifact files. */
bool store_exists(const char *dir);

#endif
