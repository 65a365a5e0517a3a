/* An allocator that fails once, at the n-th allocation of this process's own code: SQLite's way of
 * testing what happens when memory runs out. The test's program is linked with --wrap for malloc()
 * and its sisters (see the Makefile). Libraries keep their own: jansson's reader drops a character,
 * or ends the process, where one of its allocations fails. */
#ifndef SUMI_TESTS_FAILING_MEMORY_H
#define SUMI_TESTS_FAILING_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* One attempt at what is tested: SUMI_OK, or an error with a message. Its results are compared by
 * the function itself: it fails the test where a success gives something else than the first. */
typedef int failing_function(void *context, struct error *err);

/* Calls f once with all the memory there is, then with the n-th allocation failing, for n = 1, 1 +
 * stride … until f gets by without meeting it. Fails the test where f fails without SUMI_NOMEM's
 * kind of message, or leaves anything allocated. Returns the number of allocations of the first
 * call. */
size_t failing_loop(const char *name, size_t stride, failing_function *f, void *context);

#endif
