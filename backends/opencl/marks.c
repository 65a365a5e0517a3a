/* Which commands on their way have ended, as another thread than the one that sends them may ask. One event in a
 * while tells enough, and an event for each command would not be free on every driver. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "backends/opencl/internal.h"

enum { FIRST_STRIDE = 16 /* commands between two marks */ };

struct cl_marks {
	pthread_mutex_t lock;
	cl_event at[CL_MARKS]; /* in the order of the queue */
	int count;
	unsigned stride, since; /* commands between two marks, and since the last */
	uint64_t done;
};

struct cl_marks *cl_marks_new(void)
{
	struct cl_marks *m = calloc(1, sizeof *m);
	if (m)
		pthread_mutex_init(&m->lock, NULL);
	if (m)
		m->stride = FIRST_STRIDE;
	return m;
}

/* Commands end in the order in which they were sent. Called with the lock held. */
static void collect(struct cl_marks *m)
{
	int ended = 0;
	cl_int state = CL_COMPLETE; /* negative: it failed, which is an end too */
	while (ended < m->count &&
	       (clGetEventInfo(m->at[ended], CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL) ||
		state <= CL_COMPLETE))
		clReleaseEvent(m->at[ended++]);
	m->count -= ended;
	m->done += (uint64_t)ended;
	memmove(m->at, m->at + ended, (size_t)m->count * sizeof *m->at);
	if (!m->count)
		m->stride = FIRST_STRIDE;
}

/* Every second one goes: what is far ahead is looked at less closely. */
static void thin(struct cl_marks *m)
{
	for (int i = 0; i < m->count; i++)
		if (i % 2)
			m->at[i / 2] = m->at[i];
		else
			clReleaseEvent(m->at[i]);
	m->count /= 2;
	m->stride *= 2;
}

bool cl_mark_due(struct cl_marks *m)
{
	return m && ++m->since >= m->stride;
}

void cl_mark(struct cl_marks *m, cl_event event)
{
	pthread_mutex_lock(&m->lock);
	collect(m);
	if (m->count == CL_MARKS)
		thin(m);
	m->at[m->count++] = event;
	m->since = 0;
	pthread_mutex_unlock(&m->lock);
}

uint64_t cl_marks_done(struct cl_marks *m)
{
	if (!m)
		return 0;
	pthread_mutex_lock(&m->lock);
	collect(m);
	uint64_t done = m->done;
	pthread_mutex_unlock(&m->lock);
	return done;
}

void cl_marks_free(struct cl_marks *m)
{
	if (!m)
		return;
	for (int i = 0; i < m->count; i++)
		clReleaseEvent(m->at[i]);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
