/* What a running job shows before it is done: small pictures in its stream of events. */
#ifndef SUMI_DAEMON_SHOW_H
#define SUMI_DAEMON_SHOW_H

#include "modalities/modality.h"
#include "queue/queue.h"

/* Event `frame`: a video's frame has been decoded. sha256: of its file, where frames are files of
 * their own, else NULL. SUMI_LOST when the lease is not ours any more. */
int show_frame(struct queue *queue, const struct queue_lease *lease, int variant,
	       const struct frame *frame, const char *sha256, struct error *err);

#endif
