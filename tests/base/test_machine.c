/*
 * Processors, threads and memory of machines that are made up: trees of /proc,
 * /sys and cgroups in a temporary folder.
 */
#include "base/cgroup.h"
#include "base/machine.h"
#include "base/made_up.h"
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* `count` processors are there and those of `list` are allowed; siblings[i] shares its core with processor i. */
static void put_processors(const char *list, size_t count, const char *const *siblings)
{
    char text[256], path[128];
    snprintf(text, sizeof text, "Name:\tpali\nCpus_allowed:\tff\nCpus_allowed_list:\t%s\nMems_allowed_list:\t0\n", list);
    made_up_put("/proc/thread-self/status", text);
    snprintf(text, sizeof text, "0-%zu\n", count - 1);
    made_up_put("/sys/devices/system/cpu/online", text);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/topology/thread_siblings_list", i);
        snprintf(text, sizeof text, "%s\n", siblings[i]);
        made_up_put(path, text);
    }
}

static void expect_machine(size_t processors, size_t threads, size_t place_count, const uint16_t *places)
{
    pl_machine machine;
    pl_machine_read(made_up_root, &machine);
    assert_int_equal(machine.processors, processors);
    assert_int_equal(machine.threads, threads);
    assert_int_equal(machine.place_count, place_count);
    for (size_t i = 0; i < place_count; i++)
        assert_int_equal(machine.places[i], places[i]);
}

static void one_thread_a_core(void **state)
{
    (void)state;
    static const char *const neighbours[] = {"0-1", "0-1", "2-3", "2-3"}, *const apart[] = {"0,2", "1,3", "0,2", "1,3"};
    put_processors("0-3", 4, neighbours);
    expect_machine(4, 2, 2, (const uint16_t[]){0, 2});
    put_processors("0-3", 4, apart);
    expect_machine(4, 2, 2, (const uint16_t[]){0, 1});
    put_processors("1-3", 4, apart); /* the mask may leave one thread of a core */
    expect_machine(3, 2, 2, (const uint16_t[]){1, 2});
    put_processors("3", 4, apart);
    expect_machine(1, 1, 1, (const uint16_t[]){3});
    put_processors("0-127", 4, apart); /* a mask of processors that could be plugged in */
    expect_machine(4, 2, 2, (const uint16_t[]){0, 1});
}

static void fast_cores_only(void **state)
{
    (void)state;
    static const char *const siblings[] = {"0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"};
    made_up_put("/sys/devices/cpu_core/cpus", "0-3\n");
    made_up_put("/sys/devices/cpu_atom/cpus", "4-7\n");
    put_processors("0-7", 8, siblings);
    expect_machine(8, 2, 2, (const uint16_t[]){0, 2});
    put_processors("4-7", 8, siblings); /* held on the slow ones */
    expect_machine(4, 4, 4, (const uint16_t[]){4, 5, 6, 7});
    put_processors("3-5", 8, siblings);
    expect_machine(3, 1, 1, (const uint16_t[]){3});
}

static void large_cores_only(void **state)
{
    (void)state;
    static const char *const siblings[] = {"0", "1", "2", "3", "4", "5", "6", "7"}, *const capacity[] = {"280", "280", "280", "280", "870", "870", "870", "1024"};
    for (size_t i = 0; i < 8; i++) {
        char path[96];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%zu/cpu_capacity", i);
        made_up_put(path, capacity[i]);
    }
    put_processors("0-7", 8, siblings);
    expect_machine(8, 4, 4, (const uint16_t[]){4, 5, 6, 7});
    put_processors("0-3", 8, siblings);
    expect_machine(4, 4, 4, (const uint16_t[]){0, 1, 2, 3});
}

static void a_system_that_tells_nothing(void **state)
{
    (void)state;
    pl_machine machine;
    pl_machine_read(made_up_root, &machine);
    assert_in_range(machine.threads, 1, machine.processors);
    assert_int_equal(machine.place_count, 0);
    made_up_put("/proc/thread-self/status", "Cpus_allowed_list:\tno list\n");
    pl_machine_read(made_up_root, &machine);
    assert_in_range(machine.threads, 1, machine.processors);
    pl_memory_limit limit;
    pl_memory_limit_read(made_up_root, &limit);
    assert_true(limit.left == UINT64_MAX);
    assert_int_equal(limit.swap, 0);
}

#define MOUNT_V2 "25 20 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

/* Version 2: the least of the own group and all above it. */
static void put_groups(void)
{
    made_up_put("/proc/self/mountinfo", "21 20 0:5 / /proc rw - proc proc rw\n" MOUNT_V2);
    made_up_put("/proc/self/cgroup", "0::/a.slice/b.scope\n");
    made_up_put("/sys/fs/cgroup/a.slice/b.scope/cpu.max", "max 100000\n");
    made_up_put("/sys/fs/cgroup/a.slice/b.scope/memory.max", "max\n");
}

