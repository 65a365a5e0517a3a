/* A store in a folder of its own for the tests of storage/. */
#ifndef SUMI_TESTS_STORE_HELPER_H
#define SUMI_TESTS_STORE_HELPER_H

#include "storage/storage.h"

#define STORE_TEST_TIME 1790000000000ll /* September 2026 */

/* Makes a new folder. */
void store_test_folder(char out[64]);
/* Removes it with all that is in it. */
void store_test_remove(const char *folder);

/* cmocka's fixtures: a new folder around each test, named by store_test_dir. */
extern char store_test_dir[64];
int store_test_setup(void **state);
int store_test_teardown(void **state);

/* Opens it without a reserve; fails the test when that does not work. */
struct store *store_test_open(const char *folder, enum store_mode mode);

/* The same in store_test_dir, for writing. */
struct store *store_test_begin(void);

/* What opening store_test_dir says. */
int store_test_try(enum store_mode mode, struct error *err);

/* SQL past the store, on the file in store_test_dir itself. */
void store_test_sql(const char *sql);

/* Fails the test unless the job is in this state. */
void store_test_state(struct store *s, const char *id, const char *want);

/* How many jobs are listed, at most 1,000; how many a search finds. */
size_t store_test_visible(struct store *s);
size_t store_test_found(struct store *s, const char *text);

/* Enters job `id`, created `at` ms after STORE_TEST_TIME, and makes it visible without results:
 * done. Fields that are NULL get a default. */
void store_test_done(struct store *s, const char *id, int64_t at, const struct store_job *fields);

/* Fails the test with err's text unless status is 0. */
void store_test_ok(int status, const struct error *err);

#endif
