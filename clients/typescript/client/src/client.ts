// SPDX-License-Identifier: MPL-2.0
// The client: the state machine, joined to a WebSocket, a clock and the page.

import { Batcher, type Batch } from "./batcher.js";
import type { Gap } from "./channels.js";
import { SyncError } from "./close.js";
import { systemClock, type Clock } from "./clock.js";
import { Emitter } from "./emitter.js";
import type { EventData, EventDefinitions, EventsOf, RegisteredEvents } from "./events.js";
import { Machine, type Effect, type Input, type TokenReason } from "./machine.js";
import { watchPage, type PageWatcher } from "./page.js";
import type { Presence, PresenceChange } from "./presence.js";
import { decodeMessage, SUBPROTOCOL, type ChannelPosition, type SyncEvent } from "./wire.js";

/** A socket or channel that nobody uses any more is kept for so long, milliseconds. */
const LINGER_MS = 1_000;
const OPEN = 1;

export interface TokenRequest {
  reason: TokenReason;
  /** Aborted when the answer is no longer of use. */
  signal: AbortSignal;
}

export type GetToken = (
  request: TokenRequest,
) => string | null | undefined | Promise<string | null | undefined>;

export interface SyncClientOptions<Events extends EventDefinitions = RegisteredEvents> {
  /** Address of the endpoint, for example "/ws"; relative to the page. A function is asked before each try. */
  url: string | (() => string | Promise<string>);
  /** The application's event types; see `defineEvents`. */
  events?: Events;
  /** Asked before every connection. Throw `UnauthorizedError` to stop. Absent: anonymous. */
  getToken?: GetToken | undefined;
  /** "message": in fw.hello (default). "query": as `?token=`, where logs and proxies may see it. */
  auth?: "message" | "query";
  /** Full jitter between 0 and min(capMs, baseMs * 2 ** attempt); false: never. Defaults 1000 and 30000. */
  reconnect?: { baseMs?: number; capMs?: number } | false;
  /** The least time between two batches, milliseconds. Default 25. */
  coalesceMs?: number;
  /** Names this tab; events that it caused come back with it. Default: random. */
  origin?: string;
  /** Replaced by tests. */
  WebSocket?: new (url: string, protocols: string) => WebSocket;
  clock?: Clock;
  random?: () => number;
  page?: PageWatcher;
}

export type SyncState = "idle" | "connecting" | "live" | "reconnecting" | "stopped";

/** A snapshot; replaced, never changed. */
export interface SyncStatus {
  readonly state: SyncState;
  readonly sessionId: string | undefined;
  readonly userId: string | undefined;
  /** Tries since the connection was last stable. */
  readonly attempt: number;
  /** Why the last connection ended, until the next one is live. */
  readonly error: SyncError | undefined;
  /** The server is without its broker: the connection stands, but events come late, or as gaps. */
  readonly degraded: boolean;
}

export interface SyncClientEvents<Event extends SyncEvent = SyncEvent> {
  /** Each event, in order and once. */
  event: Event;
  /** Events and gaps of a moment together: what an invalidation should act on. */
  batch: { events: Event[]; gaps: Gap[] };
  /** A place was lost: what the channel shows must be fetched again. */
  gap: Gap;
  status: SyncStatus;
  /** Somebody came or went in a room that is watched. */
  presence: PresenceChange;
  /** Refusals, lost connections that end in "stopped", listeners that threw. */
  error: unknown;
}

export interface ChannelHandlers {
  onGap?: (gap: Gap) => void;
  onError?: (error: SyncError) => void;
}

export interface PublishOptions {
  /** An ordinary event, with a place and a history, if the gateway allows it; else for those who are there now. */
  keep?: boolean;
}

/** The data of a type that is known; of any other, anything. */
export type DataOf<Events, Type extends string> = Type extends keyof Events
  ? EventData<Events[Type]>
  : unknown;

