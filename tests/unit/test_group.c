/* The saved state of variants that are made at once: each finds its own part again, whatever is
 * cut off or bent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/group.h"

struct fake {
	struct generation base;
	const char *state;
};

static int together; /* members of the last joint step; 1: one alone */

static int fake_save(const struct generation *g, void **data, size_t *size, struct error *err)
{
	const char *state = ((const struct fake *)g)->state;
	*size = strlen(state);
	*data = malloc(*size + 1);
	if (!*data)
		return error_set(err, SUMI_NOMEM, "out of memory");
	memcpy(*data, state, *size + 1);
	return SUMI_OK;
}

static int fake_step(struct generation *g, struct error *err)
{
	(void)err;
	g->steps_done++;
	together = 1;
	return SUMI_OK;
}

static int fake_step_together(struct generation *const *all, int count, struct error *err)
{
	(void)err;
	for (int i = 0; i < count; i++)
		all[i]->steps_done++;
	together = count;
	return SUMI_OK;
}

static int freed;

static void fake_free(struct generation *g)
{
	freed += g->steps;
}

static const struct modality fakes = {
    .step = fake_step,
    .step_together = fake_step_together,
    .save = fake_save,
    .free = fake_free,
};

static struct fake all[3] = {
    {{.modality = &fakes, .steps = 4}, "of zero"}, {{.modality = &fakes, .steps = 4}, ""}, {{.modality = &fakes, .steps = 4}, "of five, longer"}};

static struct group three(void)
{
	static const int variants[] = {0, 2, 5};
	struct group group = {.count = 3};
	for (int i = 0; i < 3; i++)
		group.members[i] = (struct group_member){.variant = variants[i], .g = &all[i].base};
	return group;
}

static void finds(const void *data, size_t size, int variant, const char *want)
{
	const void *part;
	size_t bytes;
	assert_true(group_find(data, size, 0, variant, &part, &bytes));
	assert_int_equal(bytes, strlen(want));
	assert_memory_equal(part, want, bytes);
}

static void test_each_finds_its_own(void **state)
{
	struct group group = three();
	struct error err;
	const void *part;
	void *data;
	size_t size, bytes;
	(void)state;
	assert_int_equal(group_save(&group, NULL, &data, &size, &err), 0);
	finds(data, size, 0, "of zero");
	finds(data, size, 2, "");
	finds(data, size, 5, "of five, longer");
	assert_false(group_find(data, size, 0, 1, &part, &bytes));
	assert_false(group_find(NULL, 0, -1, 0, &part, &bytes));
	free(data);
	group.count = 1;
	assert_int_equal(group_save(&group, NULL, &data, &size, &err), 0);
	finds(data, size, 0, "of zero");
	assert_false(group_find(data, size, 0, 1, &part, &bytes));
	free(data);
}

/* A copy of exactly that size, so that a sanitizer sees what is read beyond. */
static void test_damaged_states(void **state)
{
	struct group group = three();
	struct error err;
	const void *part;
	void *data;
	size_t size, bytes;
	(void)state;
	assert_int_equal(group_save(&group, NULL, &data, &size, &err), 0);
	for (size_t cut = 8; cut < size; cut++) {
		unsigned char *copy = malloc(cut);
		assert_non_null(copy);
		memcpy(copy, data, cut);
		assert_false(group_find(copy, cut, 0, 5, &part, &bytes));
		for (size_t at = 8; at < cut; at++) {
			copy[at] ^= 0xff;
			if (group_find(copy, cut, 0, 5, &part, &bytes))
				assert_true((const unsigned char *)part + bytes <= copy + cut);
			copy[at] ^= 0xff;
		}
		free(copy);
	}
	free(data);
}

/* After a kill the members may stand at different steps. */
static void test_steps(void **state)
{
	struct group group = three();
	struct error err;
	(void)state;
	all[0].base.steps_done = 3;
	all[1].base.steps_done = 1;
	all[2].base.steps_done = 4;
	assert_ptr_equal(group_last(&group, NULL), &all[1].base);
	assert_int_equal(group_step(&group, &err), 0);
	assert_int_equal(together, 2);
	assert_int_equal(group_step(&group, &err), 0);
	assert_int_equal(together, 1);
	assert_int_equal(all[1].base.steps_done, 3);
	assert_int_equal(all[0].base.steps_done, 4);
	assert_int_equal(all[2].base.steps_done, 4);
}

static void test_the_first_stays(void **state)
{
	struct group group = three();
	(void)state;
	freed = 0;
	group_keep_first(&group);
	assert_int_equal(freed, all[1].base.steps + all[2].base.steps);
	assert_int_equal(group.count, 1);
	assert_ptr_equal(group.members[0].g, &all[0].base);
	group_remove(&group, NULL);
	assert_int_equal(freed, all[0].base.steps + all[1].base.steps + all[2].base.steps);
	assert_int_equal(group.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_finds_its_own),
	    cmocka_unit_test(test_damaged_states),
	    cmocka_unit_test(test_steps),
	    cmocka_unit_test(test_the_first_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
