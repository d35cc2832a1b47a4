/* dialogue_stream.c - see dialogue_stream.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/dialogue_stream.h"

#include "gateway/dialogue_grants.h"
#include "gateway/sse.h"

/* The channels in the order in which they are joined, which is that of the ids. */
typedef struct {
    char own[2][FW_CHANNEL_SIZE_MAX + 1]; /* names of the endpoint's */
    fw_text_t names[FW_SSE_CHANNELS_MAX];
    size_t own_count;
    size_t count;
} channels_t;

static void add_own(channels_t *channels, fw_channel_kind_t kind, fw_text_t id)
{
    char *name = channels->own[channels->own_count];
    size_t size = 0;
    if (fw_channel_make(kind, id, name, &size) != 0)
        return;
    channels->names[channels->own_count++] = (fw_text_t){name, size};
    channels->count++;
}

static bool has(const channels_t *channels, fw_text_t name)
{
    for (size_t i = 0; i < channels->count; i++)
        if (fw_text_equal(channels->names[i], name))
            return true;
    return false;
}

static fw_close_t collect(const fw_dialogue_t *self, const fw_session_t *session,
                          const fw_opening_t *opening, channels_t *channels)
{
    size_t most =
        self->channels_max < FW_SSE_CHANNELS_MAX ? self->channels_max : FW_SSE_CHANNELS_MAX;
    *channels = (channels_t){.count = 0};
    if (opening->route.endpoint == FW_ENDPOINT_ALL)
        add_own(channels, FW_CHANNEL_KIND_BROADCAST, FW_TEXT_NONE);
    if (opening->route.endpoint == FW_ENDPOINT_ROOM)
        add_own(channels, FW_CHANNEL_KIND_ROOM, opening->route.room);
    else if (session->claims)
        add_own(channels, FW_CHANNEL_KIND_USER, fw_session_user(session));
    for (size_t i = 0; i < opening->channels_count; i++) {
        fw_text_t name = opening->channels[i];
        if (fw_channel_kind(name) == FW_CHANNEL_INVALID)
            return (fw_close_t){FW_CLOSE_BAD_REQUEST, "channel is not the name of one"};
        if (!fw_claims_may(session->claims, FW_ACTION_LISTEN, name))
            return (fw_close_t){FW_CLOSE_FORBIDDEN, "the token does not allow this channel"};
        if (has(channels, name))
            continue;
        if (channels->count == most)
            return (fw_close_t){FW_CLOSE_TOO_MANY, "too many channels"};
        channels->names[channels->count++] = name;
    }
    return FW_CLOSE_NOT;
}

fw_close_t fw_dialogue_stream(const fw_dialogue_t *self, fw_session_t *session,
                              const fw_opening_t *opening)
{
    channels_t channels;
    fw_position_t positions[FW_SSE_CHANNELS_MAX];
    fw_close_t refused = collect(self, session, opening, &channels);
    if (refused.code != FW_CLOSE_NONE)
        return refused;
    /* Whoever comes back with an id that says nothing has lost its place: nobody stands in epoch 0,
     * so that all channels are reset. */
    if (opening->resumes &&
        fw_sse_id_parse(opening->last_id, channels.names, channels.count, positions) != 0)
        memset(positions, 0, sizeof positions);
    fw_client_subscription_t wishes[FW_SSE_CHANNELS_MAX];
    for (size_t i = 0; i < channels.count; i++) {
        wishes[i] = (fw_client_subscription_t){.channel = channels.names[i],
                                               .positioned = opening->resumes};
        if (opening->resumes)
            wishes[i].position = positions[i];
    }
    return fw_dialogue_enter(self, session, wishes, channels.count, channels.own_count);
}
