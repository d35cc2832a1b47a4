/* client_message.c - see client_message.h.   SPDX-License-Identifier: MPL-2.0 */
#include "gateway/client_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "gateway/json_scan.h"
#include "gateway/limits.h"
#include "proto/channel.h"
#include "proto/codec.h"
#include "proto/utf8.h"
#include "runtime/alloc.h"

static int refuse(int result, const char *reason, const char **ret_reason)
{
    *ret_reason = reason;
    return result;
}

static fw_text_t text_of(const json_t *string)
{
    return (fw_text_t){json_string_value(string), json_string_length(string)};
}

/* An optional text. False when the member is there but is no printable text of at most size_max
 * bytes. */
static bool get_text(const json_t *object, const char *key, size_t size_max, fw_text_t *ret_text)
{
    const json_t *value = json_object_get(object, key);
    *ret_text = FW_TEXT_NONE;
    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value) || json_string_length(value) > size_max)
        return false;
    *ret_text = text_of(value);
    return fw_utf8_printable((fw_bytes_t){(const uint8_t *)ret_text->text, ret_text->size});
}

/* A channel, and a position when epoch and offset are there. An epoch that nobody could have got
 * from us is one that does not match, not an error: the answer to it is a reset. */
static int get_subscription(const json_t *object, fw_client_subscription_t *ret_subscription,
                            const char **ret_reason)
{
    fw_text_t epoch;
    fw_text_t offset;
    if (!json_is_object(object))
        return refuse(-EPROTO, "a subscription must be an object", ret_reason);
    if (!get_text(object, "channel", FW_CHANNEL_SIZE_MAX, &ret_subscription->channel) ||
        ret_subscription->channel.size == 0)
        return refuse(-EPROTO, "channel must be the name of a channel", ret_reason);
    if (!get_text(object, "epoch", 64, &epoch))
        return refuse(-EPROTO, "epoch must be a text", ret_reason);
    if (!get_text(object, "offset", FW_OFFSET_TEXT_SIZE_MAX, &offset))
        return refuse(-EPROTO, "offset must be a decimal number in a text", ret_reason);
    ret_subscription->positioned = epoch.size > 0 && offset.size > 0;
    ret_subscription->position = (fw_position_t){0, 0};
    if (epoch.size > 0 && fw_epoch_parse(epoch, &ret_subscription->position.epoch) != 0)
        ret_subscription->position.epoch = 0;
    if (offset.size > 0 && fw_offset_parse(offset, &ret_subscription->position.offset) != 0)
        return refuse(-EPROTO, "offset must be a decimal number in a text", ret_reason);
    const json_t *presence = json_object_get(object, "presence");
    ret_subscription->presence = FW_CLIENT_UNSAID;
    if (presence && !json_is_boolean(presence))
        return refuse(-EPROTO, "presence must be true or false", ret_reason);
    if (presence)
        ret_subscription->presence = json_is_true(presence) ? FW_CLIENT_YES : FW_CLIENT_NO;
    return 0;
}

static int parse_hello(const json_t *object, size_t subscriptions_max,
                       fw_client_message_t *ret_message, const char **ret_reason)
{
    const json_t *batch = json_object_get(object, "batch");
    const json_t *subscriptions = json_object_get(object, "subscriptions");
    size_t count = json_array_size(subscriptions);
    ret_message->kind = FW_CLIENT_HELLO;
    if (!get_text(object, "token", SIZE_MAX, &ret_message->token))
        return refuse(-EPROTO, "token must be a text", ret_reason);
    if (!get_text(object, "origin", FW_ORIGIN_SIZE_MAX, &ret_message->origin))
        return refuse(-EPROTO, "origin must be a text of at most 128 bytes", ret_reason);
    if (batch && !json_is_boolean(batch))
        return refuse(-EPROTO, "batch must be true or false", ret_reason);
    ret_message->batch = json_is_true(batch);
    if (subscriptions && !json_is_array(subscriptions))
        return refuse(-EPROTO, "subscriptions must be an array", ret_reason);
    if (count > subscriptions_max)
        return refuse(-E2BIG, "too many subscriptions", ret_reason);
    ret_message->subscriptions = fw_alloc(count + 1, sizeof *ret_message->subscriptions);
    for (size_t i = 0; i < count; i++) {
        int result = get_subscription(json_array_get(subscriptions, i),
                                      &ret_message->subscriptions[i], ret_reason);
        if (result != 0)
            return result;
        ret_message->subscriptions_count++;
    }
    return 0;
}

static int parse_refresh(const json_t *object, fw_client_message_t *ret_message,
                         const char **ret_reason)
{
    ret_message->kind = FW_CLIENT_REFRESH;
    if (!get_text(object, "token", SIZE_MAX, &ret_message->token) || ret_message->token.size == 0)
        return refuse(-EPROTO, "token must be a text", ret_reason);
    return 0;
}