export interface SyncClient<Events extends EventDefinitions = RegisteredEvents> {
  readonly origin: string;
  readonly events: Events | undefined;
  readonly status: SyncStatus;
  /** Where each channel stands. */
  positions(): ChannelPosition[];
  connect(): void;
  /** Disconnects and stays so until `connect()`. */
  disconnect(): void;
  /** Gives up the present connection, if any, and makes a new one now. */
  reconnect(): void;
  /** Another user, or none: leaves at once, forgets every place, and comes back with a new token. */
  setIdentity(identity: string | undefined): void;
  /** Keeps the client connected until released; released by all, it lingers for a second. */
  hold(): () => void;
  /** Adds a channel to the endpoint's own, counted by reference. */
  subscribe(
    channel: string,
    onEvent?: (event: EventsOf<Events>) => void,
    handlers?: ChannelHandlers,
  ): () => void;
  on<Name extends keyof SyncClientEvents>(
    name: Name,
    listener: (value: SyncClientEvents<EventsOf<Events>>[Name]) => void,
  ): () => void;
  /**
   * Publishes an event of this user into a room that is subscribed. Resolves once the gateway has taken it (with
   * `keep`: once the broker has), and rejects with a `SyncError`, `temporary` when it may be tried again.
   */
  publish<Type extends string>(
    channel: string,
    type: Type,
    data: DataOf<Events, Type>,
    options?: PublishOptions,
  ): Promise<void>;
  /** Subscribes to a room and to who is in it, counted by reference. */
  watchPresence(
    channel: string,
    onChange?: (change: PresenceChange) => void,
    onError?: (error: SyncError) => void,
  ): () => void;
  /** Who is in a watched room; undefined before the first list. The same object until something changes. */
  presence(channel: string): Presence | undefined;
  /** Sends a message of one's own. False when there is no live connection: nothing is queued. */
  send(message: unknown): boolean;
}

export function createSyncClient<const Events extends EventDefinitions = RegisteredEvents>(
  options: SyncClientOptions<Events>,
): SyncClient<Events> {
  return new Client(options as SyncClientOptions<never>) as unknown as SyncClient<Events>;
}

/** A name for this tab. It need not be secret, only unlikely to be taken. */
export function createOrigin(): string {
  const part = () => Math.random().toString(36).slice(2, 12);
  return part() + part();
}

interface Reference {
  count: number;
  lingering: unknown;
}

class Client {
  readonly origin: string;
  readonly events: unknown;
  status: SyncStatus;

  readonly #options: SyncClientOptions<never>;
  readonly #clock: Clock;
  readonly #machine: Machine;
  readonly #emitter: Emitter<SyncClientEvents>;
  readonly #batcher: Batcher;
  readonly #inputs: Input[] = [];
  #running = false;
  #socket: WebSocket | undefined;
  #abort: AbortController | undefined;
  #timer: unknown;
  #timerAt = Infinity;
  #unwatch: (() => void) | undefined;

  #identity: string | undefined;
  #wanted = false;
  #disconnected = false;
  #holds = 0;
  #lingering: unknown;
  readonly #references = new Map<string, Reference>();
  readonly #watches = new Map<string, Reference>();
  #publishes = 0;
  readonly #publishing = new Map<number, (error: SyncError | undefined) => void>();

