/* metrics_process.c - what the kernel knows about this process, as Prometheus text.
 * SPDX-License-Identifier: MPL-2.0 */
#include "runtime/metrics_process.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void write_head(FILE *out, const char *name, const char *kind, const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void write_cpu(FILE *out)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return;
    int64_t us = ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                 usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    write_head(out, "process_cpu_seconds_total", "counter",
               "User and system time that the process has used.");
    (void)fprintf(out, "process_cpu_seconds_total %" PRId64 ".%06" PRId64 "\n", us / 1000000,
                  us % 1000000);
}

static void write_memory(FILE *out)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return;
    int64_t virtual_pages = 0;
    int64_t resident_pages = 0;
    int found = fscanf(file, "%" SCNd64 " %" SCNd64, &virtual_pages, &resident_pages);
    (void)fclose(file);
    int64_t page = sysconf(_SC_PAGESIZE);
    if (found != 2 || page <= 0)
        return;
    write_head(out, "process_virtual_memory_bytes", "gauge", "Address space of the process.");
    (void)fprintf(out, "process_virtual_memory_bytes %" PRId64 "\n", virtual_pages * page);
    write_head(out, "process_resident_memory_bytes", "gauge", "Memory that the process occupies.");
    (void)fprintf(out, "process_resident_memory_bytes %" PRId64 "\n", resident_pages * page);
}

static void write_descriptors(FILE *out)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        write_head(out, "process_max_fds", "gauge", "File descriptors that it may have open.");
        (void)fprintf(out, "process_max_fds %" PRIu64 "\n", (uint64_t)limit.rlim_cur);
    }
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return;
    int64_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            count++;
    (void)closedir(folder);
    write_head(out, "process_open_fds", "gauge", "File descriptors that are open.");
    /* Without the one that was just used for counting. */
    (void)fprintf(out, "process_open_fds %" PRId64 "\n", count - 1);
}

/* Clock ticks between boot and the start of this process, or -1. */
static int64_t start_ticks(void)
{
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (!file)
        return -1;
    size_t size = fread(line, 1, sizeof line - 1, file);
    (void)fclose(file);
    line[size] = 0;
    /* The second field is the program's name and may hold anything; the 22nd is 20 fields behind
     * its bracket. */
    const char *cursor = strrchr(line, ')');
    for (int field = 2; cursor && field < 22; field++)
        cursor = strchr(cursor + 1, ' ');
    int64_t ticks;
    return cursor && sscanf(cursor, "%" SCNd64, &ticks) == 1 ? ticks : -1;
}

/* Wall-clock second of the boot, or -1. */
static int64_t boot_seconds(void)
{
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return -1;
    char line[512];
    int64_t seconds = -1;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "btime %" SCNd64, &seconds) == 1)
            break;
    (void)fclose(file);
    return seconds;
}

static void write_start(FILE *out)
{
    int64_t ticks = start_ticks();
    int64_t boot = boot_seconds();
    int64_t hertz = sysconf(_SC_CLK_TCK);
    if (ticks < 0 || boot < 0 || hertz <= 0)
        return;
    write_head(out, "process_start_time_seconds", "gauge",
               "When the process started, in seconds since 1970.");
    (void)fprintf(out, "process_start_time_seconds %" PRId64 ".%02" PRId64 "\n",
                  boot + ticks / hertz, ticks % hertz * 100 / hertz);
}

void fw_metrics_write_process(FILE *out)
{
    write_cpu(out);
    write_memory(out);
    write_descriptors(out);
    write_start(out);
}
