// SPDX-License-Identifier: MPL-2.0
// The life of a connection as a state machine: inputs and the time go in, effects come out.
// Pure: it owns no socket, no timer and no clock; `now` is monotonic milliseconds, and the caller
// sends a "timer" input at `deadline`.

import { Channels, type Gap } from "./channels.js";
import { classifyClose, SyncError, UnauthorizedError } from "./close.js";
import { PresenceRooms, type PresenceChange } from "./presence.js";
import { lifetimeOf, Renewal } from "./renewal.js";
import { isControl, type ClientFrame, type Frame, type WireEvent, type WireWish } from "./wire.js";

/** Limits, milliseconds. */
const TOKEN_MS = 15_000;
const HANDSHAKE_MS = 10_000;
const PING_INTERVAL_MS = 25_000;
const PING_GRACE_MS = 10_000;
const PROBE_MS = 2_000;
const WAKE_MS = 1_000;
const FULL_MS = 5_000;
const STABLE_MS = 5_000;
const REFUSED_MAX = 16;
const PUBLISH_MS = 15_000;

/** What an event that nobody keeps does not have. */
const PLACELESS = { id: "", epoch: "", offset: "", fresh: "0", unconfirmed: false, spread_ms: 0 };

/** Codes after which many clients come back at once: the server's reconnect window spreads them. */
const CRASH_CODES = [1001, 1005, 1006, 1011, 1012];

export type TokenReason =
  /** The first connection, or the first after another user took over. */
  | "initial"
  /** An ordinary reconnection: the token of before may be given again. */
  | "reconnect"
  /** The token of the live connection expires soon, or just has: another one takes its place. */
  | "refresh"
  /** The server closed with 4100: the token has expired. */
  | "expired"
  /** The server closed with another code of 4101–4199. A refused token is never sent again. */
  | "rejected";

export type Input =
  | { kind: "connect" }
  | { kind: "disconnect"; forget?: boolean }
  | { kind: "token"; generation: number; token: string | undefined }
  | { kind: "token_failed"; generation: number; error: unknown }
  | { kind: "opened"; generation: number }
  | { kind: "message"; generation: number; frame: Frame }
  | { kind: "closed"; generation: number; code: number; reason: string }
  | { kind: "timer" }
  | { kind: "wake" }
  | { kind: "subscribe"; channel: string }
  | { kind: "unsubscribe"; channel: string }
  | { kind: "watch"; channel: string }
  | { kind: "unwatch"; channel: string }
  | { kind: "publish"; id: number; channel: string; event: string; data: unknown; keep: boolean };

export type Effect =
  | { kind: "token"; generation: number; reason: TokenReason }
  | { kind: "open"; generation: number; token: string | undefined }
  | { kind: "send"; frame: ClientFrame }
  /** Let go of the token request or socket of the present try; its later callbacks mean nothing. */
  | { kind: "drop" }
  | { kind: "event"; event: WireEvent }
  | { kind: "gap"; gap: Gap }
  | { kind: "presence"; change: PresenceChange }
  /** The end of a "publish". */
  | { kind: "published"; id: number; error: SyncError | undefined }
  | { kind: "error"; error: SyncError };

export type Phase = "idle" | "token" | "opening" | "live" | "waiting" | "stopped";

export interface MachineOptions {
  origin: string;
  /** A token can be had; without one, a refusal is final. */
  hasToken: boolean;
  /** The token travels in fw.hello; otherwise the caller has put it into the address. */
  tokenInHello: boolean;
  reconnect: boolean;
  baseMs: number;
  capMs: number;
  random: () => number;
}

interface Publish {
  id: number;
  channel: string;
  until: number;
}

interface Retry {
  at: number;
  tries: number;
}

export class Machine {
  readonly channels = new Channels();
  readonly presence = new PresenceRooms();
  phase: Phase = "idle";
  /** Names the present try; inputs of an older one are ignored. */
  generation = 0;
  /** When the next "timer" input is due. */
  deadline = Infinity;
  /** Tries since the connection was last stable. */
  attempt = 0;
  sessionId: string | undefined;
  userId: string | undefined;
  wasLive = false;
  /** The server has lost its broker: events may come late. */
  degraded = false;
  error: SyncError | undefined;

