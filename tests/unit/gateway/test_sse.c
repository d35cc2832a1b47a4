/* test_sse.c - blocks of server-sent events, and the ids that say where a stream stands.
 * SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/gateway/hub_fixture.h"

#include <errno.h>

#include "gateway/sse.h"

static const char *block(const char *json, bool named)
{
    static char text[512];
    size_t needed = fw_sse_block(bytes_of(json), named, NULL, 0);
    assert_true(needed < sizeof text);
    assert_int_equal(fw_sse_block(bytes_of(json), named, (uint8_t *)text, sizeof text), needed);
    text[needed] = '\0';
    return text;
}

static void a_type_that_needs_escapes_ends_before_them(void **state)
{
    (void)state;
    assert_string_equal(block("{\"type\":\"a\\nevent: x\"}", true),
                        "event: a\ndata: {\"type\":\"a\\nevent: x\"}\n\n");
    assert_string_equal(block("{\"type\":\"\"}", true), "data: {\"type\":\"\"}\n\n");
    assert_string_equal(block("{\"n\":1}", true), "data: {\"n\":1}\n\n");
    assert_string_equal(block("{\"type\":\"a", true), "event: a\ndata: {\"type\":\"a\n\n");
}

static void a_block_has_its_type_as_its_name_unless_names_are_not_wanted(void **state)
{
    (void)state;
    assert_string_equal(block("{\"type\":\"fw.drain\",\"x\":1}", true),
                        "event: fw.drain\ndata: {\"type\":\"fw.drain\",\"x\":1}\n\n");
    assert_string_equal(block("{\"type\":\"a\"}", false), "data: {\"type\":\"a\"}\n\n");
}

/* ------ ids */

static const fw_text_t none[1] = {{"", 0}};

static void refuses_what_is_no_id(void **state)
{
    (void)state;
    fw_position_t position;
    const char *const texts[] = {"", "x", "AQ", "=", "AQAAAAA=", "\xff", "AQ AA", "AgAAAAA"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(fw_sse_id_parse(fw_text(texts[i]), none, 0, &position), -EINVAL);
    static char endless[FW_SSE_ID_SIZE_MAX * 4];
    memset(endless, 'A', sizeof endless - 1);
    assert_int_equal(fw_sse_id_parse(fw_text(endless), none, 0, &position), -EINVAL);
    assert_int_equal(fw_sse_id_parse(FW_TEXT("AQAAAAA"), none, FW_SSE_CHANNELS_MAX + 1, &position),
                     -EINVAL);
}

typedef struct {
    scene_t scene;
    fw_session_t *session;
    char line[FW_SSE_ID_SIZE_MAX + 6];
    fw_text_t id;
} stage_t;

static stage_t stage_on(const fw_text_t *names, size_t count, uint64_t epoch, uint64_t offset)
{
    stage_t stage = {.scene = scene_new(100)};
    stage.session = scene_session(&stage.scene);
    stage.session->encoding = FW_ENCODING_SSE;
    for (size_t i = 0; i < count; i++)
        (void)fw_hub_join(stage.scene.hub, stage.session, names[i], NULL, FW_TEXT_NONE);
    scene_answer(&stage.scene, epoch, offset);
    fw_hub_await(stage.scene.hub, stage.session);
    return stage;
}

static void take_id(stage_t *stage)
{
    size_t size = fw_sse_id_line(stage->session, stage->line);
    assert_memory_equal(stage->line, "id: ", 4);
    assert_int_equal(stage->line[size - 1], '\n');
    stage->id = (fw_text_t){stage->line + 4, size - 5};
}

static void stage_end(stage_t *stage)
{
    scene_leave(&stage->scene, &stage->session);
    scene_end(&stage->scene);
}

static void an_id_brings_back_every_place(void **state)
{
    (void)state;
    const fw_text_t names[] = {FW_TEXT("broadcast"), FW_TEXT("user:\xc3\xbc"), FW_TEXT("room:1")};
    fw_position_t positions[3];
    stage_t stage = stage_on(names, 3, FW_EPOCH_MAX, UINT64_MAX - 1);
    take_id(&stage);
    assert_int_equal(fw_sse_id_parse(stage.id, names, 3, positions), 0);
    for (int i = 0; i < 3; i++) {
        assert_true(positions[i].epoch == FW_EPOCH_MAX);
        assert_true(positions[i].offset == UINT64_MAX - 1);
    }
    stage_end(&stage);
}

static void the_largest_id_fits(void **state)
{
    (void)state;
    char texts[FW_SSE_CHANNELS_MAX][16];
    fw_text_t names[FW_SSE_CHANNELS_MAX];
    fw_position_t positions[FW_SSE_CHANNELS_MAX];
    for (size_t i = 0; i < FW_SSE_CHANNELS_MAX; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "room:%zu", i);
        names[i] = fw_text(texts[i]);
    }
    stage_t stage = stage_on(names, FW_SSE_CHANNELS_MAX, FW_EPOCH_MAX, UINT64_MAX - 1);
    take_id(&stage);
    assert_in_range(stage.id.size, 500, FW_SSE_ID_SIZE_MAX);
    assert_int_equal(fw_sse_id_parse(stage.id, names, FW_SSE_CHANNELS_MAX, positions), 0);
    assert_true(positions[FW_SSE_CHANNELS_MAX - 1].offset == UINT64_MAX - 1);
    stage_end(&stage);
}

