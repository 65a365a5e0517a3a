/* A redis-server of a test's own, in a folder that is removed afterwards, and short ways to
 * say what tests of the queue say often. Failing calls fail the test with their message. */
#ifndef SUMI_TESTS_REDIS_FIXTURE_H
#define SUMI_TESTS_REDIS_FIXTURE_H

#include <hiredis/hiredis.h>

#include "queue/private_redis.h"
#include "queue/queue.h"

/* Starts the server (once a program) and empties it. */
void redis_fixture_start(void);
/* Stops it and removes its folder. */
void redis_fixture_stop(void);
/* SIGKILL, and a new server on the same files, which hold all that was answered. */
void redis_fixture_crash(void);
/* The same, with the last bytes of its append-only file lost, as by a power cut. */
void redis_fixture_rewind(size_t bytes);
/* SIGKILL only, and the new server only. */
void redis_fixture_kill(void);
void redis_fixture_revive(void);

const char *redis_fixture_url(void);
pid_t redis_fixture_pid(void);
const char *redis_fixture_dir(void); /* the state directory */

/* A queue with short patience; closed by the caller. */
struct queue *fixture_queue(void);

/* A plain command, as any client would send it; the caller frees the reply. */
redisReply *fixture_command(const char *format, ...);
int64_t fixture_int(const char *format, ...);

/* Fails the test with the error's text unless status is 0. */
#define must(call, err) must_at((call), (err), __FILE__, __LINE__)
void must_at(int status, const struct error *err, const char *file, int line);

/* A worker that does pictures with the model "ink" and those that name none. */
struct queue_worker fixture_worker(const char *name);

/* Submits from JSON and admits. Returns the state the job is in. */
enum job_state fixture_submit(struct queue *q, const char *json);
enum job_state fixture_state(struct queue *q, const char *id);

/* cmocka's fixtures: the server, emptied, and q around each test; behind the last one the server is
 * stopped. */
extern struct queue *q;
int fixture_setup(void **state);
int fixture_teardown(void **state);
int fixture_stop(void **state);

/* A picture's job as JSON; more begins with a comma. */
#define JOB(id, more) "{\"id\":\"" id "\",\"modality\":\"image\",\"prompt\":\"fog\"" more "}"

/* Claims from q and checks that it is this job; NULL: that there is none. */
struct queue_lease fixture_claim(const char *worker, const char *id);
enum queue_finish_result fixture_finish(const struct queue_lease *lease);
/* Worker w1 claims this job and finishes it. */
void fixture_finish_next(const char *id);

#endif
