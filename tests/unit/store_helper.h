/* A store in a folder of its own for the tests of storage/. */
#ifndef SUMI_TESTS_STORE_HELPER_H
#define SUMI_TESTS_STORE_HELPER_H

#include "storage/storage.h"

#define STORE_TEST_TIME 1790000000000ll /* September 2026 */

/* Makes a new folder. */
void store_test_folder(char out[64]);
/* Removes it with all that is in it. */
void store_test_remove(const char *folder);

/* Opens it without a reserve; fails the test when that does not work. */
struct store *store_test_open(const char *folder, enum store_mode mode);

/* Enters job `id`, created `at` ms after STORE_TEST_TIME, and makes it visible without results:
 * done. Fields that are NULL get a default. */
void store_test_done(struct store *s, const char *id, int64_t at, const struct store_job *fields);

/* Fails the test with err's text unless status is 0. */
void store_test_ok(int status, const struct error *err);

#endif
