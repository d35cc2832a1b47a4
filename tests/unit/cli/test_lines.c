/* test_lines.c - lines of a pipe, whatever their size and however they come.
 * SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/lines.h"
#include "runtime/random.h"

enum { LINE_SIZE_MAX = 16, LINE_SIZE_TRIED = 32, LINES = 500 };

typedef struct {
    int write_fd, read_fd;
    fw_lines_t *lines;
    char *line;
    size_t size;
} pipe_t;

static void open_pipe(pipe_t *self)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    *self = (pipe_t){
        .read_fd = fds[0], .write_fd = fds[1], .lines = fw_lines_new(fds[0], LINE_SIZE_MAX)};
}

static void close_write(pipe_t *self)
{
    (void)close(self->write_fd);
    self->write_fd = -1;
}

static void close_pipe(pipe_t *self)
{
    if (self->write_fd >= 0) {
        close_write(self);
    }
    (void)close(self->read_fd);
    fw_lines_destroy(&self->lines);
    assert_null(self->lines);
}

static void put(const pipe_t *self, const char *text)
{
    assert_int_equal(write(self->write_fd, text, strlen(text)), strlen(text));
}

/* Reads while it must; there is always something to read or an end. */
static fw_lines_result_t next(pipe_t *self)
{
    fw_lines_result_t result;
    while ((result = fw_lines_next(self->lines, &self->line, &self->size)) == FW_LINES_WAIT) {
        assert_int_equal(fw_lines_read(self->lines), 0);
    }
    return result;
}

static void drops_a_line_that_is_too_long_and_goes_on_behind_it(void **state)
{
    (void)state;
    pipe_t self;
    open_pipe(&self);
    put(&self, "1234567890123456\n12345678901234567\nthird\nand a last one that is too long");
    close_write(&self);
    assert_int_equal(next(&self), FW_LINES_LINE);
    assert_string_equal(self.line, "1234567890123456");
    assert_int_equal(next(&self), FW_LINES_TOO_LONG);
    assert_int_equal(fw_lines_number(self.lines), 2);
    assert_int_equal(next(&self), FW_LINES_LINE);
    assert_string_equal(self.line, "third");
    assert_int_equal(next(&self), FW_LINES_TOO_LONG);
    assert_int_equal(fw_lines_number(self.lines), 4);
    assert_int_equal(next(&self), FW_LINES_END);
    assert_int_equal(next(&self), FW_LINES_END);
    close_pipe(&self);
}

static void ends_with_the_error_of_a_descriptor_that_cannot_be_read(void **state)
{
    (void)state;
    char *line = NULL;
    size_t size;
    fw_lines_t *lines = fw_lines_new(-1, LINE_SIZE_MAX);
    assert_int_equal(fw_lines_next(lines, &line, &size), FW_LINES_WAIT);
    assert_int_equal(fw_lines_read(lines), -EBADF);
    assert_int_equal(fw_lines_next(lines, &line, &size), FW_LINES_END);
    fw_lines_destroy(&lines);
}

static void knows_line_ends_of_both_kinds_and_a_last_line_without_one(void **state)
{
    (void)state;
    pipe_t self;
    open_pipe(&self);
    put(&self, "\nunix\ndos\r\nlast");
    close_write(&self);
    static const char *const expected[] = {"", "unix", "dos", "last"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(next(&self), FW_LINES_LINE);
        assert_string_equal(self.line, expected[i]);
        assert_int_equal(self.size, strlen(expected[i]));
    }
    assert_int_equal(next(&self), FW_LINES_END);
    close_pipe(&self);
}

static void waits_for_the_rest_of_a_line(void **state)
{
    (void)state;
    pipe_t self;
    open_pipe(&self);
    put(&self, "begin");
    assert_int_equal(fw_lines_read(self.lines), 0);
    assert_int_equal(fw_lines_next(self.lines, &self.line, &self.size), FW_LINES_WAIT);
    put(&self, "ning\n");
    assert_int_equal(next(&self), FW_LINES_LINE);
    assert_string_equal(self.line, "beginning");
    close_pipe(&self);
}

static void gives_back_random_lines_cut_at_random_places(void **state)
{
    (void)state;
    uint64_t seed = 0;
    const char *given = getenv("FW_TEST_SEED");
    if (given) {
        seed = strtoull(given, NULL, 0);
    } else {
        fw_random_bytes(&seed, sizeof seed);
    }
    print_message("seed: FW_TEST_SEED=%llu\n", (unsigned long long)seed);
    fw_random_t random = {seed};
    pipe_t self;
    open_pipe(&self);
    for (int i = 0; i < LINES; i++) {
        char text[LINE_SIZE_TRIED + 2] = "";
        size_t size = (size_t)fw_random_below(&random, LINE_SIZE_TRIED);
        memset(text, 'x', size);
        text[size] = '\n';
        for (size_t sent = 0; sent <= size;) {
            size_t piece = (size_t)fw_random_below(&random, size + 2 - sent);
            assert_int_equal(write(self.write_fd, text + sent, piece), piece);
            sent += piece;
            if (piece > 0 && fw_random_below(&random, 2) == 0) {
                assert_int_equal(fw_lines_read(self.lines), 0);
                if (sent <= size) {
                    assert_int_equal(fw_lines_next(self.lines, &self.line, &self.size),
                                     FW_LINES_WAIT);
                }
            }
        }
        assert_int_equal(next(&self), size > LINE_SIZE_MAX ? FW_LINES_TOO_LONG : FW_LINES_LINE);
        assert_int_equal(fw_lines_number(self.lines), i + 1);
        if (size <= LINE_SIZE_MAX) {
            assert_int_equal(self.size, size);
        }
    }
    close_pipe(&self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drops_a_line_that_is_too_long_and_goes_on_behind_it),
        cmocka_unit_test(ends_with_the_error_of_a_descriptor_that_cannot_be_read),
        cmocka_unit_test(knows_line_ends_of_both_kinds_and_a_last_line_without_one),
        cmocka_unit_test(waits_for_the_rest_of_a_line),
        cmocka_unit_test(gives_back_random_lines_cut_at_random_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
