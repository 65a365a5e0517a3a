/* The stream of changes to results: what is sent is read once, from where the reader stood; damage is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "queue/changes.h"
#include "redis_fixture.h"

static struct error err;

static void send(const char *id, int starred, const char *tag, bool deleted)
{
	struct queue_change c = {.starred = starred, .deleted = deleted, .tags = tag ? json_pack("[s]", tag) : NULL};
	strcpy(c.id, id);
	must(queue_change_send(q, &c, &err), &err);
	queue_change_clear(&c);
}

static void read_all(struct queue_change *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		queue_change_clear(&list[i]);
	free(list);
}

static void test_changes(void **state)
{
	char cursor[QUEUE_CURSOR_SIZE] = "";
	struct queue_change *list;
	size_t count;
	(void)state;
	must(queue_changes(q, cursor, 10, &list, &count, &err), &err);
	assert_int_equal(count, 0);
	assert_string_equal(cursor, "0-0");
	send("a", 1, NULL, false);
	send("b", -1, "beach", false);
	send("c", -1, NULL, true);
	must(queue_changes(q, cursor, 2, &list, &count, &err), &err);
	assert_int_equal(count, 2);
	assert_true(strcmp(list[0].id, "a") == 0 && list[0].starred == 1 && !list[0].tags && !list[0].deleted);
	assert_true(strcmp(list[1].id, "b") == 0 && list[1].starred == -1 && json_array_size(list[1].tags) == 1);
	assert_string_equal(cursor, list[1].cursor);
	read_all(list, count);
	must(queue_changes(q, cursor, 10, &list, &count, &err), &err);
	assert_true(count == 1 && list[0].deleted);
	read_all(list, count);
	/* Who comes new hears nothing of the past. */
	char fresh[QUEUE_CURSOR_SIZE] = "";
	must(queue_changes(q, fresh, 10, &list, &count, &err), &err);
	assert_int_equal(count, 0);
	assert_string_equal(fresh, cursor);
}

static void test_damage(void **state)
{
	static const char *const texts[] = {"", "{", "7", "{}", "{\"id\":7}", "{\"id\":\"a/b\"}",
					    "{\"id\":\"a\",\"tags\":[1],\"starred\":3,\"deleted\":\"no\"}"};
	char cursor[QUEUE_CURSOR_SIZE] = "0-0";
	struct queue_change *list;
	size_t count, n = sizeof texts / sizeof texts[0];
	(void)state;
	for (size_t i = 0; i < n; i++)
		freeReplyObject(fixture_command("XADD {sumi}:changes * change %s", texts[i]));
	freeReplyObject(fixture_command("XADD {sumi}:changes * other x"));
	must(queue_changes(q, cursor, 100, &list, &count, &err), &err);
	assert_int_equal(count, n + 1);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(list[i].id, i == n - 1 ? "a" : "");
		assert_true(list[i].starred == -1 && !list[i].tags && !list[i].deleted);
	}
	read_all(list, count);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_changes), TEST(test_damage)};
	return cmocka_run_group_tests(tests, NULL, fixture_stop);
}
