/* What a name of a result can mean: the id of a job, or what a file of it is called. */
#ifndef SUMI_REQUEST_RESULT_NAME_H
#define SUMI_REQUEST_RESULT_NAME_H

#include <stdbool.h>

enum {
	RESULT_NAME_WAYS = 3, /* in which it can be read, in the order in which they are tried: as an id, which may
				 end in a number itself, as ID-2, as ID-2-frame-3 */
	RESULT_NAME_MAX = 128 /* bytes */
};

struct result_name {
	char job[RESULT_NAME_MAX + 1], role[32];
	long variant; /* from 1; 0: the job's first result, whatever it is */
	long number;  /* of several with one role; else 0 */
};

/* False where it cannot be read so. */
bool result_name_read(const char *name, int way, struct result_name *r);

#endif
