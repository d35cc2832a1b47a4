// SPDX-License-Identifier: MPL-2.0
// A gateway in memory that speaks freshwire.v1.json: hello, resume, reset, history, close codes.

import type { Clock } from "../clock.js";
import type { ClientFrame, Position, ServerFrame, WireEvent, WireWish } from "../wire.js";

export interface FakeServerOptions {
  clock: Clock;
  /** One way, milliseconds. Default 0. */
  latencyMs?: number;
  pingIntervalMs?: number;
  reconnectWindowMs?: number;
  /** Events kept for resume in each channel. Default 100. */
  history?: number;
  /** The user of a token; "refused" closes with 4101. Default: the token is the user's id. */
  authenticate?: (token: string | undefined) => string | undefined | "refused";
  /** How long tokens are good, milliseconds; then fw.expired and, after the grace, 4100. Default: for ever. */
  tokenMs?: number;
  /** Default 10000. */
  graceMs?: number;
  /** Channels that nobody may subscribe to. */
  forbidden?: (channel: string) => boolean;
  /** Rooms in which nobody may see who is there, or publish. */
  private?: (channel: string) => boolean;
}

export interface FakeSession {
  readonly id: string;
  readonly url: string;
  readonly user: string | undefined;
  readonly channels: ReadonlySet<string>;
  /** Every frame that this session sent. */
  readonly received: ClientFrame[];
  close(code: number, reason?: string): void;
  /** Sends any frame, or text that is not even JSON. */
  send(frame: ServerFrame | WireEvent | string): void;
}

export interface FakeServer {
  /** Give this to `createSyncClient`. */
  readonly WebSocket: new (url: string, protocols: string) => WebSocket;
  /** Every socket ever made, in order. */
  readonly sockets: readonly { readonly url: string; readonly readyState: number }[];
  /** Sockets that connect or are open. */
  readonly live: number;
  /** Sessions that were welcomed and still live. */
  readonly sessions: readonly FakeSession[];
  /** Every hello received, in order. */
  readonly hellos: readonly Extract<ClientFrame, { type: "fw.hello" }>[];
  /** Refuses new connections (the browser sees 1006). */
  down: boolean;
  /** Accepts connections and answers nothing: a half-open network. */
  silent: boolean;
  publish(channel: string, event: Partial<WireEvent> & { type: string }): Position;
  /** Closes every socket. */
  close(code: number, reason?: string): void;
  /** The broker starts anew: another epoch, no history; sockets stay. */
  renewEpoch(): void;
}

interface Stream {
  offset: bigint;
  history: WireEvent[];
}

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 3;
const HELLO_MS = 5_000;

/** The browser's end. */
class FakeSocket {
  readyState = CONNECTING;
  onopen: ((event: unknown) => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  readonly session: Session;

  constructor(
    readonly url: string,
    readonly server: Server,
  ) {
    this.session = new Session(this);
    server.connect(this);
  }

  send(text: string): void {
    this.server.receive(this.session, text);
  }

  close(code = 1000, reason = ""): void {
    if (this.readyState === CLOSED) return;
    this.readyState = CLOSED;
    for (const channel of this.session.channels) this.server.showAll(channel);
    this.server.options.clock.setTimeout(() => this.onclose?.({ code, reason }), 0);
  }
}

/** The gateway's end. */
class Session implements FakeSession {
  id = "";
  user: string | undefined;
  welcomed = false;
  /** Tokens that it had. */
  tokens = 0;
  readonly channels = new Set<string>();
  readonly watched = new Set<string>();
  readonly received: ClientFrame[] = [];

  constructor(readonly socket: FakeSocket) {}

  get url(): string {
    return this.socket.url;
  }

  send(frame: ServerFrame | WireEvent | string): void {
    const data = typeof frame === "string" ? frame : JSON.stringify(frame);
    const { server } = this.socket;
    server.later(() => {
      if (this.socket.readyState === OPEN && !server.silent) this.socket.onmessage?.({ data });
    });
  }

  close(code: number, reason = ""): void {
    this.socket.close(code, reason);
  }
}

class Server {
  readonly sockets: FakeSocket[] = [];
  readonly hellos: Extract<ClientFrame, { type: "fw.hello" }>[] = [];
  readonly streams = new Map<string, Stream>();
  down = false;
  silent = false;
  epoch = 1;
  events = 0;

  constructor(readonly options: FakeServerOptions) {}

  get sessions(): Session[] {
    return this.sockets
      .map((socket) => socket.session)
      .filter((session) => session.welcomed && session.socket.readyState === OPEN);
  }

  get live(): number {
    return this.sockets.filter((socket) => socket.readyState !== CLOSED).length;
  }

  later(run: () => void): void {
    this.options.clock.setTimeout(run, this.options.latencyMs ?? 0);
  }

  connect(socket: FakeSocket): void {
    this.sockets.push(socket);
    this.later(() => {
      if (socket.readyState !== CONNECTING || this.silent) return;
      if (this.down) return socket.close(1006);
      socket.readyState = OPEN;
      socket.onopen?.({});
      this.options.clock.setTimeout(() => {
        if (!socket.session.welcomed && !this.silent) socket.close(4400, "hello expected");
      }, HELLO_MS);
    });
  }

