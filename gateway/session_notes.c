/* session_notes.c - a subscription's cursor into the notes of its channel.
 * SPDX-License-Identifier: MPL-2.0
 * The cursor lives beside the subscriber, where it costs an idle session nothing. */
#include "gateway/notes.h"
#include "gateway/session.h"

static fw_subscriber_t *subscriber_of(const fw_subscription_t *self)
{
    return &self->channel->subscribers[self->place];
}

const fw_entry_t *fw_note_next(fw_subscription_t *self, bool binary)
{
    fw_notes_t *notes = self->channel->notes;
    fw_subscriber_t *subscriber = subscriber_of(self);
    fw_note_place_t place = {subscriber->note, self->watches, self->list, self->parts};
    if (!notes)
        return NULL;
    const fw_entry_t *entry = fw_notes_next(notes, &place, binary);
    subscriber->note = place.cursor;
    self->list = place.list;
    self->parts = place.parts;
    return entry;
}

void fw_note_took(fw_subscription_t *self)
{
    subscriber_of(self)->note++;
}

bool fw_note_waits(const fw_subscription_t *self)
{
    const fw_notes_t *notes = self->channel->notes;
    return notes && (self->list || subscriber_of(self)->note != fw_notes_head(notes));
}
