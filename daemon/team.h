/* Jobs that make their steps together: the leader, which the worker has claimed, its variants, and
 * where there is room the jobs that wait behind it and are like it. Their results are those that
 * each would have alone, and each has its own lease, progress, saved state and end. */
#ifndef SUMI_DAEMON_TEAM_H
#define SUMI_DAEMON_TEAM_H

#include "daemon/work.h"

struct follower;

struct team {
	struct work *leader; /* borrowed */
	struct group group;
	struct follower *followers[GROUP_MAX - 1]; /* owned, in the order of their claims */
	int count;                                 /* of followers */
};

/* Makes the leader's variant that is due and those that join it, and tells their results; the
 * leader's `variant` is the last of them then. Followers join the last variants, before their first
 * step; one that must stop, or cannot join, is told so or given back at once. */
int team_make(struct team *team, enum stop *stop, struct error *err);

/* When the leader has ended with that result and that stop: tells the results of the followers
 * whose steps are made, gives the others back, and frees them. */
enum execute_result team_conclude(struct team *team, enum execute_result result, enum stop stop);

#endif
