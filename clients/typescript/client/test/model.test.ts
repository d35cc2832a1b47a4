// SPDX-License-Identifier: MPL-2.0
// Random lives of a connection. A failing run prints its seed and path; put them into `fc.assert`
// to see it again.
import fc from "fast-check";
import { expect, it } from "vitest";
import { Machine, type Effect, type Input } from "../src/machine.js";
import type { Frame } from "../src/wire.js";
import { harness } from "./support.js";

const closeCodes = [1000, 1001, 1006, 1009, 1011, 1012, 1013];
const ownCodes = [4000, 4001, 4003, 4100, 4101, 4290, 4400, 4403];
const code = fc.oneof(fc.constantFrom(...closeCodes, ...ownCodes), fc.constantFrom(4100, 4101));
const channel = fc.constantFrom("broadcast", "room:1", "room:2");
const offset = fc.integer({ min: 0, max: 8 }).map(String);
const epoch = fc.constantFrom("e1", "e2");

const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc
    .record({ channel, epoch, offset, recovered: fc.boolean() })
    .map((subscription) => ({ type: "fw.subscribed" as const, request_id: "1", ...subscription })),
  fc
    .array(fc.record({ channel, epoch, offset, recovered: fc.boolean() }), { maxLength: 3 })
    .map((subscriptions) => ({
      type: "fw.welcome" as const,
      session_id: "s",
      ping_interval_ms: 25_000,
      reconnect_window_ms: 2_000,
      subscriptions,
    })),
  fc
    .record({ channel, epoch, offset })
    .map((event) => ({ ...event, type: "e", data: {}, id: "", ts: 0, ...plainFlags })),
  fc.record({ channel, epoch, offset }).map((reset) => {
    return { type: "fw.reset" as const, reason: "lapped", ...reset };
  }),
  fc.record({ channel, epoch, offset }).map((move) => ({ type: "fw.position" as const, ...move })),
  fc.constant({ type: "fw.ping" as const }),
  fc.constant({ type: "fw.expired" as const, grace_ms: 10_000 }),
  channel.map((name) => {
    return { type: "fw.unsubscribed" as const, channel: name, reason: "forbidden" };
  }),
  fc.constant({ type: "fw.drain" as const, reconnect_window_ms: 5_000 }),
  fc.record({ channel, temporary: fc.boolean() }).map((error) => {
    return { type: "fw.error" as const, code: 4403, reason: "no", ...error };
  }),
);
const plainFlags = { fresh: "0", unconfirmed: false, spread_ms: 0 };

type Step =
  | { kind: "command"; input: Input }
  | {
      kind: "answer";
      what: "token" | "token_failed" | "opened" | "closed";
      code: number;
      late: boolean;
    }
  | { kind: "frame"; frame: Frame; late: boolean }
  /** The answer to fw.refresh, if one is under way: 0 = taken. */
  | { kind: "refreshed"; code: number }
  | { kind: "time"; ms: number };

const rarely = fc.integer({ min: 0, max: 9 }).map((dice) => dice === 0);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc
    .constantFrom<Input>(
      { kind: "connect" },
      { kind: "disconnect" },
      { kind: "disconnect", forget: true },
      { kind: "wake" },
      { kind: "subscribe", channel: "room:1" },
      { kind: "unsubscribe", channel: "room:1" },
    )
    .map((input) => ({ kind: "command" as const, input })),
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("answer" as const),
      what: fc.constantFrom("token", "token_failed", "opened", "closed"),
      code,
      late: rarely,
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("frame" as const), frame, late: rarely }) },
  fc.record({
    kind: fc.constant("refreshed" as const),
    code: fc.constantFrom(0, 4100, 4101, 4403),
  }),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("time" as const),
      ms: fc.constantFrom(1, 500, 2_000, 12_000, 40_000),
    }),
  },
);

