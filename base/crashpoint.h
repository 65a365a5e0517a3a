/* Named places where a test makes the process die as a power cut would: between every
 * two durable actions of storage and daemon. */
#ifndef SUMI_BASE_CRASHPOINT_H
#define SUMI_BASE_CRASHPOINT_H

/* With SUMI_CRASH_AT=name in the environment, the first call with that name kills this
 * process with SIGKILL; SUMI_CRASH_AT=name:3 the third. With SUMI_CRASH_ONCE=file only if
 * that file does not exist yet (it is made), so that of a daemon's workers, which are
 * replaced when they die, one dies once. With SUMI_CRASH_STALL that thread goes no further, and the
 * others live. Otherwise nothing happens. */
void crash_point(const char *name);

#endif
