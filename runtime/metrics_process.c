/* metrics_process.c - what the kernel knows about this process, as Prometheus text.
 * SPDX-License-Identifier: MPL-2.0 */
#include "runtime/metrics_process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
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

/* The content of a small file of the kernel's, cut to its size; false when it cannot be read. */
static bool read_file(const char *path, char *ret_text, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t got = fread(ret_text, 1, size - 1, file);
    (void)fclose(file);
    ret_text[got] = 0;
    return got > 0;
}

/* The number at the cursor, which moves behind it; -1 when there is none. */
static int64_t read_number(const char **cursor_p)
{
    char *end = NULL;
    long long number = strtoll(*cursor_p, &end, 10);
    if (end == *cursor_p || number < 0)
        return -1;
    *cursor_p = end;
    return number;
}

static void write_memory(FILE *out)
{
    char text[256];
    if (!read_file("/proc/self/statm", text, sizeof text))
        return;
    const char *cursor = text;
    int64_t virtual_pages = read_number(&cursor);
    int64_t resident_pages = read_number(&cursor);
    int64_t page = sysconf(_SC_PAGESIZE);
    if (virtual_pages < 0 || resident_pages < 0 || page <= 0)
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
    if (!read_file("/proc/self/stat", line, sizeof line))
        return -1;
    /* The second field is the program's name and may hold anything; the 22nd is 20 fields behind
     * its bracket. */
    const char *cursor = strrchr(line, ')');
    for (int field = 2; cursor && field < 22; field++)
        cursor = strchr(cursor + 1, ' ');
    return cursor ? read_number(&cursor) : -1;
}

/* Wall-clock second of the boot, or -1. */
static int64_t boot_seconds(void)
{
    FILE *file = fopen("/proc/stat", "re");
    if (!file)
        return -1;
    /* The lines before it are as long as the machine has interrupts: read in pieces. */
    static const char key[] = "btime ";
    char piece[512];
    int64_t seconds = -1;
    while (seconds < 0 && fgets(piece, sizeof piece, file)) {
        const char *cursor = piece + strlen(key);
        if (strncmp(piece, key, strlen(key)) == 0)
            seconds = read_number(&cursor);
    }
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