static void quotas_of_version_2(void **state)
{
    (void)state;
    static const char *const siblings[] = {"0", "1", "2", "3"};
    put_processors("0-3", 4, siblings);
    put_groups();
    assert_int_equal(pl_cgroup_processors(made_up_root), 0);
    expect_machine(4, 4, 4, (const uint16_t[]){0, 1, 2, 3});
    made_up_put("/sys/fs/cgroup/a.slice/cpu.max", "250000 100000\n");
    assert_int_equal(pl_cgroup_processors(made_up_root), 3);
    expect_machine(3, 3, 4, (const uint16_t[]){0, 1, 2, 3});
    made_up_put("/sys/fs/cgroup/a.slice/b.scope/cpu.max", "50000 100000\n");
    expect_machine(1, 1, 4, (const uint16_t[]){0, 1, 2, 3});
    made_up_put("/sys/fs/cgroup/a.slice/b.scope/cpu.max", "1600000 100000\n");
    expect_machine(3, 3, 4, (const uint16_t[]){0, 1, 2, 3});
}

/* Version 1 has a tree a controller; in a container the mount begins at the container's group. */
static void quotas_of_version_1(void **state)
{
    (void)state;
    made_up_put("/proc/self/mountinfo", "30 25 0:26 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n");
    made_up_put("/proc/self/cgroup", "5:cpuset:/docker/abc\n4:cpu,cpuacct:/docker/abc/job\n0::/\n");
    assert_int_equal(pl_cgroup_processors(made_up_root), 0);
    made_up_put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1\n");
    made_up_put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(pl_cgroup_processors(made_up_root), 0);
    made_up_put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
    made_up_put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    assert_int_equal(pl_cgroup_processors(made_up_root), 2);
    made_up_put("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "100000\n");
    assert_int_equal(pl_cgroup_processors(made_up_root), 1);
}

#define MEMINFO "MemTotal:       8000000 kB\nMemFree:         100000 kB\nMemAvailable:   4000000 kB\nSwapTotal:      2000000 kB\nSwapFree:       1000000 kB\n"

static void expect_left(uint64_t left, uint64_t swap, const char *where)
{
    pl_memory_limit limit;
    pl_memory_limit_read(made_up_root, &limit);
    assert_int_equal(limit.left, left);
    assert_int_equal(limit.swap, swap);
    assert_string_equal(limit.where, where);
}

static void memory_of_version_2(void **state)
{
    (void)state;
    made_up_put("/proc/meminfo", MEMINFO);
    put_groups();
    expect_left(4096000000, 1024000000, "this machine");
    made_up_put("/sys/fs/cgroup/a.slice/memory.max", "1000000000\n");
    made_up_put("/sys/fs/cgroup/a.slice/memory.current", "700000000\n");
    made_up_put("/sys/fs/cgroup/a.slice/memory.stat", "anon 100000000\nfile 550000000\ninactive_file 300000000\nactive_file 200000000\nslab_reclaimable 50000000\n");
    expect_left(850000000, 1024000000, "/sys/fs/cgroup/a.slice/memory.max");
    made_up_put("/sys/fs/cgroup/a.slice/b.scope/memory.swap.max", "0\n");
    expect_left(850000000, 0, "/sys/fs/cgroup/a.slice/memory.max");
    made_up_put("/sys/fs/cgroup/a.slice/b.scope/memory.max", "500000000\n");
    made_up_put("/sys/fs/cgroup/a.slice/b.scope/memory.current", "600000000\n");
    expect_left(0, 0, "/sys/fs/cgroup/a.slice/b.scope/memory.max");
}

static void memory_of_version_1(void **state)
{
    (void)state;
    made_up_put("/proc/meminfo", MEMINFO);
    made_up_put("/proc/self/mountinfo", "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
    made_up_put("/proc/self/cgroup", "4:memory:/a/b\n");
    made_up_put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    made_up_put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "9000000000\n");
    expect_left(4096000000, 1024000000, "this machine");
    made_up_put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "1000000000\n");
    made_up_put("/sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "900000000\n");
    made_up_put("/sys/fs/cgroup/memory/a/b/memory.stat", "cache 7\ninactive_file 1\ntotal_inactive_file 300000000\ntotal_active_file 100000000\n");
    expect_left(500000000, 1024000000, "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes");
}

static void this_machine(void **state)
{
    (void)state;
    pl_machine machine;
    pl_machine_read("", &machine);
    assert_in_range(machine.processors, 1, (size_t)sysconf(_SC_NPROCESSORS_CONF));
    assert_in_range(machine.threads, 1, machine.processors);
    pl_pool *pool = pl_pool_new(0, NULL);
    assert_non_null(pool);
    assert_int_equal(pl_pool_threads(pool), machine.threads);
    pl_pool_free(pool);
    pl_memory_limit limit;
    pl_memory_limit_read("", &limit);
    print_message("%zu processors, %zu threads, %llu MB left of %s\n", machine.processors, machine.threads, (unsigned long long)(limit.left >> 20), limit.where);
    assert_true(limit.left > 1 << 20); /* that this test runs in */
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, made_up_begin, made_up_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ROOT(one_thread_a_core),   WITH_ROOT(fast_cores_only),     WITH_ROOT(large_cores_only),    WITH_ROOT(a_system_that_tells_nothing),
        WITH_ROOT(quotas_of_version_2), WITH_ROOT(quotas_of_version_1), WITH_ROOT(memory_of_version_2), WITH_ROOT(memory_of_version_1),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