  constructor(options: SyncClientOptions<never>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.origin = options.origin ?? createOrigin();
    this.events = options.events;
    const random = options.random ?? Math.random;
    const reconnect = options.reconnect || {};
    this.#machine = new Machine({
      origin: this.origin,
      hasToken: options.getToken !== undefined,
      tokenInHello: options.auth !== "query",
      reconnect: options.reconnect !== false,
      baseMs: reconnect.baseMs ?? 1_000,
      capMs: reconnect.capMs ?? 30_000,
      random,
    });
    this.#emitter = new Emitter((error, name) => this.#report(error, name));
    this.#batcher = new Batcher(this.#clock, options.coalesceMs ?? 25, random, (batch: Batch) =>
      this.#emitter.emit("batch", batch),
    );
    this.status = this.#snapshot();
  }

  positions(): ChannelPosition[] {
    return this.#machine.channels.positions();
  }

  connect(): void {
    this.#wanted = true;
    this.#disconnected = false;
    if (this.#machine.phase !== "waiting") this.#input({ kind: "connect" });
  }

  disconnect(): void {
    this.#wanted = false;
    this.#disconnected = true;
    this.#input({ kind: "disconnect" });
  }

  reconnect(): void {
    this.#wanted = true;
    this.#disconnected = false;
    this.#input({ kind: "disconnect" });
    this.#input({ kind: "connect" });
  }

  setIdentity(identity: string | undefined): void {
    if (identity === this.#identity) return;
    this.#identity = identity;
    const active = this.#machine.phase !== "idle";
    this.#input({ kind: "disconnect", forget: true });
    this.#batcher.clear();
    if (active) this.#input({ kind: "connect" });
  }

  hold(): () => void {
    this.#holds += 1;
    this.#clock.clearTimeout(this.#lingering);
    if (this.#machine.phase === "idle" && !this.#disconnected) this.#input({ kind: "connect" });
    return once(() => {
      this.#holds -= 1;
      if (this.#holds > 0) return;
      this.#lingering = this.#clock.setTimeout(() => {
        if (this.#holds === 0 && !this.#wanted) this.#input({ kind: "disconnect" });
      }, LINGER_MS);
    });
  }

  subscribe(
    channel: string,
    onEvent?: (event: SyncEvent) => void,
    handlers: ChannelHandlers = {},
  ): () => void {
    const offs = [
      this.on("event", (event) => {
        if (event.channel === channel) return onEvent?.(event);
      }),
      this.on("gap", (gap) => {
        if (gap.channel === channel) return handlers.onGap?.(gap);
      }),
      this.on("error", (error) => {
        if (error instanceof SyncError && error.channel === channel) {
          return handlers.onError?.(error);
        }
      }),
    ];
    const release = this.#refer(this.#references, channel, "subscribe", "unsubscribe");
    return once(() => {
      for (const off of offs) off();
      release();
    });
  }

  publish(
    channel: string,
    type: string,
    data: unknown,
    { keep = false }: PublishOptions = {},
  ): Promise<void> {
    const id = ++this.#publishes;
    return new Promise((resolve, reject) => {
      this.#publishing.set(id, (error) => (error ? reject(error) : resolve()));
      this.#input({ kind: "publish", id, channel, event: type, data: data ?? null, keep });
    });
  }

  watchPresence(
    channel: string,
    onChange?: (change: PresenceChange) => void,
    onError?: (error: SyncError) => void,
  ): () => void {
    const off = this.on("presence", (change) => {
      if (change.channel === channel) return onChange?.(change);
    });
    // Before the subscription, which then asks for both at once.
    const unwatch = this.#refer(this.#watches, channel, "watch", "unwatch");
    const unsubscribe = this.subscribe(channel, undefined, onError ? { onError } : {});
    return once(() => {
      off();
      unwatch();
      unsubscribe();
    });
  }

  presence(channel: string): Presence | undefined {
    return this.#machine.presence.snapshot(channel);
  }

  /** Counts who wants a channel; it is let go a second after the last one. */
  #refer(
    references: Map<string, Reference>,
    channel: string,
    begin: "subscribe" | "watch",
    end: "unsubscribe" | "unwatch",
  ): () => void {
    const reference = references.get(channel) ?? { count: 0, lingering: undefined };
    references.set(channel, reference);
    this.#clock.clearTimeout(reference.lingering);
    reference.count += 1;
    if (reference.count === 1) this.#input({ kind: begin, channel });
    return once(() => {
      reference.count -= 1;
      if (reference.count > 0) return;
      reference.lingering = this.#clock.setTimeout(() => {
        references.delete(channel);
        this.#input({ kind: end, channel });
      }, LINGER_MS);
    });
  }

  on<Name extends keyof SyncClientEvents>(
    name: Name,
    listener: (value: SyncClientEvents[Name]) => void,
  ): () => void {
    return this.#emitter.on(name, listener);
  }

  send(message: unknown): boolean {
    if (this.#machine.phase !== "live" || this.#socket?.readyState !== OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** One input at a time: what a listener causes is handled after the present effects are through. */
  #input(input: Input): void {
    this.#inputs.push(input);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#inputs.shift(); next; next = this.#inputs.shift()) {
        for (const effect of this.#machine.handle(next, this.#clock.now())) this.#apply(effect);
        this.#settle();
      }
    } finally {
      this.#running = false;
    }
  }

  /** After each input: the timer, the page signs and the status follow the machine. */
  #settle(): void {
    const { deadline, phase } = this.#machine;
    this.#arm(deadline);
    const active = phase !== "idle" && phase !== "stopped";
    if (active && !this.#unwatch) {
      const wake = () => this.#input({ kind: "wake" });
      this.#unwatch = (this.#options.page ?? watchPage)(wake, this.#clock);
    } else if (!active) {
      this.#unwatch?.();
      this.#unwatch = undefined;
    }
    const status = this.#snapshot();
    const known = this.status;
    if (
      status.state === known.state &&
      status.sessionId === known.sessionId &&
      status.attempt === known.attempt &&
      status.error === known.error &&
      status.degraded === known.degraded
    ) {
      return;
    }
    this.status = status;
    this.#emitter.emit("status", status);
  }

  /** A timer that is armed for an earlier time stays: every message would otherwise re-arm it. */
  #arm(deadline: number): void {
    const now = this.#clock.now();
    if (deadline === Infinity || deadline < this.#timerAt) {
      this.#clock.clearTimeout(this.#timer);
      this.#timerAt = Infinity;
    }
    if (deadline === Infinity || this.#timerAt !== Infinity) return;
    this.#timerAt = deadline;
    this.#timer = this.#clock.setTimeout(
      () => {
        this.#timerAt = Infinity;
        this.#input({ kind: "timer" });
      },
      Math.max(0, deadline - now),
    );
  }

  #snapshot(): SyncStatus {
    const { phase, wasLive, sessionId, userId, attempt, error, degraded } = this.#machine;
    const trying = wasLive ? "reconnecting" : "connecting";
    const same = phase === "idle" || phase === "live" || phase === "stopped";
    return { state: same ? phase : trying, sessionId, userId, attempt, error, degraded };
  }

  #apply(effect: Effect): void {
    switch (effect.kind) {
      case "token":
        return this.#requestToken(effect.generation, effect.reason);
      case "open":
        return this.#open(effect.generation, effect.token);
      case "send":
        if (this.#socket?.readyState === OPEN) this.#socket.send(JSON.stringify(effect.frame));
        return;
      case "drop":
        this.#abort?.abort();
        this.#abort = undefined;
        this.#socket?.close();
        this.#socket = undefined;
        return;
      case "event": {
        const event = { ...effect.event, receivedAt: this.#clock.wall() };
        this.#emitter.emit("event", event);
        // Nothing was written: there is nothing to fetch again.
        if (event.ephemeral === true) return;
        return this.#batcher.event(event);
      }
      case "gap":
        this.#emitter.emit("gap", effect.gap);
        return this.#batcher.gap(effect.gap);
      case "presence":
        this.#emitter.emit("presence", effect.change);
        return;
      case "published": {
        const settle = this.#publishing.get(effect.id);
        this.#publishing.delete(effect.id);
        return settle?.(effect.error);
      }
      case "error":
        return this.#report(effect.error);
    }
  }

  #requestToken(generation: number, reason: TokenReason): void {
    const { signal } = (this.#abort = new AbortController());
    Promise.resolve()
      .then(() => this.#options.getToken?.({ reason, signal }))
      .then(
        (token) => this.#input({ kind: "token", generation, token: token ?? undefined }),
        (error: unknown) => this.#input({ kind: "token_failed", generation, error }),
      );
  }

  #open(generation: number, token: string | undefined): void {
    const { url } = this.#options;
    if (typeof url === "string") return this.#connectTo(url, generation, token);
    Promise.resolve()
      .then(url)
      .then((answer) => {
        if (generation === this.#machine.generation) this.#connectTo(answer, generation, token);
      })
      .catch((error: unknown) => {
        this.#input({ kind: "closed", generation, code: 1006, reason: String(error) });
      });
  }

  #connectTo(address: string, generation: number, token: string | undefined): void {
    let socket: WebSocket;
    try {
      const url = resolveUrl(address);
      if (this.#options.auth === "query" && token !== undefined) {
        url.searchParams.set("token", token);
      }
      socket = new (this.#options.WebSocket ?? WebSocket)(url.href, SUBPROTOCOL);
    } catch (error) {
      // An address that cannot be one will not become one: 1002 is a final code.
      return this.#input({ kind: "closed", generation, code: 1002, reason: String(error) });
    }
    this.#socket = socket;
    socket.onopen = () => this.#input({ kind: "opened", generation });
    socket.onclose = ({ code, reason }) =>
      this.#input({ kind: "closed", generation, code, reason });
    socket.onmessage = ({ data }) => this.#message(data, generation);
  }

  #message(data: unknown, generation: number): void {
    if (generation !== this.#machine.generation) return;
    try {
      for (const frame of decodeMessage(String(data))) {
        this.#input({ kind: "message", generation, frame });
      }
    } catch (error) {
      // Something may be lost in what cannot be read: resume from the last place.
      this.#report(error);
      this.#input({ kind: "closed", generation, code: 1006, reason: "malformed message" });
    }
  }

  /** To the "error" listeners; their own errors, and all when there are none, go to the console. */
  #report(error: unknown, from?: keyof SyncClientEvents): void {
    if (from === "error" || !this.#emitter.emit("error", error)) {
      console.error("freshwire:", error);
    }
  }
}

function resolveUrl(address: string): URL {
  const url = new URL(address, typeof location === "undefined" ? undefined : location.href);
  url.protocol = url.protocol.replace(/^http/, "ws");
  return url;
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    run();
  };
}
