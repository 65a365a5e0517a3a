/* Webhooks: a thread of the supervisor that follows the queue's events and tells each ended
 * job's `notify` URL by one HTTP POST of JSON. */
#ifndef SUMI_DAEMON_NOTIFY_H
#define SUMI_DAEMON_NOTIFY_H

#include "queue/queue.h"

struct notifier;

/* Connects on its own. The strings of options must outlive the notifier. secret: what notices are signed with, as
 * standardwebhooks.com says; "": they are not signed. */
int notifier_start(const struct queue_options *options, const char *secret, struct notifier **out,
		   struct error *err);
void notifier_stop(struct notifier *n); /* NULL is fine */

#endif