  receive(session: Session, text: string): void {
    const frame = JSON.parse(text) as ClientFrame;
    session.received.push(frame);
    if (frame.type === "fw.hello") this.hellos.push(frame);
    this.later(() => {
      if (session.socket.readyState === OPEN && !this.silent) this.answer(session, frame);
    });
  }

  answer(session: Session, frame: ClientFrame): void {
    switch (frame.type) {
      case "fw.hello":
        return this.welcome(session, frame);
      case "fw.subscribe":
        return this.subscribe(session, frame, frame.request_id);
      case "fw.unsubscribe": {
        const { request_id, channel } = frame;
        session.channels.delete(channel);
        session.watched.delete(channel);
        this.showAll(channel);
        return session.send({ type: "fw.unsubscribed", request_id, channel });
      }
      case "fw.publish":
        return this.take(session, frame);
      case "fw.refresh":
        return this.refresh(session, frame.request_id, frame.token);
      case "fw.ping":
        return session.send({ type: "fw.pong" });
      case "fw.pong":
        return;
    }
  }

  welcome(session: Session, hello: Extract<ClientFrame, { type: "fw.hello" }>): void {
    const token = new URL(session.url).searchParams.get("token") ?? hello.token;
    const user = (this.options.authenticate ?? ((name) => name))(token);
    if (user === "refused") return session.close(4101, "token refused");
    session.user = user;
    session.id = `session-${this.hellos.length}`;
    session.welcomed = true;
    const own = [
      ...(session.url.includes("notifications") ? [] : ["broadcast"]),
      ...(user === undefined ? [] : [`user:${user}`]),
    ];
    const wishes = new Map<string, WireWish>(own.map((channel) => [channel, { channel }]));
    for (const wish of hello.subscriptions) wishes.set(wish.channel, wish);
    const allowed = [...wishes.values()].filter((wish) => this.allows(session, wish.channel));
    const places = allowed.map((wish) => ({ wish, ...this.place(wish) }));
    session.send({
      type: "fw.welcome",
      session_id: session.id,
      ...(user === undefined ? {} : { user_id: user }),
      ping_interval_ms: this.options.pingIntervalMs ?? 25_000,
      reconnect_window_ms: this.options.reconnectWindowMs ?? 0,
      subscriptions: places.map(({ wish, position, recovered }) => ({
        channel: wish.channel,
        ...position,
        recovered,
      })),
    });
    for (const wish of wishes.values()) {
      if (!allowed.includes(wish)) this.refuse(session, wish.channel);
    }
    for (const { wish, recovered } of places) this.follow(session, wish, recovered);
    for (const { wish } of places) this.watch(session, wish);
    this.keepAlive(session);
    this.expire(session);
  }

  keepAlive(session: Session): void {
    this.options.clock.setTimeout(() => {
      if (session.socket.readyState !== OPEN) return;
      session.send({ type: "fw.ping" });
      this.keepAlive(session);
    }, this.options.pingIntervalMs ?? 25_000);
  }

  refresh(session: Session, request_id: string, token: string): void {
    const user = (this.options.authenticate ?? ((name) => name))(token);
    if (user === "refused" || user !== session.user) {
      const code = user === "refused" ? 4101 : 4403;
      return session.send({ type: "fw.error", request_id, code, reason: "token refused" });
    }
    const { tokenMs } = this.options;
    const expires = tokenMs === undefined ? {} : { expires_in_ms: tokenMs };
    session.send({ type: "fw.refreshed", request_id, ...expires });
    for (const channel of session.channels) {
      if (this.allows(session, channel)) continue;
      session.channels.delete(channel);
      session.send({ type: "fw.unsubscribed", channel, reason: "forbidden" });
    }
    this.expire(session);
  }

  /** The token of now; a later one makes its timers mean nothing. */
  expire(session: Session): void {
    const { clock, tokenMs, graceMs = 10_000 } = this.options;
    const token = ++session.tokens;
    if (tokenMs === undefined || session.user === undefined) return;
    const current = () => session.tokens === token && session.socket.readyState === OPEN;
    clock.setTimeout(() => {
      if (!current()) return;
      session.send({ type: "fw.expired", grace_ms: graceMs });
      clock.setTimeout(() => {
        if (current()) session.close(4100, "token has expired");
      }, graceMs);
    }, tokenMs);
  }

  subscribe(session: Session, wish: WireWish, request_id: string): void {
    const { channel } = wish;
    if (!this.allows(session, channel)) return this.refuse(session, channel, request_id);
    const { position, recovered } = this.place(wish);
    session.send({ type: "fw.subscribed", request_id, channel, ...position, recovered });
    this.follow(session, wish, recovered);
    this.watch(session, wish);
  }