  readonly #options: MachineOptions;
  readonly #refused = new Set<string>();
  #effects: Effect[] = [];
  #reason: TokenReason = "initial";
  #token: string | undefined;
  #liveSince = 0;
  #heardAt = 0;
  #silenceMs = 0;
  #probeDeadline = Infinity;
  #windowMs = 0;
  #patient = false;
  #requests = 0;
  /** Channels named in fw.hello: their answers come with or after fw.welcome. */
  #asked: readonly string[] = [];
  readonly #pending = new Map<string, string>();
  readonly #retries = new Map<string, Retry>();
  readonly #publishes = new Map<string, Publish>();
  readonly #renewal = new Renewal();

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  handle(input: Input, now: number): Effect[] {
    this.#effects = [];
    const current = !("generation" in input) || input.generation === this.generation;
    if (current) this.#step(input, now);
    if (this.phase === "live") this.deadline = this.#liveDeadline();
    return this.#effects;
  }

  #step(input: Input, now: number): void {
    switch (input.kind) {
      case "connect":
        return this.#connect(now);
      case "disconnect":
        return this.#disconnect(input.forget === true);
      case "token":
        if (this.phase === "live") return this.#renew(input.token, now);
        return this.#open(input.token, now);
      case "token_failed":
        return this.#tokenFailed(input.error, now);
      case "opened":
        if (this.phase === "opening") this.#hello();
        return;
      case "message":
        if (this.phase === "opening" || this.phase === "live") this.#message(input.frame, now);
        return;
      case "closed":
        return this.#closed(input.code, input.reason, now);
      case "timer":
        return this.#timer(now);
      case "wake":
        return this.#wake(now);
      case "subscribe":
        this.channels.want(input.channel);
        if (this.phase === "live") this.#subscribe(input.channel);
        return;
      case "unsubscribe":
        return this.#unsubscribe(input.channel);
      case "watch":
        if (this.presence.watch(input.channel)) this.#watch(input.channel, true);
        return;
      case "unwatch":
        this.presence.unwatch(input.channel);
        return this.#watch(input.channel, false);
      case "publish":
        return this.#publish(input, now);
    }
  }

  #connect(now: number): void {
    if (this.phase !== "idle" && this.phase !== "stopped" && this.phase !== "waiting") return;
    if (this.phase === "stopped") this.attempt = 0;
    this.error = undefined;
    this.#begin(now);
  }

  #disconnect(forget: boolean): void {
    this.#drop();
    this.phase = "idle";
    this.deadline = Infinity;
    this.attempt = 0;
    this.error = undefined;
    if (!forget) return;
    this.channels.forget();
    this.presence.forget();
    this.#refused.clear();
    this.#reason = "initial";
    this.userId = undefined;
    this.wasLive = false;
  }

  /** The one way to a socket: every path, whatever caused it, asks for a token first. */
  #begin(now: number): void {
    this.generation += 1;
    this.phase = "token";
    this.deadline = now + TOKEN_MS;
    if (!this.#options.hasToken) return this.#open(undefined, now);
    this.#emit({ kind: "token", generation: this.generation, reason: this.#reason });
  }

  #open(token: string | undefined, now: number): void {
    if (this.phase !== "token") return;
    if (this.#options.hasToken && this.#refused.has(token ?? "")) {
      this.#fail(new SyncError("getToken gave a token that the server has refused", 4101));
      return this.#wait(this.#backoffMs(0), now);
    }
    this.#token = token;
    this.phase = "opening";
    this.deadline = now + HANDSHAKE_MS;
    this.#emit({ kind: "open", generation: this.generation, token });
  }

  #tokenFailed(error: unknown, now: number): void {
    const renewing = this.phase === "live" && this.#renewal.asking;
    if (this.phase !== "token" && !renewing) return;
    if (error instanceof UnauthorizedError) return this.#stop(error);
    const failure = new SyncError(`getToken failed: ${String(error)}`, 0, undefined, true);
    if (renewing) return this.#notRenewed(failure, now);
    this.#fail(failure);
    this.#wait(this.#backoffMs(0), now);
  }

  /** Asks for a token that takes the place of the one in use; the connection goes on meanwhile. */
  #askAgain(now: number): void {
    if (this.phase !== "live" || !this.#options.hasToken) return;
    this.#renewal.wait(now);
    this.#emit({ kind: "token", generation: this.generation, reason: "refresh" });
  }

  #renew(token: string | undefined, now: number): void {
    if (!this.#renewal.asking) return;
    // The old one again, or one that was refused: perhaps there is another a little later.
    if (token === undefined || token === this.#token || this.#refused.has(token)) {
      return this.#renewal.retry(now);
    }
    const request_id = `refresh-${++this.#requests}`;
    this.#renewal.wait(now, request_id, token);
    this.#send({ type: "fw.refresh", request_id, token });
  }

  #renewed(frame: Extract<Frame, { type: "fw.refreshed" }>, now: number): void {
    if (frame.request_id !== this.#renewal.request) return;
    this.#token = this.#renewal.token;
    this.#renewal.begin(frame.expires_in_ms, now, this.#options.random);
    // It may allow what the one before did not.
    for (const { channel } of this.channels.wishes()) this.#subscribe(channel);
  }

  /** The connection stays for as long as the server likes; a refused token is never sent again. */
  #notRenewed(error: SyncError, now: number): void {
    const { token } = this.#renewal;
    if (token !== undefined && classifyClose(error.code) === "token") this.#refuse(token);
    this.#renewal.retry(now);
    this.#emit({ kind: "error", error });
  }

  #hello(): void {
    const { origin, tokenInHello } = this.#options;
    const token = tokenInHello && this.#token !== undefined ? { token: this.#token } : {};
    const subscriptions = this.channels.wishes().map((wish) => this.#withPresence(wish));
    this.#asked = subscriptions.map(({ channel }) => channel);
    this.#send({ type: "fw.hello", ...token, origin, batch: true, subscriptions });
  }

  #message(frame: Frame, now: number): void {
    this.#heardAt = now;
    this.#probeDeadline = Infinity;
    if (!isControl(frame)) return this.#event(frame);
    switch (frame.type) {
      case "fw.welcome":
        return this.#welcome(frame, now);
      case "fw.subscribed":
        this.#pending.delete(frame.request_id);
        this.#retries.delete(frame.channel);
        return this.#gaps(this.channels.join(frame));
      case "fw.unsubscribed":
        if (frame.request_id === undefined) return this.#expelled(frame);
        return this.channels.left(frame.channel);
      case "fw.refreshed":
        return this.#renewed(frame, now);
      case "fw.expired":
        // Unless another one is on its way already.
        if (this.#renewal.request === undefined) this.#askAgain(now);
        return;
      case "fw.reset":
        return this.#gaps(this.channels.reset(frame));
      case "fw.position":
        return this.channels.move(frame);
      case "fw.error":
        return this.#refusal(frame, now);
      case "fw.presence": {
        const change = this.presence.accept(frame);
        if (change) this.#emit({ kind: "presence", change });
        return;
      }
      case "fw.published":
        return this.#published(frame.request_id, undefined);
      case "fw.ping":
        return this.#send({ type: "fw.pong" });
      case "fw.degraded":
        this.degraded = frame.degraded === true;
        return;
      case "fw.drain":
        this.#windowMs = milliseconds(frame.reconnect_window_ms, this.#windowMs);
    }
  }

  #welcome(frame: Extract<Frame, { type: "fw.welcome" }>, now: number): void {
    this.phase = "live";
    this.wasLive = true;
    this.error = undefined;
    this.sessionId = frame.session_id;
    this.degraded = frame.degraded === true;
    this.userId = frame.user_id;
    this.#reason = "reconnect";
    this.#liveSince = now;
    this.#silenceMs = milliseconds(frame.ping_interval_ms, PING_INTERVAL_MS) + PING_GRACE_MS;
    this.#windowMs = milliseconds(frame.reconnect_window_ms, 0);
    this.#renewal.begin(lifetimeOf(this.#token), now, this.#options.random);
    this.#gaps(this.channels.welcome(frame.subscriptions ?? []));
    // What was asked for after fw.hello had left.
    for (const { channel } of this.channels.wishes()) {
      if (!this.#asked.includes(channel)) this.#subscribe(channel);
    }
  }

  #event(received: WireEvent): void {
    const event = received.ephemeral === true ? { ...PLACELESS, ...received } : received;
    const { deliver, gaps } = this.channels.accept(event);
    this.#gaps(gaps);
    if (deliver) this.#emit({ kind: "event", event });
  }

  #subscribe(channel: string): void {
    if (this.channels.isJoined(channel) || [...this.#pending.values()].includes(channel)) return;
    const request_id = String(++this.#requests);
    this.#pending.set(request_id, channel);
    this.#send({
      type: "fw.subscribe",
      request_id,
      ...this.#withPresence(this.channels.wish(channel)),
    });
  }

  #withPresence(wish: WireWish): WireWish {
    return this.presence.isWatched(wish.channel) ? { ...wish, presence: true } : wish;
  }

  /** A channel that is joined already is asked for once more, from where it stands: nothing is lost. */
  #watch(channel: string, presence: boolean): void {
    if (this.phase !== "live" || !this.channels.isJoined(channel)) return;
    const request_id = String(++this.#requests);
    const wish = { ...this.channels.wish(channel), presence };
    this.#send({ type: "fw.subscribe", request_id, ...wish });
  }

  #publish(input: Extract<Input, { kind: "publish" }>, now: number): void {
    const { id, channel, event, data, keep } = input;
    if (this.phase !== "live") {
      const error = new SyncError("not connected", 0, channel, true);
      return this.#emit({ kind: "published", id, error });
    }
    const request_id = `publish-${++this.#requests}`;
    this.#publishes.set(request_id, { id, channel, until: now + PUBLISH_MS });
    this.#send({ type: "fw.publish", request_id, channel, event, data, keep });
  }

  #published(request_id: string | undefined, error: SyncError | undefined): void {
    const publish = this.#publishes.get(request_id ?? "");
    if (!publish) return;
    this.#publishes.delete(request_id ?? "");
    this.#emit({ kind: "published", id: publish.id, error });
  }

  /** Nobody knows whether they arrived. */
  #abandon(reason: string, due = Infinity): void {
    for (const [request_id, { channel, until }] of this.#publishes) {
      if (until <= due) this.#published(request_id, new SyncError(reason, 0, channel, true));
    }
  }

  #unsubscribe(channel: string): void {
    this.channels.leave(channel);
    this.#retries.delete(channel);
    if (this.phase !== "live") return;
    this.#send({ type: "fw.unsubscribe", request_id: String(++this.#requests), channel });
  }

  /** A channel that the server took away: its new token does not allow it any more. */
  #expelled(frame: Extract<Frame, { type: "fw.unsubscribed" }>): void {
    this.channels.expel(frame.channel);
    const reason = frame.reason ?? "unsubscribed";
    this.#emit({ kind: "error", error: new SyncError(reason, 4403, frame.channel) });
  }

  #refusal(frame: Extract<Frame, { type: "fw.error" }>, now: number): void {
    if (frame.request_id !== undefined && frame.request_id === this.#renewal.request) {
      return this.#notRenewed(new SyncError(frame.reason, frame.code), now);
    }
    if (frame.action === "publish" || frame.action === "presence") return this.#denied(frame);
    const channel = frame.channel ?? this.#pending.get(frame.request_id ?? "");
    this.#pending.delete(frame.request_id ?? "");
    const temporary = frame.temporary === true;
    const mine = channel === undefined || this.channels.isWanted(channel);
    if (channel !== undefined && temporary && mine) {
      const tries = this.#retries.get(channel)?.tries ?? 0;
      this.#retries.set(channel, { at: now + this.#backoffMs(0, tries), tries: tries + 1 });
    } else if (channel !== undefined) {
      this.channels.refuse(channel);
    }
    if (mine) {
      this.#emit({
        kind: "error",
        error: new SyncError(frame.reason, frame.code, channel, temporary),
      });
    }
  }

  /** What was asked for beside a subscription, which itself stands. */
  #denied(frame: Extract<Frame, { type: "fw.error" }>): void {
    const { reason, code, channel, temporary, request_id } = frame;
    const error = new SyncError(reason, code, channel, temporary === true);
    if (frame.action === "publish") return this.#published(request_id, error);
    this.#emit({ kind: "error", error });
  }

  #closed(code: number, reason: string, now: number): void {
    if (this.phase !== "opening" && this.phase !== "live") return;
    const closeClass = classifyClose(code);
    const error = new SyncError(reason || `closed with ${code}`, code);
    const stable = this.phase === "live" && now - this.#liveSince >= STABLE_MS;
    if (stable) this.attempt = 0;
    if (closeClass === "token" && this.#options.hasToken) {
      this.#refuse(this.#token ?? "");
      this.#reason = code === 4100 ? "expired" : "rejected";
      this.error = error;
      if (!this.#options.reconnect) return this.#stop(error);
      // A token that expired in a stable session is renewed at once.
      return this.#wait(stable ? 0 : this.#backoffMs(0), now);
    }
    // Without getToken the page has another way, such as a cookie, and it worked before.
    const worked = closeClass === "token" && code === 4100 && this.phase === "live";
    if (worked) return this.#lost(error, now);
    if (closeClass === "token" || closeClass === "final") return this.#stop(error);
    this.#lost(error, now);
  }

  #refuse(token: string): void {
    this.#refused.add(token);
    const oldest = this.#refused.values().next();
    if (this.#refused.size > REFUSED_MAX && !oldest.done) this.#refused.delete(oldest.value);
  }

  #lost(error: SyncError, now: number): void {
    if (!this.#options.reconnect) return this.#stop(error);
    this.error = error;
    const code = error.code;
    const spread = CRASH_CODES.includes(code) || code === 4000;
    const delay = this.#backoffMs(spread ? this.#windowMs : 0);
    if (classifyClose(code) === "wait") {
      this.#wait(FULL_MS + delay, now);
      this.#patient = true;
    } else {
      this.#wait(delay, now);
    }
  }

  #timer(now: number): void {
    if (now < this.deadline) return;
    if (this.phase === "waiting") return this.#begin(now);
    if (this.phase === "token") {
      this.#fail(new SyncError("getToken did not answer in time", 0, undefined, true));
      return this.#wait(this.#backoffMs(0), now);
    }
    if (this.phase === "opening") return this.#lost(new SyncError("no answer to fw.hello"), now);
    if (this.phase === "live") this.#liveTimer(now);
  }

  #liveTimer(now: number): void {
    if (now >= this.#probeDeadline || now >= this.#heardAt + this.#silenceMs) {
      if (now - this.#liveSince >= STABLE_MS) this.attempt = 0;
      return this.#lost(new SyncError("the connection went silent", 4003), now);
    }
    if (now >= this.#renewal.due) this.#askAgain(now);
    this.#abandon("the event was not acknowledged in time", now);
    for (const [channel, retry] of this.#retries) {
      if (now < retry.at) continue;
      retry.at = Infinity;
      this.#subscribe(channel);
    }
  }

  /** The page became visible, came back online or woke from sleep: an open socket may be dead. */
  #wake(now: number): void {
    if (this.phase === "waiting" && !this.#patient) {
      this.deadline = Math.min(this.deadline, now + this.#options.random() * WAKE_MS);
    } else if (this.phase === "live" && this.#probeDeadline === Infinity) {
      if (now - this.#heardAt < WAKE_MS) return;
      this.#probeDeadline = now + PROBE_MS;
      this.#send({ type: "fw.ping" });
    }
  }

  #wait(delayMs: number, now: number): void {
    this.#drop();
    this.phase = "waiting";
    this.#patient = false;
    this.attempt += 1;
    this.deadline = now + delayMs;
  }

  #stop(error: SyncError): void {
    this.#drop();
    this.phase = "stopped";
    this.deadline = Infinity;
    this.#fail(error);
  }

  #fail(error: SyncError): void {
    this.error = error;
    this.#emit({ kind: "error", error });
  }

  /** Ends the present try. Its callbacks carry an old generation from here on. */
  #drop(): void {
    if (this.phase === "token" || this.phase === "opening" || this.phase === "live") {
      this.#emit({ kind: "drop" });
    }
    this.generation += 1;
    this.sessionId = undefined;
    this.degraded = false;
    this.#probeDeadline = Infinity;
    this.#pending.clear();
    this.#retries.clear();
    this.#renewal.clear();
    this.#abandon("the connection was lost");
    this.channels.disconnected();
    this.presence.disconnected();
  }

  /** Full jitter: any time up to the ceiling, which a server's hint may raise. */
  #backoffMs(hintMs: number, attempt = this.attempt): number {
    const ceiling = Math.min(this.#options.capMs, this.#options.baseMs * 2 ** attempt);
    return this.#options.random() * Math.max(ceiling, hintMs);
  }

  #liveDeadline(): number {
    const silent = this.#heardAt + this.#silenceMs;
    let deadline = Math.min(this.#probeDeadline, silent, this.#renewal.due);
    for (const retry of this.#retries.values()) deadline = Math.min(deadline, retry.at);
    for (const { until } of this.#publishes.values()) deadline = Math.min(deadline, until);
    return deadline;
  }

  #gaps(gaps: Gap[]): void {
    for (const gap of gaps) this.#emit({ kind: "gap", gap });
  }

  #send(frame: ClientFrame): void {
    this.#emit({ kind: "send", frame });
  }

  #emit(effect: Effect): void {
    this.#effects.push(effect);
  }
}

/** A duration from the server, or the fallback when it makes no sense. */
function milliseconds(value: unknown, fallback: number): number {
  return typeof value === "number" && value >= 0 && value <= 3_600_000 ? value : fallback;
}
