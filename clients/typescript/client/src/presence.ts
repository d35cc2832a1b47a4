// SPDX-License-Identifier: MPL-2.0
// Who is in the rooms that are watched. Pure: frames go in, immutable snapshots come out.

import type { WireMember, WirePresence } from "./wire.js";

export interface PresenceMember {
  readonly userId: string;
  /** Tabs and devices of this user in the room. */
  readonly sessions: number;
}

/** A snapshot; replaced, never changed. */
export interface Presence {
  readonly channel: string;
  /** Sorted by user; empty when `tooMany`. */
  readonly members: readonly PresenceMember[];
  /** Users in the room. */
  readonly count: number;
  /** The room is too large to be listed: only `count` is known. */
  readonly tooMany: boolean;
}

/** What became of a room; of a whole list, against the one before. */
export interface PresenceChange {
  channel: string;
  presence: Presence;
  joined: readonly PresenceMember[];
  left: readonly PresenceMember[];
}

interface Room {
  members: Map<string, number>;
  /** The list that is coming in parts; shown when it is whole. */
  incoming: Map<string, number> | undefined;
  snapshot: Presence | undefined;
}

/** Members of a frame that make sense; a server that is newer may say more. */
function listOf(members: unknown): WireMember[] {
  if (!Array.isArray(members)) return [];
  return (members as unknown[]).filter((member): member is WireMember => {
    const { user_id, sessions } = (member ?? {}) as Partial<WireMember>;
    return typeof user_id === "string" && typeof sessions === "number";
  });
}

function compare(a: PresenceMember, b: PresenceMember): number {
  return a.userId < b.userId ? -1 : a.userId > b.userId ? 1 : 0;
}

function membersOf(sessions: ReadonlyMap<string, number>): PresenceMember[] {
  return [...sessions].map(([userId, count]) => ({ userId, sessions: count })).sort(compare);
}

export class PresenceRooms {
  readonly #rooms = new Map<string, Room>();

  /** False when it is watched already. */
  watch(channel: string): boolean {
    if (this.#rooms.has(channel)) return false;
    this.#rooms.set(channel, { members: new Map(), incoming: undefined, snapshot: undefined });
    return true;
  }

  unwatch(channel: string): void {
    this.#rooms.delete(channel);
  }

  isWatched(channel: string): boolean {
    return this.#rooms.has(channel);
  }

  /** Undefined until the first list has come. */
  snapshot(channel: string): Presence | undefined {
    return this.#rooms.get(channel)?.snapshot;
  }

  /** A list that was half there will come anew; what is shown stays until then. */
  disconnected(): void {
    for (const room of this.#rooms.values()) room.incoming = undefined;
  }

  /** Forgets who was there, for another user. */
  forget(): void {
    for (const room of this.#rooms.values()) {
      room.members = new Map();
      room.incoming = undefined;
      room.snapshot = undefined;
    }
  }

  /** The change that a frame makes; undefined when nothing is to be shown. */
  accept(frame: WirePresence): PresenceChange | undefined {
    const room = this.#rooms.get(frame.channel);
    if (!room) return undefined;
    const whole = frame.snapshot === true || room.incoming !== undefined;
    // A change without a list before it belongs to a list that was asked for again.
    if (!whole && !room.snapshot) return undefined;
    const next = this.#next(room, frame);
    if (whole && frame.more === true) {
      room.incoming = next;
      return undefined;
    }
    room.incoming = undefined;
    return this.#show(room, frame, next);
  }

  #next(room: Room, frame: WirePresence): Map<string, number> {
    const base = frame.snapshot === true ? [] : (room.incoming ?? room.members);
    const next = new Map<string, number>(base);
    for (const list of [frame.members, frame.join, frame.update]) {
      for (const { user_id, sessions } of listOf(list)) next.set(user_id, sessions);
    }
    for (const { user_id } of listOf(frame.leave)) next.delete(user_id);
    return next;
  }

  #show(room: Room, frame: WirePresence, next: Map<string, number>): PresenceChange {
    const before = room.members;
    const tooMany = frame.too_many === true;
    const members = tooMany ? new Map<string, number>() : next;
    room.members = members;
    const count = tooMany ? (frame.count ?? 0) : members.size;
    const presence = { channel: frame.channel, members: membersOf(members), count, tooMany };
    const wasListed = room.snapshot !== undefined && !room.snapshot.tooMany;
    room.snapshot = presence;
    const listed = wasListed && !tooMany;
    const joined = listed ? presence.members.filter(({ userId }) => !before.has(userId)) : [];
    const left = listed
      ? membersOf(new Map([...before].filter(([userId]) => !members.has(userId))))
      : [];
    return { channel: frame.channel, presence, joined, left };
  }
}
