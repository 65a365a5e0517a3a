/* Jobs that make their steps together: who is asked to join, who leaves when, what each of them
 * costs the others. Queue, store and model are stand-ins that write down what they are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/conclude.h"
#include "daemon/seats.h"
#include "daemon/team.h"
#include "check.h"

enum { JOBS = 5, STEPS = 4 };

/* What becomes of a job; jobs[0] is the leader, the others wait behind it. */
static struct fate {
	int shape;      /* jobs of other shapes do not join */
	int steps_done; /* by an earlier attempt */
	bool unbeginable, answered, poison;
	enum stop stop; /* once it has made stop_at steps */
	int stop_at;
	bool lost; /* at its first saved state */
} jobs[JOBS];

struct fake {
	struct generation base;
	const struct fate *fate;
};

static char told[512];   /* the ends, in their order: "b:parted@2 " after two steps in all */
static int steps_made;   /* of the whole group */
static int claims, most; /* questions to the queue; what the device says */
static struct error err;

static const struct fate *fate_of(const struct work *w)
{
	return &jobs[w->lease->id[0] - 'a'];
}

static void tell(const struct work *w, const char *what)
{
	size_t used = strlen(told);
	snprintf(told + used, sizeof told - used, "%s:%s@%d ", w->lease->id, what, steps_made);
}

/* ---- the model --------------------------------------------------------------------- */

static int make_step(struct generation *const *all, int count, struct error *e)
{
	for (int i = 0; i < count; i++)
		if (((struct fake *)all[i])->fate->poison)
			return error_set(e, SUMI_INTERNAL, "not a number");
	for (int i = 0; i < count; i++)
		all[i]->steps_done++;
	steps_made++;
	return SUMI_OK;
}

static int fake_step(struct generation *g, struct error *e)
{
	return make_step(&g, 1, e);
}

static bool fake_joins(const struct generation *a, const struct generation *b)
{
	return ((const struct fake *)a)->fate->shape == ((const struct fake *)b)->fate->shape;
}

static int fake_most(const struct generation *g)
{
	(void)g;
	return most;
}

static void fake_free(struct generation *g)
{
	free(g);
}

static const struct modality fakes = {
    .step = fake_step,
    .joins = fake_joins,
    .step_together = make_step,
    .most_together = fake_most,
    .free = fake_free,
};

/* ---- a job in work ------------------------------------------------------------------ */

void work_claimed(struct work *w)
{
	(void)w;
}

void work_find_answer(struct work *w)
{
	w->answer.count = fate_of(w)->answered;
}

int work_begin(struct work *w, int variant, struct generation **g, uint64_t *seed, struct error *e)
{
	(void)variant;
	if (fate_of(w)->unbeginable)
		return error_set(e, SUMI_INVALID, "no such picture");
	struct fake *f = calloc(1, sizeof *f);
	assert_non_null(f);
	f->base = (struct generation){.modality = &fakes, .steps = STEPS, .steps_done = fate_of(w)->steps_done};
	f->fate = fate_of(w);
	*g = &f->base;
	*seed = 0;
	return SUMI_OK;
}

void work_report(struct work *w, int64_t limit_ms, int step, int steps)
{
	(void)w, (void)limit_ms, (void)step, (void)steps;
}

enum stop work_should_stop(struct work *w)
{
	return steps_made >= fate_of(w)->stop_at ? fate_of(w)->stop : STOP_NO;
}

int work_stepped(struct work *w, int64_t us, struct error *e)
{
	(void)us;
	return fate_of(w)->lost ? error_set(e, SUMI_LOST, "lost") : SUMI_OK;
}

int work_finish(struct work *w, const struct group_member *m, struct error *e)
{
	(void)e;
	assert_int_equal(m->g->steps_done, STEPS);
	tell(w, "result");
	return SUMI_OK;
}

/* ---- its end ------------------------------------------------------------------------ */

enum execute_result conclude(struct work *w, int status, enum stop stop, const struct error *why)
{
	static const char *const words[] = {"done", "cancel", "preempt", "window", "drain", "lost"};
	(void)why;
	tell(w, status ? "failed" : words[stop]);
	return EXECUTE_ENDED;
}

void conclude_release(struct work *w, const char *reason)
{
	tell(w, reason);
}

int conclude_finish(struct work *w, struct error *e)
{
	(void)w, (void)e;
	return SUMI_OK;
}

/* ---- the queue ---------------------------------------------------------------------- */

int seats_get(struct seats *seats, int number, struct seat **out, struct error *e)
{
	static struct seat all[JOBS];
	(void)seats, (void)e;
	assert_within(number, 0, JOBS - 1);
	*out = &all[number];
	return SUMI_OK;
}

/* The linker puts this in place of queue_claim_fellow(). */
int __wrap_queue_claim_fellow(struct queue *queue, const struct queue_worker *seat,
			      const struct queue_lease *fellow, struct queue_lease *lease,
			      struct error *e);

int __wrap_queue_claim_fellow(struct queue *queue, const struct queue_worker *seat,
			      const struct queue_lease *fellow, struct queue_lease *lease,
			      struct error *e)
{
	(void)queue, (void)seat;
	assert_string_equal(fellow->id, "a");
	if (++claims > fellow->waiting)
		return error_set(e, SUMI_NOTFOUND, "no job to do");
	memset(lease, 0, sizeof *lease);
	lease->id[0] = (char)('a' + claims);
	lease->job.n = 1;
	return SUMI_OK;
}

