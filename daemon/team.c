/* Jobs that make their steps together. */
#include "daemon/team.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/log.h"
#include "daemon/conclude.h"
#include "daemon/seats.h"

struct follower {
	struct work work;
	struct executor x; /* the leader's, with the seat's name and heartbeat */
	struct queue_lease lease;
	bool ended; /* told, and not in the group any more */
};

/* ---- who is in it ----------------------------------------------------------------- */

/* Begins a variant and takes it into the group, unless it does not go together with those that
 * are in it: *joined is false then. */
static int join(struct team *t, struct work *w, int variant, bool *joined, struct error *err)
{
	struct group *group = &t->group;
	struct group_member *m = &group->members[group->count];
	*joined = false;
	int status = work_begin(w, variant, &m->g, &m->seed, err);
	if (status)
		return status;
	*joined = group->count == 0 || w->modality->joins(group->members[0].g, m->g);
	if (!*joined) {
		w->modality->free(m->g);
		return SUMI_OK;
	}
	m->owner = w;
	m->variant = variant;
	group->count++;
	w->group = group;
	return SUMI_OK;
}

static bool is_in(const struct team *t, const struct follower *f)
{
	return group_last(&t->group, &f->work) != NULL;
}

/* At once: others may be able to take what is given back, and its sender waits for an answer. */
static void leave(struct team *t, struct follower *f, enum stop stop)
{
	static const struct error none;
	group_remove(&t->group, &f->work);
	if (stop != STOP_NO)
		conclude(&f->work, SUMI_OK, stop, &none);
	else
		conclude_release(&f->work, "parted");
	f->ended = true;
}

static int claim_follower(struct team *t, struct follower **out, struct error *err)
{
	struct work *leader = t->leader;
	struct seat *seat;
	int status = seats_get(leader->x->seats, t->count, &seat, err);
	if (status)
		return status;
	struct follower *f = calloc(1, sizeof *f);
	if (!f)
		return error_set(err, SUMI_NOMEM, "out of memory");
	status = queue_claim_fellow(leader->x->queue, &seat->self, leader->lease, &f->lease, err);
	if (status) {
		free(f);
		return status;
	}
	f->x = *leader->x;
	f->x.worker = &seat->self;
	f->x.beat = seat->beat;
	f->work = (struct work){
	    .x = &f->x,
	    .lease = &f->lease,
	    .modality = leader->modality,
	    .place = leader->place,
	};
	work_claimed(&f->work);
	crash_point("fellow_claimed");
	*out = f;
	return SUMI_OK;
}

/* The jobs that wait and are like the leader, until one is not. What cannot begin, or has been made
 * before, is given back: as a leader it says so itself. */
static void fill(struct team *t, int64_t most)
{
	struct error err;
	bool joined;
	while (t->group.count < most && t->count < t->leader->lease->waiting &&
	       t->count < GROUP_MAX - 1) {
		struct follower *f = NULL;
		int status = claim_follower(t, &f, &err);
		if (status) {
			if (status != SUMI_NOTFOUND)
				log_warn("team.claim", "error=\"%s\"", err.text);
			return;
		}
		t->followers[t->count++] = f;
		work_find_answer(&f->work);
		if (f->work.answer.count > 0 || join(t, &f->work, 0, &joined, &err) || !joined) {
			leave(t, f, STOP_NO);
			return;
		}
	}
}

/* The variant that is due, and as many that are not made yet as pay; then other jobs. */
static int form(struct team *t, struct error *err)
{
	struct work *w = t->leader;
	struct error ignored;
	bool joined;
	int status = join(t, w, w->variant.number, &joined, err);
	if (status || !w->modality->most_together || w->alone)
		return status;
	bool others = w->variant.number + 1 < (int)w->lease->job.n || w->lease->waiting > 0;
	int64_t most = w->x->config->batch;
	if (others && most > 1) {
		int pays = w->modality->most_together(t->group.members[0].g);
		most = most < pays ? most : pays;
	}
	/* One that cannot begin says so when its turn comes: those before it are made first. */
	for (int k = w->variant.number + 1; k < (int)w->lease->job.n; k++) {
		if (w->lease->variants_done >> k & 1)
			continue;
		if (t->group.count >= most || t->group.count >= GROUP_MAX ||
		    join(t, w, k, &joined, &ignored) || !joined)
			return SUMI_OK;
	}
	/* What joined a job that goes on where it was left off would itself be left off with it. */
	if (t->group.members[0].g->steps_done == 0)
		fill(t, most < GROUP_MAX ? most : GROUP_MAX);
	return SUMI_OK;
}

/* ---- steps ------------------------------------------------------------------------ */

/* What one member lacks, or memory for all of them, must not cost the others their results: the
 * first goes on alone, the leader's other variants begin anew behind it, followers are given back.
 */
static int step(struct team *t, struct error *err)
{
	struct work *w = t->leader;
	int status = group_step(&t->group, err);
	if (!status || t->group.count == 1)
		return status;
	log_warn("group.parted", "id=%s variant=%d together=%d error=\"%s\"", w->lease->id,
		 w->variant.number, t->group.count, err->text);
	w->alone = true;
	group_keep_first(&t->group);
	for (int i = 0; i < t->count; i++)
		if (!t->followers[i]->ended)
			leave(t, t->followers[i], STOP_NO);
	return group_step(&t->group, err);
}