/** Carries out effects as the client does, and checks what must hold after every input. */
/** Quicker than `expect`, which matters at a million checks. */
function must(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

class Checked {
  readonly machine: Machine;
  now = 0;
  /** The generation of the socket that is open or opening. */
  socket: number | undefined;
  /** The generation whose token is awaited. */
  asking: number | undefined;
  /** The fw.refresh that is under way. */
  refresh: { request_id: string; token: string } | undefined;
  tokens = 0;
  sent: string | undefined;
  readonly refused = new Set<string>();
  readonly places = new Map<string, { epoch: string; offset: bigint }>();
  gapped = new Set<string>();

  constructor(readonly hasToken: boolean) {
    this.machine = new Machine({
      origin: "t",
      hasToken,
      tokenInHello: true,
      reconnect: true,
      baseMs: 1_000,
      capMs: 30_000,
      random: () => 0.5,
    });
  }

  run(step: Step): void {
    const { machine } = this;
    if (step.kind === "command") return this.input(step.input);
    if (step.kind === "time") return this.pass(step.ms);
    if (step.kind === "refreshed") return this.refreshed(step.code);
    const generation = machine.generation - (step.late ? 1 : 0);
    if (step.kind === "frame") {
      if (this.socket === undefined && !step.late) return;
      return this.input({ kind: "message", generation, frame: step.frame });
    }
    if (step.what === "token") {
      // A careless application gives again what was refused before.
      const used = step.code > 4000 ? [...this.refused][0] : undefined;
      const token = used ?? `token-${++this.tokens}`;
      return this.input({ kind: "token", generation, token });
    }
    if (step.what === "token_failed") {
      return this.input({ kind: "token_failed", generation, error: new Error("no") });
    }
    if (this.socket === undefined && !step.late) return;
    if (step.what === "opened") return this.input({ kind: "opened", generation });
    if (!step.late) this.socket = undefined;
    const refusal = step.code >= 4100 && step.code < 4200;
    if (this.hasToken && !step.late && refusal) this.refused.add(this.sent ?? "");
    this.input({ kind: "closed", generation, code: step.code, reason: "" });
  }

  refreshed(code: number): void {
    const { refresh, machine } = this;
    if (!refresh || this.socket === undefined) return;
    const { request_id, token } = refresh;
    if (code === 0) this.sent = token;
    else if (code !== 4403) this.refused.add(token);
    const frame: Frame =
      code === 0
        ? { type: "fw.refreshed", request_id, expires_in_ms: 30_000 }
        : { type: "fw.error", request_id, code, reason: "no" };
    this.refresh = undefined;
    this.input({ kind: "message", generation: machine.generation, frame });
  }

  pass(ms: number): void {
    const end = this.now + ms;
    for (let fired = 0; this.machine.deadline <= end; fired += 1) {
      must(fired < 1_000, "timers without end");
      this.now = Math.max(this.now, this.machine.deadline);
      this.input({ kind: "timer" });
    }
    this.now = end;
  }

  input(input: Input): void {
    const { phase, generation } = this.machine;
    const effects = this.machine.handle(input, this.now);
    const late = "generation" in input && input.generation !== generation;
    must(!late || effects.length === 0, "an old callback had an effect");
    if (phase === "stopped" && input.kind !== "connect") {
      must(
        effects.every(({ kind }) => kind === "drop"),
        "something happened while stopped",
      );
    }
    if (input.kind === "disconnect" && input.forget) this.places.clear();
    if (input.kind === "unsubscribe") this.places.delete(input.channel);
    for (const effect of effects) this.effect(effect);
    if (input.kind === "message" && !late) this.learn(input.frame);
    this.check();
  }

  effect(effect: Effect): void {
    switch (effect.kind) {
      case "token":
        if (effect.reason === "refresh") {
          must(this.machine.phase === "live" && this.hasToken, "another token for nobody");
          return;
        }
        must(this.socket === undefined, "a token was asked for beside a socket");
        must(this.asking === undefined, "two tokens were asked for");
        this.asking = effect.generation;
        return;
      case "open":
        must(this.socket === undefined, "two sockets");
        must(!this.refused.has(effect.token ?? ""), "a refused token was sent again");
        this.asking = undefined;
        this.sent = effect.token;
        this.socket = effect.generation;
        return;
      case "send":
        must(this.socket !== undefined, "sent without a socket");
        if (effect.frame.type !== "fw.refresh") return;
        must(!this.refused.has(effect.frame.token), "a refused token was sent again");
        must(effect.frame.token !== this.sent, "the same token was sent again");
        this.refresh = effect.frame;
        return;
      case "drop":
        this.socket = undefined;
        this.refresh = undefined;
        this.asking = undefined;
        return;
      case "gap":
        this.gapped.add(effect.gap.channel);
        return;
      case "event": {
        const { channel, epoch } = effect.event;
        const offset = BigInt(effect.event.offset);
        const last = this.places.get(channel);
        if (last && !this.gapped.has(channel)) {
          // Without a word about a gap, the next event is exactly the next one.
          must(epoch === last.epoch && offset === last.offset + 1n, "a silent gap or a duplicate");
        }
        this.places.set(channel, { epoch, offset });
        this.gapped.delete(channel);
        return;
      }
    }
  }

  /** A place moves without a gap only by fw.position. */
  learn(frame: Frame): void {
    for (const { channel, epoch, offset } of this.machine.channels.positions()) {
      const place = { epoch, offset: BigInt(offset) };
      const last = this.places.get(channel);
      const same = last?.epoch === place.epoch && last.offset === place.offset;
      const explained = !last || frame.type === "fw.position" || this.gapped.has(channel);
      must(same || explained, `the place in ${channel} moved silently`);
      this.places.set(channel, place);
    }
    this.gapped.clear();
  }

  check(): void {
    const { phase, deadline } = this.machine;
    const timed = ["token", "opening", "waiting", "live"].includes(phase);
    must(Number.isFinite(deadline) === timed, `phase ${phase} with the deadline ${deadline}`);
    const connected = phase === "opening" || phase === "live";
    must((this.socket !== undefined) === connected, `phase ${phase}, socket ${this.socket}`);
    must(this.asking === undefined || phase === "token", `asking in phase ${phase}`);
  }
}

it("never has two sockets, a silent gap, a refused token sent, or a phase without a way on", () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(step, { maxLength: 120 }), (hasToken, steps) => {
      const checked = new Checked(hasToken);
      checked.run({ kind: "command", input: { kind: "connect" } });
      for (const each of steps) checked.run(each);
    }),
    { numRuns: 3_000 },
  );
});

