/* Named places where a test makes the process die. */
#include "base/crashpoint.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void crash_point(const char *name)
{
	static atomic_long hits;
	const char *wanted = getenv("SUMI_CRASH_AT");
	if (!wanted)
		return;
	size_t length = strcspn(wanted, ":");
	if (strlen(name) != length || memcmp(name, wanted, length) != 0)
		return;
	long count = wanted[length] == ':' ? atol(wanted + length + 1) : 1;
	if (atomic_fetch_add(&hits, 1) + 1 >= count)
		raise(SIGKILL);
}
