/* Where a job's init lies. */
#include <string.h>
#include <sys/stat.h>

#include "daemon/work.h"

static int find_result(struct work *w, const char *id, struct error *err)
{
	struct store_artifact *list;
	size_t count;
	int status = store_artifacts(w->x->store, id, false, &list, &count, err);
	if (status)
		return status == SUMI_NOTFOUND ? error_prefix(err, "init") : status;
	if (count == 0)
		status = error_set(err, SUMI_NOTFOUND, "init: job %s has no results here", id);
	else
		status = files_path(w->init_file, err, "%s", list[0].path);
	store_artifacts_free(list, count);
	return status;
}

static int find_path(struct work *w, const char *path, struct error *err)
{
	struct stat st;
	/* A pipe would hold the worker until somebody writes into it. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return error_set(err, SUMI_INVALID, "init: %s is a folder or no plain file", path);
	return files_path(w->init_file, err, "%s", path);
}

int work_find_init(struct work *w, struct request *r, struct error *err)
{
	int status = SUMI_OK;
	if (!r->init)
		return SUMI_OK;
	if (!w->init[0])
		status = strchr(r->init, '/') ? find_path(w, r->init, err)
					      : find_result(w, r->init, err);
	if (!status && !w->init[0])
		status = sha256_file(w->init_file, w->init, err);
	r->init = w->init_file;
	r->init_file = w->init_file;
	return status;
}
