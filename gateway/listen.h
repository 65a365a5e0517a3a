/* Listening sockets: systemd's, or those of `listen` in sumi.conf. */
#ifndef SUMI_GATEWAY_LISTEN_H
#define SUMI_GATEWAY_LISTEN_H

#include <stdbool.h>

#include "base/status.h"

enum { LISTEN_MAX = 16 };

struct listening {
	int fds[LISTEN_MAX];
	int count;
	bool local; /* none can be reached from other machines */
	char shown[512]; /* where, for the log */
};

/* list: "127.0.0.1:7860 [::1]:7860 unix:/run/sumi.sock", separated by spaces or commas; of no say where
 * systemd hands over sockets. */
int listen_open(const char *list, struct listening *l, struct error *err);

#endif