static void an_id_of_other_channels_is_none(void **state)
{
    (void)state;
    const fw_text_t names[] = {FW_TEXT("room:1"), FW_TEXT("room:2")};
    const fw_text_t turned[] = {FW_TEXT("room:2"), FW_TEXT("room:1")};
    fw_position_t positions[3];
    stage_t stage = stage_on(names, 2, 77, 3);
    take_id(&stage);
    assert_int_equal(fw_sse_id_parse(stage.id, names, 2, positions), 0);
    assert_int_equal(fw_sse_id_parse(stage.id, turned, 2, positions), -EINVAL);
    assert_int_equal(fw_sse_id_parse(stage.id, names, 1, positions), -EINVAL);
    for (size_t i = 0; i < stage.id.size; i++) {
        char changed[FW_SSE_ID_SIZE_MAX];
        memcpy(changed, stage.id.text, stage.id.size);
        changed[i] = '!';
        assert_int_equal(fw_sse_id_parse((fw_text_t){changed, stage.id.size}, names, 2, positions),
                         -EINVAL);
        /* A part of one either. */
        assert_int_equal(fw_sse_id_parse((fw_text_t){changed, i}, names, 2, positions), -EINVAL);
    }
    stage_end(&stage);
}

/* Between the moment when a place is lost and the one when the client is told, the id must not look
 * as if all were well. */
static void a_reset_that_was_not_told_is_not_forgotten_by_the_id(void **state)
{
    (void)state;
    const fw_text_t names[] = {FW_TEXT("room:1")};
    fw_position_t position;
    stage_t stage = stage_on(names, 1, 77, 3);
    fw_session_reset(stage.session, 0, FW_RESET_HISTORY);
    take_id(&stage);
    assert_int_equal(fw_sse_id_parse(stage.id, names, 1, &position), 0);
    assert_true(position.epoch == 0);
    stage_end(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_that_needs_escapes_ends_before_them),
        cmocka_unit_test(a_block_has_its_type_as_its_name_unless_names_are_not_wanted),
        cmocka_unit_test(refuses_what_is_no_id),
        cmocka_unit_test(an_id_brings_back_every_place),
        cmocka_unit_test(the_largest_id_fits),
        cmocka_unit_test(an_id_of_other_channels_is_none),
        cmocka_unit_test(a_reset_that_was_not_told_is_not_forgotten_by_the_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
