// SPDX-License-Identifier: MPL-2.0
// The JSON messages of the subprotocol freshwire.v1.json (docs/protocol.md).

export const SUBPROTOCOL = "freshwire.v1.json";

/** A place in one channel. Offsets are decimal strings because they are 64 bits wide. */
export interface Position {
  epoch: string;
  offset: string;
}

export interface ChannelPosition extends Position {
  channel: string;
}

/** An event as the gateway sends it. */
export interface WireEvent<Type extends string = string, Data = unknown> extends ChannelPosition {
  type: Type;
  data: Data;
  id: string;
  /** The publisher's wall clock, milliseconds. */
  ts: number;
  /** Freshness token: a read that carries it is never answered from an older copy. "0" = nothing was purged. */
  fresh: string;
  /** The purge was not confirmed in time: the refetch must bypass caches. */
  unconfirmed: boolean;
  /** Window over which a large audience spreads its refetches. */
  spread_ms: number;
  /** The browser tab that caused the event. */
  origin?: string;
  user_id?: string;
  /** Published by the browser of `user_id`, which the gateway vouches for, and not by a service. */
  client?: boolean;
  /** For those who were there: it has no place (`epoch` and `offset` are empty) and no history. */
  ephemeral?: boolean;
}

/** An event with the time it arrived here. */
export interface SyncEvent<Type extends string = string, Data = unknown>
  extends WireEvent<Type, Data> {
  /** This browser's wall clock at arrival, milliseconds. */
  receivedAt: number;
}

export interface WireSubscription extends Position {
  channel: string;
  recovered: boolean;
}

export interface WireMember {
  user_id: string;
  sessions: number;
}

export interface WirePresence {
  type: "fw.presence";
  channel: string;
  members?: WireMember[];
  snapshot?: boolean;
  /** The rest of the list follows, as joins. */
  more?: boolean;
  join?: WireMember[];
  leave?: WireMember[];
  update?: WireMember[];
  count?: number;
  too_many?: boolean;
}

export type ServerFrame =
  | {
      type: "fw.welcome";
      session_id: string;
      user_id?: string;
      ping_interval_ms: number;
      reconnect_window_ms: number;
      degraded?: boolean;
      subscriptions: WireSubscription[];
    }
  | ({ type: "fw.subscribed"; request_id: string } & WireSubscription)
  | { type: "fw.unsubscribed"; request_id?: string; channel: string; reason?: string }
  | { type: "fw.refreshed"; request_id: string; expires_in_ms?: number }
  | { type: "fw.expired"; grace_ms: number }
  | ({ type: "fw.reset"; reason: string } & ChannelPosition)
  | ({ type: "fw.position" } & ChannelPosition)
  | {
      type: "fw.error";
      request_id?: string;
      code: number;
      reason: string;
      temporary?: boolean;
      channel?: string;
      /** What failed when it is not the request as a whole: "presence", "publish". */
      action?: string;
    }
  | { type: "fw.published"; request_id?: string }
  | WirePresence
  | { type: "fw.ping" }
  | { type: "fw.pong" }
  | { type: "fw.degraded"; degraded: boolean }
  | { type: "fw.drain"; reconnect_window_ms: number };

export interface WireWish {
  channel: string;
  epoch?: string;
  offset?: string;
  presence?: boolean;
}

export type ClientFrame =
  | {
      type: "fw.hello";
      token?: string;
      origin: string;
      batch: true;
      subscriptions: WireWish[];
    }
  | ({ type: "fw.subscribe"; request_id: string } & WireWish)
  | { type: "fw.unsubscribe"; request_id: string; channel: string }
  | {
      type: "fw.publish";
      request_id: string;
      channel: string;
      event: string;
      data: unknown;
      keep: boolean;
    }
  | { type: "fw.refresh"; request_id: string; token: string }
  | { type: "fw.ping" }
  | { type: "fw.pong" };

/** Anything the server may say. Unknown `fw.` types come from a newer server and are ignored. */
export type Frame = ServerFrame | WireEvent;

export function isControl(frame: Frame): frame is ServerFrame {
  return frame.type.startsWith("fw.");
}

/** Splits a WebSocket message, which may hold several objects, one a line. Throws on malformed JSON. */
export function decodeMessage(text: string): Frame[] {
  const frames: Frame[] = [];
  for (const line of text.split("\n")) {
    if (!line) continue;
    const frame = JSON.parse(line) as Frame | null;
    if (typeof frame?.type !== "string") throw new SyntaxError("a message without a type");
    frames.push(frame);
  }
  return frames;
}

/** A position that counts: both parts present and the offset a decimal number of at most 20 digits. */
export function isPosition(value: Partial<Position>): value is Position {
  return (
    typeof value.epoch === "string" &&
    typeof value.offset === "string" &&
    /^\d{1,20}$/.test(value.offset)
  );
}
