// SPDX-License-Identifier: MPL-2.0
// Which channels are wanted and where each one stands. Pure: no clock, no socket.

import { isPosition, type ChannelPosition, type WireEvent, type WireSubscription } from "./wire.js";
import type { Position, WireWish } from "./wire.js";

export type GapReason =
  /** The channel was joined just now: what happened before was not seen. */
  | "joined"
  /** The server's history no longer reaches back to this place. */
  | "history"
  /** The session was too slow and the ring has overwritten its place. */
  | "lapped"
  /** The broker started anew: places of before mean nothing. */
  | "epoch"
  /** The broker started anew and cannot vouch for the cache yet: it is bypassed. */
  | "unconfirmed"
  /** An offset was skipped without an explanation. */
  | "hole";

/** The place in a channel is lost: what it shows must be fetched again. */
export interface Gap {
  channel: string;
  reason: GapReason;
}

interface Channel {
  /** Asked for by this side; otherwise the endpoint brought it. */
  wanted: boolean;
  /** The server has confirmed it on the present connection. */
  joined: boolean;
  position: Position | undefined;
  /** A lost place was already reported when the server said `recovered: false`; its fw.reset follows. */
  resetFollows: boolean;
}

/** The position in a message; a malformed one is none, so that the next is taken as it comes. */
function placeOf(value: Position): Position | undefined {
  return isPosition(value) ? { epoch: value.epoch, offset: value.offset } : undefined;
}

const reasons: readonly string[] = ["history", "lapped", "epoch", "unconfirmed"];

export class Channels {
  readonly #channels = new Map<string, Channel>();
  readonly #leaving = new Set<string>();

  want(name: string): void {
    this.#ensure(name).wanted = true;
  }

  /** Leaves a channel and forgets its place; events still under way are dropped. */
  leave(name: string): void {
    if (this.#channels.delete(name)) this.#leaving.add(name);
  }

  left(name: string): void {
    this.#leaving.delete(name);
  }

  isWanted(name: string): boolean {
    return this.#channels.get(name)?.wanted === true;
  }

  isJoined(name: string): boolean {
    return this.#channels.get(name)?.joined === true;
  }

  wish(name: string): WireWish {
    return { channel: name, ...this.#channels.get(name)?.position };
  }

  /** What fw.hello asks for: every wanted channel, and those of the endpoint whose place is known. */
  wishes(): WireWish[] {
    const names = [...this.#channels].filter(([, channel]) => channel.wanted || channel.position);
    return names.map(([name]) => this.wish(name));
  }

  positions(): ChannelPosition[] {
    return [...this.#channels].flatMap(([channel, { position }]) =>
      position ? [{ channel, ...position }] : [],
    );
  }

  /** A connection ended: places stay, confirmations do not. */
  disconnected(): void {
    this.#leaving.clear();
    for (const channel of this.#channels.values()) {
      channel.joined = false;
      channel.resetFollows = false;
    }
  }

  /** Forgets every place, for another user; what was wanted stays wanted. */
  forget(): void {
    this.#leaving.clear();
    const wanted = [...this.#channels].filter(([, channel]) => channel.wanted);
    this.#channels.clear();
    for (const [name] of wanted) this.want(name);
  }

  /** A refused channel of the endpoint is dropped: it belonged to an earlier user. True when it was known. */
  refuse(name: string): boolean {
    const channel = this.#channels.get(name);
    if (channel && !channel.wanted) this.#channels.delete(name);
    return channel !== undefined;
  }

  /** The server took a channel away that it had confirmed; its place stays known if it is wanted. */
  expel(name: string): void {
    const channel = this.#channels.get(name);
    if (channel) channel.joined = false;
    this.refuse(name);
  }

  /** The list in fw.welcome is complete for the endpoint's own channels. */
  welcome(subscriptions: readonly WireSubscription[]): Gap[] {
    const listed = new Set(subscriptions.map((subscription) => subscription.channel));
    for (const [name, channel] of this.#channels) {
      if (!channel.wanted && !listed.has(name)) this.#channels.delete(name);
    }
    return subscriptions.flatMap((subscription) => this.join(subscription, true));
  }

  /** The server confirmed a channel and says where it stands. */
  join(subscription: WireSubscription, learn = false): Gap[] {
    const name = subscription.channel;
    if (!learn && !this.isWanted(name)) return [];
    const channel = this.#ensure(name);
    const known = channel.position;
    channel.joined = true;
    if (known && subscription.recovered) return [];
    channel.position = placeOf(subscription);
    if (!known) return [{ channel: name, reason: "joined" }];
    channel.resetFollows = true;
    return [{ channel: name, reason: known.epoch === subscription.epoch ? "history" : "epoch" }];
  }

  reset(frame: ChannelPosition & { reason: string }): Gap[] {
    const channel = this.#channels.get(frame.channel);
    if (!channel) return [];
    const repeated =
      channel.resetFollows &&
      channel.position?.epoch === frame.epoch &&
      channel.position.offset === frame.offset;
    channel.resetFollows = false;
    channel.position = placeOf(frame);
    // What was reported at the welcome did not make anybody bypass caches; this one does.
    if (repeated && frame.reason !== "unconfirmed") return [];
    const reason = reasons.includes(frame.reason) ? (frame.reason as GapReason) : "history";
    return [{ channel: frame.channel, reason }];
  }

  /** The server moves the place forward without an event, for one that this session must not see. */
  move(frame: ChannelPosition): void {
    const position = this.#channels.get(frame.channel)?.position;
    if (position?.epoch !== frame.epoch || !isPosition(frame)) return;
    if (BigInt(frame.offset) > BigInt(position.offset)) position.offset = frame.offset;
  }

  /**
   * Decides whether an event is new here, and whether something before it is missing. An event
   * without a position (no channel, or no offset) cannot be compared and is always new.
   */
  accept(event: WireEvent): { deliver: boolean; gaps: Gap[] } {
    const name = event.channel;
    if (typeof name !== "string" || !isPosition(event)) return { deliver: true, gaps: [] };
    if (this.#leaving.has(name) && !this.#channels.has(name)) return { deliver: false, gaps: [] };
    const channel = this.#ensure(name);
    const last = channel.position;
    if (last?.epoch === event.epoch && BigInt(event.offset) <= BigInt(last.offset)) {
      return { deliver: false, gaps: [] };
    }
    channel.position = placeOf(event);
    channel.resetFollows = false;
    if (!last) return { deliver: true, gaps: [{ channel: name, reason: "joined" }] };
    if (last.epoch !== event.epoch) {
      return { deliver: true, gaps: [{ channel: name, reason: "epoch" }] };
    }
    const hole = BigInt(event.offset) !== BigInt(last.offset) + 1n;
    return { deliver: true, gaps: hole ? [{ channel: name, reason: "hole" }] : [] };
  }

  #ensure(name: string): Channel {
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = { wanted: false, joined: false, position: undefined, resetFollows: false };
      this.#channels.set(name, channel);
    }
    return channel;
  }
}
