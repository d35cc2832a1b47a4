/* secret_file.c - see secret_file.h.   SPDX-License-Identifier: MPL-2.0 */
#include "cli/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/alloc.h"

int fw_secret_file_write(const char *path, const char *text, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, text, size);
    int result = 0;
    if (written != (ssize_t)size)
        result = written < 0 ? -errno : -ENOSPC;
    if (result == 0 && fsync(fd) != 0)
        result = -errno;
    if (close(fd) != 0 && result == 0)
        result = -errno;
    if (result != 0)
        (void)unlink(path);
    return result;
}

int fw_secret_file_read(const char *path, size_t size_max, char **ret_text, size_t *ret_size)
{
    FILE *in = fopen(path, "re");
    if (!in)
        return -errno;
    char *text = fw_alloc(size_max + 2, 1);
    size_t size = fread(text, 1, size_max + 1, in);
    int result = ferror(in) ? -EIO : 0;
    if (result == 0 && size > size_max)
        result = -EFBIG;
    (void)fclose(in);
    if (result != 0) {
        explicit_bzero(text, size);
        free(text);
        return result;
    }
    text[size] = '\0';
    *ret_text = text;
    *ret_size = size;
    return 0;
}
