/* Any file by its address. */
#include <string.h>

#include "hub/plan.h"

static bool names(const char *what)
{
	return strncmp(what, "https://", 8) == 0 || strncmp(what, "http://", 7) == 0;
}

static int read_hub(const char *what, struct plan *plan, struct error *err)
{
	char path[512];
	const char *host = strstr(what, "://") + 3, *slash = strrchr(host, '/');
	size_t n = slash ? strcspn(slash + 1, "?#") : 0;
	if (n == 0 || n >= sizeof path)
		return error_set(err, SUMI_INVALID, "%.200s: the address of a file ends in its name",
				 what);
	snprintf(path, sizeof path, "%.*s", (int)n, slash + 1);
	plan_unescape(path);
	for (char *p = path; (p = strpbrk(p, "/\\")); p++)
		*p = '-'; /* a name, not a path */
	plan_set_name(plan, path);
	snprintf(plan->source, sizeof plan->source, "%s", what);
	return plan_add(plan, path, what, 0, NULL, NULL, err);
}

const struct hub hub_address = {names, read_hub};
