/* How long the stages of an attempt took. */
#include "daemon/timings.h"

#include <jansson.h>
#include <string.h>

void timings_add(struct timings *t, const char *stage, int64_t us)
{
	int i = 0;
	while (i < t->count && strcmp(t->rows[i].stage, stage) != 0)
		i++;
	if (i == TIMINGS_MAX)
		return;
	if (i == t->count) {
		t->rows[i].stage = stage;
		t->count++;
	}
	t->rows[i].us += us;
	t->rows[i].count++;
}

char *timings_text(const struct timings *t)
{
	json_t *o = json_object();
	for (int i = 0; i < t->count; i++)
		json_object_set_new(o, t->rows[i].stage, json_real((double)t->rows[i].us / 1000));
	char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6));
	json_decref(o);
	return text;
}
