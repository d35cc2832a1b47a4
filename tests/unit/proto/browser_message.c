/* browser_message.c - see browser_message.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/unit/proto/browser_message.h"

#include <stdio.h>

#include "freshwire/v1/browser.pb-c.h"

typedef void told_fn(void *context, const browser_message_t *message);

static void place(browser_message_t *said, const Freshwire__V1__Position *position)
{
    if (!position)
        return;
    said->placed = true;
    said->position = (fw_position_t){position->epoch, position->offset};
}

static void read_event(browser_message_t *said, const Freshwire__V1__ChannelEvent *event)
{
    const Freshwire__V1__Payload *data = event->data;
    (void)snprintf(said->type, sizeof said->type, "%s", event->type);
    said->channel = event->channel;
    said->id = event->id;
    said->origin = event->origin;
    said->user_id = event->user_id;
    said->fresh = event->fresh;
    said->ts = event->ts;
    said->unconfirmed = event->unconfirmed;
    said->spread_ms = event->spread_ms;
    place(said, event->position);
    if (data && data->kind_case == FRESHWIRE__V1__PAYLOAD__KIND_JSON) {
        said->data_kind = FW_PAYLOAD_JSON;
        said->data = (fw_bytes_t){data->json.data, data->json.len};
    } else if (data && data->kind_case == FRESHWIRE__V1__PAYLOAD__KIND_BINARY) {
        said->data_kind = FW_PAYLOAD_BINARY;
        said->data = (fw_bytes_t){data->binary.data, data->binary.len};
    } else if (data) {
        said->data_kind = FW_PAYLOAD_TYPED;
    }
}

static void read_message(const Freshwire__V1__ServerMessage *message, told_fn *told, void *context)
{
    browser_message_t said = {
        .type = "", .channel = "", .reason = "", .id = "", .origin = "", .user_id = ""};
    const ProtobufCFieldDescriptor *kind = protobuf_c_message_descriptor_get_field(
        message->base.descriptor, (unsigned)message->message_case);
    (void)snprintf(said.type, sizeof said.type, "fw.%s", kind ? kind->name : "");
    switch (message->message_case) {
    case FRESHWIRE__V1__SERVER_MESSAGE__MESSAGE_BATCH:
        for (size_t i = 0; i < message->batch->n_messages; i++)
            read_message(message->batch->messages[i], told, context);
        return;
    case FRESHWIRE__V1__SERVER_MESSAGE__MESSAGE_EVENT:
        read_event(&said, message->event);
        break;
    case FRESHWIRE__V1__SERVER_MESSAGE__MESSAGE_RESET:
        said.channel = message->reset->channel;
        said.reason = message->reset->reason;
        place(&said, message->reset->position);
        break;
    case FRESHWIRE__V1__SERVER_MESSAGE__MESSAGE_POSITION:
        said.channel = message->position->channel;
        place(&said, message->position->position);
        break;
    case FRESHWIRE__V1__SERVER_MESSAGE__MESSAGE_WELCOME:
        said.standings = message->welcome->n_subscriptions;
        break;
    default:
        break;
    }
    told(context, &said);
}

bool browser_message_read(fw_bytes_t bytes, told_fn *told, void *context)
{
    Freshwire__V1__ServerMessage *message =
        freshwire__v1__server_message__unpack(NULL, bytes.size, bytes.data);
    if (!message)
        return false;
    read_message(message, told, context);
    freshwire__v1__server_message__free_unpacked(message, NULL);
    return true;
}