static void followers_stop(struct team *t)
{
	for (int i = 0; i < t->count; i++) {
		struct follower *f = t->followers[i];
		enum stop stop = is_in(t, f) ? work_should_stop(&f->work) : STOP_NO;
		if (stop != STOP_NO)
			leave(t, f, stop);
	}
}

static void followers_stepped(struct team *t, int64_t us)
{
	struct error err;
	for (int i = 0; i < t->count; i++) {
		struct follower *f = t->followers[i];
		int status = is_in(t, f) ? work_stepped(&f->work, us, &err) : SUMI_OK;
		if (!status)
			continue;
		log_warn("team.left", "id=%s error=\"%s\"", f->lease.id, err.text);
		leave(t, f, status == SUMI_LOST ? STOP_LOST : STOP_NO);
	}
}

static int make_steps(struct team *t, enum stop *stop, struct error *err)
{
	struct work *w = t->leader;
	const struct generation *g = group_last(&t->group, w);
	while (g->steps_done < g->steps) {
		*stop = work_should_stop(w);
		if (*stop != STOP_NO)
			return SUMI_OK;
		followers_stop(t);
		int64_t start = clock_mono_us();
		int status = step(t, err);
		int64_t us = clock_mono_us() - start;
		if (!status)
			status = work_stepped(w, us, err);
		if (status == SUMI_LOST) {
			*stop = STOP_LOST;
			return SUMI_OK;
		}
		if (status)
			return status;
		followers_stepped(t, us);
		g = group_last(&t->group, w);
	}
	*stop = work_should_stop(w);
	/* Everything but the decoding is done: only an order to throw the job away counts. */
	if (*stop != STOP_CANCEL && *stop != STOP_LOST)
		*stop = STOP_NO;
	return SUMI_OK;
}

/* ---- results ---------------------------------------------------------------------- */

static int finish_variants(struct team *t, struct work *w, enum stop *stop, struct error *err)
{
	int status = SUMI_OK, told = 0;
	for (int i = 0; i < t->group.count && !status; i++) {
		if (t->group.members[i].owner != w)
			continue;
		if (told++ > 0 &&
		    ((*stop = work_should_stop(w)) == STOP_CANCEL || *stop == STOP_LOST))
			return SUMI_OK;
		*stop = STOP_NO;
		status = work_finish(w, &t->group.members[i], err);
	}
	return status;
}

/* Decoding the others may take a while: nobody's lease shall end for it. */
static void followers_wait(struct team *t, int from)
{
	for (int i = from; i < t->count; i++) {
		const struct generation *g = group_last(&t->group, &t->followers[i]->work);
		if (g)
			work_report(&t->followers[i]->work, WORK_FIRST_LIMIT_MS, g->steps_done,
				    g->steps);
	}
}

int team_make(struct team *t, enum stop *stop, struct error *err)
{
	struct work *w = t->leader;
	w->variant.steps = 0;
	w->pace.next_preview_ms = 0;
	work_report(w, WORK_FIRST_LIMIT_MS, 0, 0);
	int status = form(t, err);
	if (status)
		goto done;
	crash_point("begun");
	log_debug("steps.begin", "id=%s variant=%d together=%d us=%lld", w->lease->id, w->variant.number,
		  t->group.count, (long long)clock_mono_us());
	if ((status = make_steps(t, stop, err)) || *stop != STOP_NO)
		goto done;
	followers_wait(t, 0);
	status = finish_variants(t, w, stop, err);
	if (status == SUMI_LOST) {
		*stop = STOP_LOST;
		status = SUMI_OK;
	}
done:
	w->group = NULL;
	group_remove(&t->group, w);
	return status;
}

static enum execute_result conclude_follower(struct team *t, struct follower *f)
{
	struct error err = {0};
	struct work *w = &f->work;
	enum stop stop = work_should_stop(w);
	if (stop != STOP_CANCEL && stop != STOP_LOST)
		stop = STOP_NO;
	int status = stop == STOP_NO ? finish_variants(t, w, &stop, &err) : SUMI_OK;
	if (!status && stop == STOP_NO)
		status = conclude_finish(w, &err);
	return conclude(w, status, stop, &err);
}

static void follower_free(struct follower *f)
{
	queue_lease_clear(&f->lease);
	free(f);
}

enum execute_result team_conclude(struct team *t, enum execute_result result, enum stop stop)
{
	bool leaves = stop == STOP_PREEMPT || stop == STOP_DRAIN;
	for (int i = 0; i < t->count; i++) {
		struct follower *f = t->followers[i];
		const struct generation *g = group_last(&t->group, &f->work);
		followers_wait(t, i);
		if (result == EXECUTE_ENDED && !leaves && g && g->steps_done == g->steps)
			result = conclude_follower(t, f);
		else if (!f->ended)
			leave(t, f, leaves ? stop : STOP_NO);
		group_remove(&t->group, &f->work);
		follower_free(f);
	}
	t->count = 0;
	return result;
}
