/* How much memory a process may take: control groups of both versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/files.h"
#include "base/memory.h"

static char root[] = "/tmp/sumi-memory-XXXXXX";

static void put(const char *path, const char *text)
{
	char whole[512], *slash;
	snprintf(whole, sizeof whole, "%s/%s", root, path);
	slash = strrchr(whole, '/');
	*slash = '\0';
	assert_int_equal(files_make_dirs(whole, 0700, NULL), 0);
	*slash = '/';
	assert_int_equal(files_write_durable(whole, text, strlen(text), NULL), 0);
}

static void the_smallest_group_counts(void **state)
{
	(void)state;
	assert_true(memory_group_limit(root) == UINT64_MAX); /* no such system */
	put("proc/self/cgroup", "0::/a.slice/b.service\n");
	assert_true(memory_group_limit(root) == UINT64_MAX);
	put("sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
	assert_true(memory_group_limit(root) == UINT64_MAX);
	put("sys/fs/cgroup/a.slice/memory.max", "1073741824\n");
	assert_int_equal(memory_group_limit(root), 1 << 30);
	put("sys/fs/cgroup/a.slice/b.service/memory.max", "536870912\n");
	assert_int_equal(memory_group_limit(root), 1 << 29);
	put("sys/fs/cgroup/memory.max", "268435456\n"); /* as a container sees its own */
	assert_int_equal(memory_group_limit(root), 1 << 28);
	put("proc/self/cgroup", "0::/../../elsewhere\n");
	assert_int_equal(memory_group_limit(root), 1 << 28);
}

static void version_one(void **state)
{
	(void)state;
	put("proc/self/cgroup", "9:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/\n");
	put("sys/fs/cgroup/memory.max", "max\n");
	put("sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/docker/memory.limit_in_bytes", "2147483648\n");
	put("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "1\n"); /* not its group */
	assert_int_equal(memory_group_limit(root), (int64_t)1 << 31);
}

static void nonsense_limits_nothing(void **state)
{
	(void)state;
	static const char *const texts[] = {"", "\n", ":", "0:", "0::", "::::\n\n", "4:memoryx:/a"};
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		put("proc/self/cgroup", texts[i]);
		assert_true(memory_group_limit(root) == UINT64_MAX);
	}
	put("proc/self/cgroup", "0::/a.slice\n");
	put("sys/fs/cgroup/a.slice/memory.max", "a lot");
	assert_true(memory_group_limit(root) == UINT64_MAX);
}

static void what_is_free_now(void **state)
{
	(void)state;
	put("proc/meminfo", "");
	assert_true(memory_free(root) == UINT64_MAX);
	put("proc/meminfo", "MemTotal: 900 kB\nMemAvailable:     400 kB\nSwapFree: 24 kB\n");
	assert_int_equal(memory_free(root), 424 << 10);
	put("proc/meminfo", "XMemAvailable: 400 kB\n");
	assert_true(memory_free(root) == UINT64_MAX);
	assert_true(memory_free("") > 0);
}

static void ulimit_counts(void **state)
{
	(void)state;
	struct rlimit old, less;
	uint64_t all = memory_limit();
	assert_true(all > 0 && all < UINT64_MAX);
	assert_int_equal(getrlimit(RLIMIT_DATA, &old), 0);
	less = old;
	less.rlim_cur = all / 2;
	assert_int_equal(setrlimit(RLIMIT_DATA, &less), 0);
	assert_int_equal(memory_limit(), all / 2);
	assert_int_equal(setrlimit(RLIMIT_DATA, &old), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_smallest_group_counts),
	    cmocka_unit_test(version_one),
	    cmocka_unit_test(nonsense_limits_nothing),
	    cmocka_unit_test(what_is_free_now),
	    cmocka_unit_test(ulimit_counts),
	};
	char command[64];
	if (!mkdtemp(root))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	snprintf(command, sizeof command, "rm -rf %s", root);
	return system(command) || failed;
}
