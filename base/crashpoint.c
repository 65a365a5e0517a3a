/* Named places where a test makes the process die. */
#include "base/crashpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	if (atomic_fetch_add(&hits, 1) + 1 < count)
		return;
	const char *once = getenv("SUMI_CRASH_ONCE");
	if (once && open(once, O_WRONLY | O_CREAT | O_EXCL, 0600) < 0)
		return;
	while (getenv("SUMI_CRASH_STALL"))
		pause();
	raise(SIGKILL);
}