  /** Users of a channel and their sessions. */
  crowd(channel: string): Map<string, number> {
    const crowd = new Map<string, number>();
    for (const { user, channels } of this.sessions) {
      if (user === undefined || !channels.has(channel)) continue;
      crowd.set(user, (crowd.get(user) ?? 0) + 1);
    }
    return crowd;
  }

  watch(session: Session, { channel, presence }: WireWish): void {
    if (presence === false) session.watched.delete(channel);
    if (presence !== true || !channel.startsWith("room:")) return this.showAll(channel);
    if (this.options.private?.(channel) === true) {
      const error = { code: 4403, reason: "the token does not allow presence here" };
      return session.send({ type: "fw.error", ...error, action: "presence", channel });
    }
    session.watched.add(channel);
    this.showAll(channel);
  }

  /** Always whole lists: what a gateway sends as changes ends in the same. */
  showAll(channel: string): void {
    const members = [...this.crowd(channel)].map(([user_id, sessions]) => ({ user_id, sessions }));
    for (const session of this.sessions) {
      if (!session.watched.has(channel)) continue;
      session.send({ type: "fw.presence", channel, members, snapshot: true });
    }
  }

  /** An event of a client. */
  take(session: Session, frame: Extract<ClientFrame, { type: "fw.publish" }>): void {
    const { request_id, channel, event: type, data, keep } = frame;
    if (!session.channels.has(channel) || this.options.private?.(channel) === true) {
      const error = { code: 4403, reason: "the token does not allow to publish here" };
      return session.send({ type: "fw.error", request_id, ...error, action: "publish", channel });
    }
    const author = { user_id: session.user ?? "", client: true };
    if (keep) {
      this.publish(channel, { type, data, ...author });
    } else {
      const ts = this.options.clock.wall();
      const text = JSON.stringify({ type, data, channel, ts, ...author, ephemeral: true });
      for (const other of this.sessions) if (other.channels.has(channel)) other.send(text);
    }
    session.send({ type: "fw.published", request_id });
  }

  allows(session: Session, channel: string): boolean {
    if (channel.startsWith("user:")) return channel === `user:${session.user}`;
    return this.options.forbidden?.(channel) !== true;
  }

  refuse(session: Session, channel: string, request_id?: string): void {
    const request = request_id === undefined ? {} : { request_id };
    session.send({ type: "fw.error", ...request, code: 4403, reason: "forbidden", channel });
  }

  stream(channel: string): Stream {
    let stream = this.streams.get(channel);
    if (!stream) this.streams.set(channel, (stream = { offset: 0n, history: [] }));
    return stream;
  }

  epochName(): string {
    return `epoch-${this.epoch}`;
  }

  place(wish: WireWish): { position: Position; recovered: boolean } {
    const { offset, history } = this.stream(wish.channel);
    const head = { epoch: this.epochName(), offset: String(offset) };
    if (wish.offset === undefined || wish.epoch !== head.epoch) {
      return { position: head, recovered: false };
    }
    const oldest = offset - BigInt(history.length);
    const given = BigInt(wish.offset);
    if (given < oldest || given > offset) return { position: head, recovered: false };
    return { position: { epoch: head.epoch, offset: wish.offset }, recovered: true };
  }

  /** From the answer on: what was missed, or a reset, and then everything new. */
  follow(session: Session, wish: WireWish, recovered: boolean): void {
    const { channel, offset } = wish;
    session.channels.add(channel);
    const stream = this.stream(channel);
    if (recovered) {
      const missed = stream.history.filter((event) => BigInt(event.offset) > BigInt(offset ?? 0));
      for (const event of missed) session.send(event);
    } else if (offset !== undefined) {
      const epoch = this.epochName();
      const reason = wish.epoch === epoch ? "history" : "epoch";
      const head = { epoch, offset: String(stream.offset) };
      session.send({ type: "fw.reset", channel, reason, ...head });
    }
  }

  publish(channel: string, event: Partial<WireEvent> & { type: string }): Position {
    const stream = this.stream(channel);
    stream.offset += 1n;
    const position = { epoch: this.epochName(), offset: String(stream.offset) };
    const full: WireEvent = {
      data: {},
      id: `event-${++this.events}`,
      ts: this.options.clock.wall(),
      fresh: "0",
      unconfirmed: false,
      spread_ms: 0,
      ...event,
      channel,
      ...position,
    };
    stream.history.push(full);
    if (stream.history.length > (this.options.history ?? 100)) stream.history.shift();
    for (const session of this.sessions) {
      if (session.channels.has(channel)) session.send(full);
    }
    return position;
  }

  renewEpoch(): void {
    this.epoch += 1;
    this.streams.clear();
  }

  close(code: number, reason = ""): void {
    for (const socket of this.sockets) socket.close(code, reason);
  }
}

export function createFakeServer(options: FakeServerOptions): FakeServer {
  const server = new Server(options);
  const Socket = class extends FakeSocket {
    constructor(url: string, _protocols: string) {
      super(url, server);
    }
  };
  return Object.assign(server, { WebSocket: Socket as unknown as FakeServer["WebSocket"] });
}
