/* topics.h - which topics the uplink is subscribed to, and since when for certain.
 * SPDX-License-Identifier: MPL-2.0
 * Pure. A topic is shared by all channels with its hash, so it is reference counted. A subscription
 * is certain once a fence that was subscribed after it has come back: fences are numbered from 1,
 * one is under way at a time, and each covers all topics subscribed before it. */
#pragma once

#include "proto/channel.h"

typedef struct fw_topics fw_topics_t;

fw_topics_t *fw_topics_new(void) __attribute__((warn_unused_result));
void fw_topics_destroy(fw_topics_t **self_p);

/* One more channel needs its topic. Returns the fence after which it is certain. */
uint32_t fw_topics_hold(fw_topics_t *self, fw_text_t channel);
/* One channel less needs it. */
void fw_topics_release(fw_topics_t *self, fw_text_t channel);
/* The fence of a topic that is held. */
uint32_t fw_topics_fence_of(const fw_topics_t *self, fw_text_t channel);
bool fw_topics_passed(const fw_topics_t *self, uint32_t fence);

/* The next change to be made on the socket; false when there is none. */
bool fw_topics_next_change(fw_topics_t *self, char ret_topic[FW_TOPIC_SIZE], bool *ret_subscribe);
/* The fence to be subscribed now; 0 when none is needed or one is under way, or changes are to be
 * made first. */
uint32_t fw_topics_next_fence(fw_topics_t *self);
/* It came back. True when it is the first one since fw_topics_repeat or _refence. */
bool fw_topics_fenced(fw_topics_t *self, uint32_t fence);
/* The fence that has not come back yet; 0 when there is none. */
uint32_t fw_topics_under_way(const fw_topics_t *self);
/* It will not come back: the link drops what a slow gateway does not read. The next one takes its
 * place. */
void fw_topics_lost(fw_topics_t *self);
/* The connection may have been a new one for a moment: a fence shows when all subscriptions are
 * known again. */
void fw_topics_refence(fw_topics_t *self);
/* The socket is a new one: every topic has to be subscribed again. */
void fw_topics_repeat(fw_topics_t *self);