/* ---- tests -------------------------------------------------------------------------- */

/* Runs the leader, with so many jobs behind it, as execute_job() does; its status. */
static int run(int waiting, int batch)
{
	struct config config = {.batch = batch};
	struct executor x = {.config = &config};
	struct queue_lease lease = {.id = "a", .waiting = waiting, .job = {.n = 1}};
	struct work w = {.x = &x, .lease = &lease, .modality = &fakes};
	struct team team = {.leader = &w};
	enum stop stop = STOP_NO;
	int status = team_make(&team, &stop, &err);
	team_conclude(&team, conclude(&w, status, stop, &err), stop);
	assert_int_equal(team.count, 0);
	assert_int_equal(team.group.count, 0);
	return status;
}

static int set_up(void **state)
{
	(void)state;
	memset(jobs, 0, sizeof jobs);
	told[0] = '\0';
	steps_made = claims = 0;
	most = 16;
	return 0;
}

static void test_alone_asks_nobody(void **state)
{
	(void)state;
	assert_int_equal(run(0, 4), 0);
	assert_int_equal(claims, 0);
	set_up(NULL);
	assert_int_equal(run(3, 1), 0); /* batch = 1 */
	assert_int_equal(claims, 0);
	set_up(NULL);
	most = 1; /* the device gains nothing */
	assert_int_equal(run(3, 4), 0);
	assert_int_equal(claims, 0);
	assert_string_equal(told, "a:result@4 a:done@4 ");
}

static void test_as_many_as_fit(void **state)
{
	(void)state;
	assert_int_equal(run(4, 3), 0);
	assert_int_equal(claims, 2);
	assert_string_equal(told, "a:result@4 a:done@4 b:result@4 b:done@4 c:result@4 c:done@4 ");
}

static void test_what_goes_on_takes_nobody_along(void **state)
{
	(void)state;
	jobs[0].steps_done = 3;
	assert_int_equal(run(3, 4), 0);
	assert_int_equal(claims, 0);
}

/* What does not join is given back before the first step, and nobody behind it is asked. */
static void test_what_does_not_join(void **state)
{
	static const struct fate ways[] = {{.shape = 7}, {.unbeginable = true}, {.answered = true}};
	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		set_up(NULL);
		jobs[2] = ways[i];
		assert_int_equal(run(4, 4), 0);
		assert_int_equal(claims, 2);
		assert_string_equal(told, "c:parted@0 a:result@4 a:done@4 b:result@4 b:done@4 ");
	}
}

static void test_one_leaves(void **state)
{
	static const struct {
		struct fate fate;
		const char *told;
	} ways[] = {
	    {{.stop = STOP_CANCEL, .stop_at = 2}, "b:cancel@2 "},
	    {{.stop = STOP_WINDOW, .stop_at = 2}, "b:window@2 "},
	    {{.lost = true}, "b:lost@1 "},
	};
	char expected[128];
	(void)state;
	for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
		set_up(NULL);
		jobs[1] = ways[i].fate;
		assert_int_equal(run(2, 4), 0);
		snprintf(expected, sizeof expected, "%sa:result@4 a:done@4 c:result@4 c:done@4 ",
			 ways[i].told);
		assert_string_equal(told, expected);
	}
}

static void test_cancelled_at_the_end(void **state)
{
	(void)state;
	jobs[1] = (struct fate){.stop = STOP_CANCEL, .stop_at = STEPS};
	assert_int_equal(run(2, 4), 0);
	assert_string_equal(told, "a:result@4 a:done@4 b:cancel@4 c:result@4 c:done@4 ");
}

static void test_the_first_leaves(void **state)
{
	(void)state;
	jobs[0] = (struct fate){.stop = STOP_PREEMPT, .stop_at = 2};
	assert_int_equal(run(2, 4), 0);
	assert_string_equal(told, "a:preempt@2 b:preempt@2 c:preempt@2 ");
	set_up(NULL);
	for (int i = 0; i < JOBS; i++)
		jobs[i] = (struct fate){.stop = STOP_DRAIN, .stop_at = 1};
	assert_int_equal(run(2, 4), 0);
	assert_string_equal(told, "a:drain@1 b:drain@1 c:drain@1 ");
	set_up(NULL);
	jobs[0] = (struct fate){.stop = STOP_CANCEL, .stop_at = 2};
	assert_int_equal(run(2, 4), 0);
	assert_string_equal(told, "a:cancel@2 b:parted@2 c:parted@2 ");
}

static void test_only_the_culprit_fails(void **state)
{
	(void)state;
	jobs[1].poison = true;
	assert_int_equal(run(2, 4), 0);
	assert_string_equal(told, "b:parted@0 c:parted@0 a:result@4 a:done@4 ");
	set_up(NULL);
	jobs[0].poison = true;
	assert_int_equal(run(2, 4), SUMI_INTERNAL);
	assert_string_equal(told, "b:parted@0 c:parted@0 a:failed@0 ");
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_alone_asks_nobody),
	    TEST(test_as_many_as_fit),
	    TEST(test_what_goes_on_takes_nobody_along),
	    TEST(test_what_does_not_join),
	    TEST(test_one_leaves),
	    TEST(test_cancelled_at_the_end),
	    TEST(test_the_first_leaves),
	    TEST(test_only_the_culprit_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
