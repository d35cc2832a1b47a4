/* browser.c - see browser.h.   SPDX-License-Identifier: MPL-2.0 */
#include "tests/simulation/browser.h"

#include <jansson.h>
#include <string.h>

static sim_place_t *find_place(sim_browser_t *self, size_t channel)
{
    for (size_t i = 0; i < self->places_count; i++)
        if (self->places[i].channel == channel)
            return &self->places[i];
    return NULL;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool read_position(const json_t *object, fw_position_t *ret_position)
{
    return fw_epoch_parse(fw_text(text_of(object, "epoch")), &ret_position->epoch) == 0 &&
           fw_offset_parse(fw_text(text_of(object, "offset")), &ret_position->offset) == 0;
}

/* --- the page */

/* P3: nothing older than what it was told. While a purge is owed only the refetch that its event
 * asks for can be promised: it bypasses the cache. */
static void fetch(sim_browser_t *self, sim_truth_t *truth, size_t object, uint64_t fresh,
                  bool bypass)
{
    uint32_t version = sim_backend_read(self->backend, object, fresh, bypass);
    bool owed = version < self->backend->committed[object] && sim_truth_owed(truth, object) > 0;
    if (version < self->told[object] && !owed)
        sim_violation(truth, "browser %zu: reads version %u of an object of which it knows %u",
                      self->number, version, self->told[object]);
    self->screen[object] = version;
    self->excused[object] = owed;
    self->excuses += owed;
}

static void fetch_channel(sim_browser_t *self, sim_truth_t *truth, size_t channel, bool bypass)
{
    for (size_t object = channel; object < SIM_OBJECTS; object += SIM_CHANNELS)
        fetch(self, truth, object, 0, bypass);
}

void sim_browser_check_screen(sim_browser_t *self, sim_truth_t *truth)
{
    for (size_t i = 0; i < self->places_count; i++) {
        for (size_t object = self->places[i].channel; object < SIM_OBJECTS;
             object += SIM_CHANNELS) {
            if (self->screen[object] != self->backend->committed[object] &&
                !self->excused[object]) {
                sim_violation(truth, "browser %zu: shows version %u of object %zu, which is at %u",
                              self->number, self->screen[object], object,
                              self->backend->committed[object]);
            }
        }
    }
}

/* --- messages */

static void on_subscribed(sim_browser_t *self, sim_truth_t *truth, const json_t *item)
{
    fw_position_t position;
    sim_place_t *place = find_place(self, sim_channel_index(text_of(item, "channel")));
    bool recovered = json_is_true(json_object_get(item, "recovered"));
    if (!place || !read_position(item, &position)) {
        sim_violation(truth, "browser %zu: welcome to a channel that it does not have",
                      self->number);
        return;
    }
    if (!place->known) {
        if (recovered)
            sim_violation(truth, "browser %zu: recovered without a position", self->number);
        place->position = position;
        place->known = true;
        fetch_channel(self, truth, place->channel, false);
    } else if (!recovered) {
        place->broken = true;
    } else if (position.epoch != place->position.epoch ||
               position.offset != place->position.offset) {
        sim_violation(truth, "browser %zu: recovered at %llu, not at its own %llu", self->number,
                      (unsigned long long)position.offset,
                      (unsigned long long)place->position.offset);
    }
}

static void on_welcome(sim_browser_t *self, sim_truth_t *truth, const json_t *message)
{
    size_t index;
    json_t *item;
    const json_t *list = json_object_get(message, "subscriptions");
    if (self->welcomed)
        sim_violation(truth, "browser %zu: welcomed twice", self->number);
    self->welcomed = true;
    json_array_foreach(list, index, item) on_subscribed(self, truth, item);
    if (json_array_size(list) != self->places_count)
        sim_violation(truth, "browser %zu: welcome does not name every channel", self->number);
}

/* P5: what was lost with an epoch was flushed from the cache before, unless the reset is marked. */
static void check_flushed(sim_browser_t *self, sim_truth_t *truth, size_t channel, uint64_t epoch)
{
    const uint32_t *gone = sim_truth_gone(truth, channel, epoch);
    for (size_t object = channel; object < SIM_OBJECTS; object += SIM_CHANNELS) {
        if (self->screen[object] < gone[object])
            sim_violation(truth, "browser %zu: was reset, and reads version %u where %u is lost",
                          self->number, self->screen[object], gone[object]);
    }
}

static void on_reset(sim_browser_t *self, sim_truth_t *truth, const json_t *message)
{
    fw_position_t position;
    bool through_cache = strcmp(text_of(message, "reason"), "epoch") == 0;
    sim_place_t *place = find_place(self, sim_channel_index(text_of(message, "channel")));
    if (!place || !read_position(message, &position)) {
        sim_violation(truth, "browser %zu: reset of a channel that it does not have", self->number);
        return;
    }
    place->position = position;
    place->known = true;
    place->broken = false;
    self->resets++;
    self->doubtful += strcmp(text_of(message, "reason"), "unconfirmed") == 0;
    fetch_channel(self, truth, place->channel, !through_cache);
    if (through_cache)
        check_flushed(self, truth, place->channel, position.epoch);
}

/* P1: an event that is not flagged was purged before. P3: its refetch finds it. */
static void check_purge(sim_browser_t *self, sim_truth_t *truth, const json_t *message,
                        uint32_t number)
{
    const sim_event_t *event = &truth->events[number];
    uint64_t fresh = 0;
    bool unconfirmed = json_is_true(json_object_get(message, "unconfirmed"));
    if (!event->purges)
        return;
    if (!unconfirmed &&
        (fw_offset_parse(fw_text(text_of(message, "fresh")), &fresh) < 0 || event->purged_at == 0))
        sim_violation(truth, "browser %zu: event %u before its purge", self->number, number);
    if (number > self->told[event->object])
        self->told[event->object] = number;
    fetch(self, truth, event->object, fresh, unconfirmed);
    if (self->screen[event->object] < number)
        sim_violation(truth, "browser %zu: refetch for event %u finds %u", self->number, number,
                      self->screen[event->object]);
}

static void on_event(sim_browser_t *self, sim_truth_t *truth, const json_t *message)
{
    fw_position_t position;
    size_t channel = sim_channel_index(text_of(message, "channel"));
    sim_place_t *place = find_place(self, channel);
    json_t *data = json_object_get(message, "data");
    uint32_t number = (uint32_t)json_integer_value(json_object_get(data, "n"));
    if (!place || !read_position(message, &position)) {
        sim_violation(truth, "browser %zu: event of a channel that it does not have", self->number);
        return;
    }
    if (!self->welcomed || !place->known || place->broken)
        sim_violation(truth, "browser %zu: event before its place was decided", self->number);
    if (position.epoch != place->position.epoch || position.offset != place->position.offset + 1) {
        sim_violation(truth, "browser %zu: %s went from %llu to %llu", self->number,
                      sim_channel_name(channel), (unsigned long long)place->position.offset,
                      (unsigned long long)position.offset);
    }
    place->position = position;
    if (sim_truth_at(truth, channel, position) != number || number >= SIM_EVENTS_MAX) {
        sim_violation(truth, "browser %zu: event %u is not what was released there", self->number,
                      number);
        return;
    }
    check_purge(self, truth, message, number);
    self->events++;
}

static void on_message(sim_browser_t *self, sim_truth_t *truth, const char *text, size_t size)
{
    json_t *message = json_loadb(text, size, 0, NULL);
    const char *type = text_of(message, "type");
    if (!message)
        sim_violation(truth, "browser %zu: not JSON", self->number);
    else if (strcmp(type, "fw.welcome") == 0)
        on_welcome(self, truth, message);
    else if (strcmp(type, "fw.reset") == 0)
        on_reset(self, truth, message);
    else if (strncmp(type, "fw.", 3) == 0)
        sim_violation(truth, "browser %zu: unexpected %s", self->number, type);
    else
        on_event(self, truth, message);
    json_decref(message);
}

void sim_browser_read(sim_browser_t *self, sim_truth_t *truth, fw_bytes_t bytes)
{
    size_t at = 0;
    while (at + 2 <= bytes.size) {
        size_t size = bytes.data[at + 1];
        size_t head = 2;
        if (size == 126) {
            size = (size_t)bytes.data[at + 2] << 8 | bytes.data[at + 3];
            head = 4;
        }
        if (bytes.data[at] != 0x81 || size == 127 || at + head + size > bytes.size) {
            sim_violation(truth, "browser %zu: broken frame", self->number);
            return;
        }
        on_message(self, truth, (const char *)bytes.data + at + head, size);
        at += head + size;
    }
}

void sim_browser_disconnected(sim_browser_t *self)
{
    self->welcomed = false;
    for (size_t i = 0; i < self->places_count; i++)
        self->places[i].broken = false;
}
