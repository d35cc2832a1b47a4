/* dialogue_fixture.h - one session and a dialogue, for tests of what clients may say.
 * SPDX-License-Identifier: MPL-2.0 */
#pragma once

#include "tests/unit/gateway/hub_fixture.h"

#include "gateway/dialogue.h"
#include "tests/support/signer.h"
#include "tests/support/token.h"

enum { WALL = 1000000 };

typedef struct {
    scene_t scene;
    fw_auth_t *auth;
    fw_dialogue_t dialogue;
    fw_session_t *session;
    fw_route_t route;
} stage_t;

static uint64_t refused; /* messages, by all dialogues */

static inline stage_t stage_new(void)
{
    stage_t stage = {.scene = scene_new(100),
                     .auth = make_auth(TEST_SECRET, (fw_auth_policy_t){.leeway_s = 5})};
    stage.dialogue = (fw_dialogue_t){.hub = stage.scene.hub,
                                     .auth = stage.auth,
                                     .refused = &refused,
                                     .anonymous = true,
                                     .channels_max = 4,
                                     .resume_max = 4};
    return stage;
}

static inline void stage_end(stage_t *stage)
{
    scene_leave(&stage->scene, &stage->session);
    fw_auth_destroy(&stage->auth);
    scene_end(&stage->scene);
}

static inline fw_close_t open_with(stage_t *stage, const char *path, fw_subprotocol_t subprotocol,
                                   const char *claims)
{
    char *token = claims ? make_good_token(claims) : NULL;
    stage->route = fw_route_parse(FW_TEXT_NONE, fw_text(path));
    fw_opening_t opening = {.route = stage->route,
                            .subprotocol = subprotocol,
                            .door = FW_DOOR_QUERY,
                            .token = fw_text(token),
                            .origin = FW_TEXT_NONE};
    stage->session = scene_session(&stage->scene);
    fw_close_t result = fw_dialogue_open(&stage->dialogue, stage->session, &opening, 0, WALL);
    free(token);
    scene_answer(&stage->scene, TEST_EPOCH, 0);
    return result;
}

static inline fw_close_t say(stage_t *stage, const char *text)
{
    fw_close_t result = fw_dialogue_message(&stage->dialogue, stage->session, &stage->route,
                                            bytes_of(text), 0, WALL);
    scene_answer(&stage->scene, TEST_EPOCH, 0);
    return result;
}

static inline fw_close_t hello(stage_t *stage, const char *claims, const char *more)
{
    static char text[8192];
    char *token = claims ? make_good_token(claims) : NULL;
    (void)snprintf(text, sizeof text, "{\"type\":\"fw.hello\"%s%s%s%s}",
                   token ? ",\"token\":\"" : "", token ? token : "", token ? "\"" : "", more);
    free(token);
    return say(stage, text);
}

static inline const char *sent(stage_t *stage)
{
    (void)scene_marked(&stage->scene);
    return scene_sent(&stage->scene, stage->session);
}

static inline bool listens(stage_t *stage, const char *name)
{
    const fw_channel_t *channel = fw_hub_find(stage->scene.hub, fw_text(name));
    return channel && fw_session_find(stage->session, channel) >= 0;
}