static int parse_one_channel(const json_t *object, fw_client_kind_t kind,
                             fw_client_message_t *ret_message, const char **ret_reason)
{
    ret_message->kind = kind;
    ret_message->subscriptions = fw_alloc(1, sizeof *ret_message->subscriptions);
    int result = get_subscription(object, ret_message->subscriptions, ret_reason);
    ret_message->subscriptions_count = result == 0 ? 1 : 0;
    return result;
}

/* The data is written anew, without spaces: what a browser sent is not passed on byte by byte. */
static int parse_publish(const json_t *object, fw_client_message_t *ret_message,
                         const char **ret_reason)
{
    const json_t *keep = json_object_get(object, "keep");
    const json_t *data = json_object_get(object, "data");
    int result = parse_one_channel(object, FW_CLIENT_PUBLISH, ret_message, ret_reason);
    if (result != 0)
        return result;
    if (!get_text(object, "event", FW_EVENT_TYPE_SIZE_MAX, &ret_message->event) ||
        ret_message->event.size == 0)
        return refuse(-EPROTO, "event must be the type of an event", ret_reason);
    if (keep && !json_is_boolean(keep))
        return refuse(-EPROTO, "keep must be true or false", ret_reason);
    ret_message->keep = json_is_true(keep);
    if (!data)
        return 0;
    ret_message->data_text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!ret_message->data_text)
        return refuse(-EPROTO, "data cannot be read", ret_reason);
    ret_message->data =
        (fw_bytes_t){(const uint8_t *)ret_message->data_text, strlen(ret_message->data_text)};
    return 0;
}

static int parse_object(const json_t *object, size_t subscriptions_max,
                        fw_client_message_t *ret_message, const char **ret_reason)
{
    fw_text_t type;
    if (!get_text(object, "request_id", FW_REQUEST_ID_SIZE_MAX, &ret_message->request_id)) {
        ret_message->request_id = FW_TEXT_NONE;
        return refuse(-EPROTO, "request_id must be a text of at most 64 bytes", ret_reason);
    }
    if (!get_text(object, "type", FW_EVENT_TYPE_SIZE_MAX, &type) || type.size == 0)
        return refuse(-EPROTO, "type must be a text", ret_reason);
    if (fw_text_equal(type, FW_TEXT("fw.hello")))
        return parse_hello(object, subscriptions_max, ret_message, ret_reason);
    if (fw_text_equal(type, FW_TEXT("fw.subscribe")))
        return parse_one_channel(object, FW_CLIENT_SUBSCRIBE, ret_message, ret_reason);
    if (fw_text_equal(type, FW_TEXT("fw.unsubscribe")))
        return parse_one_channel(object, FW_CLIENT_UNSUBSCRIBE, ret_message, ret_reason);
    if (fw_text_equal(type, FW_TEXT("fw.refresh")))
        return parse_refresh(object, ret_message, ret_reason);
    if (fw_text_equal(type, FW_TEXT("fw.publish")))
        return parse_publish(object, ret_message, ret_reason);
    if (fw_text_equal(type, FW_TEXT("fw.ping")))
        ret_message->kind = FW_CLIENT_PING;
    else if (fw_text_equal(type, FW_TEXT("fw.pong")))
        ret_message->kind = FW_CLIENT_PONG;
    else
        return refuse(-EPROTO, "unknown type", ret_reason);
    return 0;
}

int fw_client_message_parse(fw_bytes_t text, size_t subscriptions_max,
                            fw_client_message_t *ret_message, const char **ret_reason)
{
    *ret_message = (fw_client_message_t){.request_id = FW_TEXT_NONE,
                                         .token = FW_TEXT_NONE,
                                         .origin = FW_TEXT_NONE,
                                         .event = FW_TEXT_NONE};
    if (fw_json_depth(text) > FW_CLIENT_DEPTH_MAX)
        return refuse(-EBADMSG, "nested too deeply", ret_reason);
    json_error_t error;
    json_t *document =
        json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    ret_message->document = document;
    if (!json_is_object(document))
        return refuse(-EBADMSG, "not a JSON object", ret_reason);
    return parse_object(document, subscriptions_max, ret_message, ret_reason);
}

/* A token is not left behind in freed memory. */
static void forget_token(json_t *document)
{
    const json_t *token = json_object_get(document, "token");
    union {
        const char *given;
        char *taken;
    } text = {.given = json_string_value(token)};
    if (text.given)
        explicit_bzero(text.taken, json_string_length(token));
}

void fw_client_message_clear(fw_client_message_t *self)
{
    forget_token(self->document);
    free(self->subscriptions);
    free(self->data_text);
    json_decref(self->document);
    *self = (fw_client_message_t){.request_id = FW_TEXT_NONE,
                                  .token = FW_TEXT_NONE,
                                  .origin = FW_TEXT_NONE,
                                  .event = FW_TEXT_NONE};
}
