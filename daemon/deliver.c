/* Files that workers of other hosts start from, out of this host's store. */
#include "daemon/deliver.h"

#include <stdlib.h>

#include "base/log.h"
#include "queue/inputs.h"
#include "storage/blobs.h"

static int deliver(struct store *store, struct queue *queue, const char *sha256, struct error *err)
{
	char path[FILES_PATH_MAX], *data;
	size_t size;
	int status = store_blob_find(store, sha256, path, err);
	if (status)
		return status == SUMI_NOTFOUND ? SUMI_OK : status; /* another host may have it */
	status = files_read(path, QUEUE_INPUT_MAX, &data, &size, err);
	if (status)
		return status;
	status = queue_input_send(queue, sha256, data, size, err);
	free(data);
	if (status)
		return status;
	log_info("input.delivered", "sha256=%s bytes=%zu", sha256, size);
	return queue_input_delivered(queue, sha256, err);
}

int deliver_inputs(struct store *store, struct queue *queue, struct error *err)
{
	char names[QUEUE_WANTED_MAX][SHA256_HEX_SIZE];
	size_t count;
	int status = queue_inputs_wanted(queue, names, &count, err);
	for (size_t i = 0; i < count && !status; i++) {
		status = deliver(store, queue, names[i], err);
		/* Asking again would not make it smaller. */
		if (status == SUMI_TOOBIG) {
			log_warn("input.too_large", "sha256=%s error=\"%s\"", names[i], err->text);
			status = queue_input_delivered(queue, names[i], err);
		}
	}
	return status;
}
