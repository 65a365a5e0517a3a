/* Reading the names of results. */
#include "request/result_name.h"

#include <stdlib.h>
#include <string.h>

/* "ID-2" → "ID" and 2. */
static bool cut_number(char *text, long *number)
{
	char *dash = strrchr(text, '-');
	size_t digits = dash ? strspn(dash + 1, "0123456789") : 0;
	if (!digits || digits > 6 || dash[1 + digits] || dash == text)
		return false;
	*number = strtol(dash + 1, NULL, 10);
	*dash = '\0';
	return true;
}

bool result_name_read(const char *name, int way, struct result_name *r)
{
	*r = (struct result_name){.role = "main"};
	if (strlen(name) > RESULT_NAME_MAX)
		return false;
	strcpy(r->job, name);
	if (way == 0)
		return true;
	if (way == 2) {
		if (!cut_number(r->job, &r->number))
			return false;
		char *dash = strrchr(r->job, '-');
		if (!dash || strlen(dash + 1) >= sizeof r->role)
			return false;
		strcpy(r->role, dash + 1);
		*dash = '\0';
	}
	return cut_number(r->job, &r->variant) && r->variant > 0;
}
