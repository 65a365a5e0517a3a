/* What a job in work met that is not its own fault. */
#include "daemon/work.h"

int work_of_store(struct work *w, int status)
{
	/* Not found: the folder for the files is on a disk that is not there. */
	static const int own[] = {SUMI_CORRUPT, SUMI_IO, SUMI_PERM, SUMI_BUSY, SUMI_NOTFOUND};
	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		w->marks.store_failed |= status == own[i];
	return status;
}