it("is live again within the cap once the trouble is over", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const checked = new Checked(true);
      const { machine } = checked;
      checked.run({ kind: "command", input: { kind: "connect" } });
      for (const each of steps) checked.run(each);
      checked.run({ kind: "command", input: { kind: "connect" } });
      for (let turn = 0; turn < 4 && machine.phase !== "live"; turn += 1) {
        if (machine.phase === "waiting") checked.pass(machine.deadline - checked.now);
        const { generation } = machine;
        checked.input({ kind: "token", generation, token: `good-${turn}` });
        checked.input({ kind: "opened", generation });
        checked.input({
          kind: "message",
          generation,
          frame: {
            type: "fw.welcome",
            session_id: "s",
            ping_interval_ms: 25_000,
            reconnect_window_ms: 0,
            subscriptions: [],
          },
        });
      }
      expect(machine.phase).toBe("live");
    }),
    { numRuns: 1_000 },
  );
});

type Trouble =
  | "publish"
  | "publish room"
  | "drop"
  | "silence"
  | "down"
  | "epoch"
  | "sleep"
  | "pass";

it("hears every event of its channels in order, or of a gap, whatever happens to the network", async () => {
  const trouble = fc.constantFrom<Trouble[]>(
    "publish",
    "publish",
    "publish room",
    "drop",
    "silence",
    "down",
    "epoch",
    "sleep",
    "pass",
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(trouble, fc.integer({ min: 0, max: 5_000 })), { maxLength: 40 }),
      fc.integer({ min: 1, max: 6 }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      async (troubles, history, dice) => {
        const random = () => dice.next().value as number;
        const { client, server, clock, wake } = harness({ random }, { latencyMs: 20, history });
        const heard = new Map<string, string[]>();
        const published = new Map<string, string[]>();
        const record = (map: Map<string, string[]>, channel: string, item: string) =>
          map.set(channel, [...(map.get(channel) ?? []), item]);
        client.on("event", ({ channel, id }) => record(heard, channel, id));
        client.on("gap", ({ channel }) => record(heard, channel, "gap"));
        client.subscribe("room:1");
        client.connect();
        await clock.advance(1_000);
        const publish = (channel: string) => {
          const { epoch, offset } = server.publish(channel, { type: "e", id: "" });
          const id = `${epoch} ${offset}`;
          record(published, channel, id);
        };
        client.on("event", (event) => {
          const list = heard.get(event.channel) ?? [];
          list[list.length - 1] = `${event.epoch} ${event.offset}`;
        });
        for (const [what, ms] of troubles) {
          if (what === "publish") publish("broadcast");
          else if (what === "publish room") publish("room:1");
          else if (what === "drop") server.close(1006);
          else if (what === "silence") server.silent = true;
          else if (what === "down") server.down = true;
          else if (what === "epoch") (server.renewEpoch(), server.close(1012));
          else if (what === "sleep") (clock.sleep(60_000), wake());
          await clock.advance(ms);
          if (what === "silence" || what === "down") {
            server.silent = false;
            server.down = false;
            if (what === "silence") server.close(1006);
          }
        }
        await clock.advance(70_000);
        publish("broadcast");
        publish("room:1");
        await clock.advance(1_000);
        for (const [channel, all] of published) {
          const list = heard.get(channel) ?? [];
          expect(list.at(-1)).toBe(all.at(-1));
          // Between two gaps, what was heard is a stretch of what was published, without holes.
          const stretches = list
            .join(",")
            .split("gap")
            .map((text) => text.split(",").filter(Boolean));
          let from = 0;
          for (const stretch of stretches) {
            if (stretch.length === 0) continue;
            const start = all.indexOf(stretch[0] ?? "", from);
            expect(start).toBeGreaterThanOrEqual(from);
            expect(all.slice(start, start + stretch.length)).toEqual(stretch);
            from = start + stretch.length;
          }
        }
        expect(server.live).toBe(1);
        client.disconnect();
      },
    ),
    { numRuns: 60 },
  );
});
