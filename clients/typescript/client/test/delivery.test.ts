// SPDX-License-Identifier: MPL-2.0
import { SyncError } from "@freshwire/client";
import { describe, expect, it, vi } from "vitest";
import { harness } from "./support.js";

const updated = { type: "project_updated", data: { id: "42" } };

describe("positions", () => {
  it("delivers each event once, in order, with the time it arrived", async () => {
    const { client, server, clock, events, offsets } = harness({}, { latencyMs: 5 });
    client.connect();
    await clock.advance(100);
    server.publish("broadcast", updated);
    server.publish("broadcast", updated);
    await clock.advance(100);
    expect(offsets()).toEqual(["broadcast 1", "broadcast 2"]);
    expect(events[0]?.receivedAt).toBe((events[0]?.ts ?? 0) + 5);
  });

  it("drops what it has had, and says so about what is missing", async () => {
    const { client, server, clock, offsets, gaps } = harness();
    client.connect();
    await clock.advance(10);
    gaps.length = 0;
    const session = server.sessions[0];
    const base = { ...updated, id: "x", ts: 0, fresh: "0", unconfirmed: false, spread_ms: 0 };
    const send = (offset: string, epoch = "epoch-1") =>
      session?.send({ ...base, channel: "broadcast", epoch, offset });
    send("1");
    send("1");
    send("2");
    send("1");
    send("5");
    send("6");
    send("1", "epoch-2");
    send("18446744073709551615", "epoch-2");
    send("18446744073709551614", "epoch-2");
    await clock.advance(10);
    expect(offsets().map((text) => text.split(" ")[1])).toEqual([
      "1",
      "2",
      "5",
      "6",
      "1",
      "18446744073709551615",
    ]);
    expect(gaps).toEqual(["broadcast hole", "broadcast epoch", "broadcast hole"]);
  });

  it("resumes after a break: everything missed, nothing twice, no gap", async () => {
    const { client, server, clock, offsets, gaps } = harness();
    client.connect();
    await clock.advance(10);
    gaps.length = 0;
    server.publish("broadcast", updated);
    await clock.advance(10);
    server.close(1006);
    server.publish("broadcast", updated);
    server.publish("broadcast", updated);
    await clock.advance(2_000);
    expect(offsets()).toEqual(["broadcast 1", "broadcast 2", "broadcast 3"]);
    expect(gaps).toEqual([]);
    expect(server.hellos[1]?.subscriptions).toEqual([
      { channel: "broadcast", epoch: "epoch-1", offset: "1" },
    ]);
  });

  it("resumes even when no event was ever received before the break", async () => {
    const { client, server, clock, offsets } = harness();
    client.connect();
    await clock.advance(10);
    server.close(1006);
    server.publish("broadcast", updated);
    await clock.advance(2_000);
    expect(offsets()).toEqual(["broadcast 1"]);
  });

  it("reports one gap, not two, when history is gone", async () => {
    const { client, server, clock, offsets, gaps } = harness({}, { history: 2 });
    client.connect();
    await clock.advance(10);
    gaps.length = 0;
    server.close(1006);
    for (let count = 0; count < 5; count += 1) server.publish("broadcast", updated);
    await clock.advance(2_000);
    expect(gaps).toEqual(["broadcast history"]);
    server.publish("broadcast", updated);
    await clock.advance(10);
    expect(offsets()).toEqual(["broadcast 6"]);
  });

  it("reports a new epoch, at reconnection and in a live session", async () => {
    const { client, server, clock, gaps } = harness();
    client.connect();
    await clock.advance(10);
    gaps.length = 0;
    server.renewEpoch();
    server.close(1012);
    await clock.advance(2_000);
    expect(gaps).toEqual(["broadcast epoch"]);
    server.sessions[0]?.send({
      type: "fw.reset",
      channel: "broadcast",
      reason: "lapped",
      epoch: "epoch-2",
      offset: "7",
    });
    await clock.advance(10);
    expect(gaps).toEqual(["broadcast epoch", "broadcast lapped"]);
    expect(client.positions()).toEqual([{ channel: "broadcast", epoch: "epoch-2", offset: "7" }]);
  });

  it("takes fw.position as a place without an event, and never moves backwards", async () => {
    const { client, server, clock, gaps } = harness();
    client.connect();
    await clock.advance(10);
    gaps.length = 0;
    const session = server.sessions[0];
    const place = { channel: "broadcast", epoch: "epoch-1" };
    session?.send({ type: "fw.position", ...place, offset: "3" });
    session?.send({ type: "fw.position", ...place, offset: "2" });
    session?.send({ type: "fw.position", channel: "broadcast", epoch: "other", offset: "9" });
    await clock.advance(10);
    expect(client.positions()).toEqual([{ ...place, offset: "3" }]);
    expect(gaps).toEqual([]);
  });

  it("tells that a channel was joined, so that what was fetched before can be fetched again", async () => {
    const { client, clock, gaps } = harness({ getToken: () => "u1" });
    client.connect();
    await clock.advance(10);
    expect(gaps).toEqual(["broadcast joined", "user:u1 joined"]);
  });

  it("forgets every place for another user, and shows it no channel of the first", async () => {
    let user = "u1";
    const { client, server, clock, offsets, gaps } = harness({ getToken: () => user });
    client.setIdentity("u1");
    client.connect();
    await clock.advance(10);
    server.publish("user:u1", { type: "notification_created" });
    await clock.advance(10);
    user = "u2";
    client.setIdentity("u2");
    server.publish("user:u1", { type: "notification_created" });
    await clock.advance(100);
    expect(server.hellos[1]).toMatchObject({ token: "u2", subscriptions: [] });
    expect(client.status.userId).toBe("u2");
    expect(offsets()).toEqual(["user:u1 1"]);
    expect(client.positions().map(({ channel }) => channel)).toEqual(["broadcast", "user:u2"]);
    expect(gaps.slice(2)).toEqual(["broadcast joined", "user:u2 joined"]);
    expect(server.live).toBe(1);
  });

  it("drops the earlier user's channel silently when the token alone changed", async () => {
    let user = "u1";
    const { client, server, clock, errors } = harness({ getToken: () => user });
    client.connect();
    await clock.advance(10);
    user = "u2";
    server.close(1006);
    await clock.advance(2_000);
    expect(client.positions().map(({ channel }) => channel)).toEqual(["broadcast", "user:u2"]);
    expect(errors).toEqual([]);
  });
});

describe("messages", () => {
  it("reads several events from one message", async () => {
    const { client, server, clock, events } = harness();
    client.connect();
    await clock.advance(10);
    server.sessions[0]?.send('{"type":"a","data":1}\n{"type":"b","data":2}\n');
    await clock.advance(10);
    expect(events.map(({ type }) => type)).toEqual(["a", "b"]);
  });

  it("delivers an event that has no position, as a plain server sends it", async () => {
    const { client, server, clock, events } = harness();
    client.connect();
    await clock.advance(10);
    server.sessions[0]?.send('{"type":"project_updated","data":{},"user_id":"9"}');
    await clock.advance(10);
    expect(events).toHaveLength(1);
  });

  it("ignores control messages of a newer server", async () => {
    const { client, server, clock, events, errors } = harness();
    client.connect();
    await clock.advance(10);
    server.sessions[0]?.send('{"type":"fw.weather","sun":true}');
    await clock.advance(10);
    expect([events, errors]).toEqual([[], []]);
    expect(client.status.state).toBe("live");
  });

  it.each(["{", "null", "[]", '"text"', '{"kind":"x"}', '{"type":1}'])(
    "reports %s, reconnects and resumes",
    async (text) => {
      const { client, server, clock, errors, offsets } = harness();
      client.connect();
      await clock.advance(10);
      server.sessions[0]?.send(text);
      server.publish("broadcast", updated);
      await clock.advance(2_000);
      expect(errors).toHaveLength(1);
      expect(client.status.state).toBe("live");
      expect(offsets()).toEqual(["broadcast 1"]);
    },
  );

  it("keeps delivering when listeners throw or reject", async () => {
    const { client, server, clock, events, errors } = harness();
    client.on("event", () => {
      throw new Error("broken listener");
    });
    client.on("event", async () => {
      throw new Error("broken promise");
    });
    const last = vi.fn();
    client.on("event", last);
    client.connect();
    await clock.advance(10);
    server.publish("broadcast", updated);
    server.publish("broadcast", updated);
    await clock.advance(10);
    expect(events).toHaveLength(2);
    expect(last).toHaveBeenCalledTimes(2);
    expect(errors).toHaveLength(4);
  });

  it("survives an error listener that throws", async () => {
    const { client, server, clock, events } = harness();
    const shown = vi.spyOn(console, "error").mockImplementation(() => undefined);
    client.on("error", () => {
      throw new Error("worse");
    });
    client.connect();
    await clock.advance(10);
    server.sessions[0]?.send("{");
    await clock.advance(2_000);
    server.publish("broadcast", updated);
    await clock.advance(10);
    expect(events).toHaveLength(1);
    shown.mockRestore();
  });

  it("stops at a disconnect() from within a listener, even inside one message", async () => {
    const { client, server, clock, events } = harness();
    client.on("event", () => client.disconnect());
    client.connect();
    await clock.advance(10);
    server.sessions[0]?.send('{"type":"a"}\n{"type":"b"}');
    await clock.advance(10);
    expect(events.map(({ type }) => type)).toEqual(["a"]);
  });

  it("sends only over a live connection", async () => {
    const { client, server, clock } = harness();
    expect(client.send({ type: "fw.ping" })).toBe(false);
    client.connect();
    await clock.advance(10);
    expect(client.send({ type: "fw.ping" })).toBe(true);
    expect(server.sessions[0]?.received.at(-1)).toEqual({ type: "fw.ping" });
  });
});

describe("channels", () => {
  it("subscribes once for many, and leaves a second after the last", async () => {
    const { client, server, clock } = harness();
    client.connect();
    await clock.advance(10);
    const heard: string[] = [];
    const first = client.subscribe("room:1", () => heard.push("first"));
    const second = client.subscribe("room:1", () => heard.push("second"));
    await clock.advance(10);
    server.publish("room:1", updated);
    server.publish("broadcast", updated);
    await clock.advance(10);
    expect(heard).toEqual(["first", "second"]);
    first();
    server.publish("room:1", updated);
    await clock.advance(2_000);
    expect(heard).toEqual(["first", "second", "second"]);
    second();
    second();
    await clock.advance(500);
    const third = client.subscribe("room:1");
    await clock.advance(2_000);
    const sent = () => server.sessions[0]?.received.map(({ type }) => type);
    expect(sent()).toEqual(["fw.hello", "fw.subscribe"]);
    third();
    await clock.advance(1_001);
    expect(sent()).toEqual(["fw.hello", "fw.subscribe", "fw.unsubscribe"]);
    expect(server.sessions[0]?.channels.has("room:1")).toBe(false);
    expect(client.positions().map(({ channel }) => channel)).toEqual(["broadcast"]);
  });

  it("names early subscriptions in the hello and resumes them", async () => {
    const { client, server, clock, offsets } = harness();
    client.subscribe("room:1");
    client.connect();
    await clock.advance(10);
    expect(server.hellos[0]?.subscriptions).toEqual([{ channel: "room:1" }]);
    server.close(1006);
    server.publish("room:1", updated);
    await clock.advance(2_000);
    expect(offsets()).toEqual(["room:1 1"]);
  });

  it("asks for a channel that was wanted between hello and welcome", async () => {
    const { client, server, clock } = harness({}, { latencyMs: 100 });
    client.connect();
    await clock.advance(250);
    expect(client.status.state).toBe("connecting");
    client.subscribe("room:late");
    await clock.advance(400);
    expect(server.sessions[0]?.channels.has("room:late")).toBe(true);
  });

  it("reports a refusal to the channel's own handler, once, and leaves the others alone", async () => {
    const { client, server, clock } = harness({}, { forbidden: (name) => name === "room:secret" });
    const refused: SyncError[] = [];
    const heard = vi.fn();
    client.subscribe("room:open", heard);
    client.subscribe("room:secret", undefined, { onError: (error) => refused.push(error) });
    client.connect();
    await clock.advance(100);
    client.subscribe("room:secret");
    await clock.advance(100);
    server.publish("room:open", updated);
    await clock.advance(100);
    expect(refused).toMatchObject([{ code: 4403, channel: "room:secret", temporary: false }]);
    expect(heard).toHaveBeenCalledTimes(1);
  });

  it("retries a temporary refusal with growing pauses until it succeeds", async () => {
    const { client, server, clock } = harness();
    client.connect();
    await clock.advance(10);
    server.silent = true;
    client.subscribe("room:1");
    await clock.advance(10);
    server.silent = false;
    const error = { type: "fw.error", code: 4290, reason: "busy", temporary: true } as const;
    const session = server.sessions[0];
    session?.send({ ...error, request_id: "1" });
    await clock.advance(600);
    expect(session?.channels.has("room:1")).toBe(true);
    const asked = session?.received.filter(({ type }) => type === "fw.subscribe");
    expect(asked).toHaveLength(2);
  });

  it("tells a channel's gap to its handler", async () => {
    const { client, server, clock } = harness({}, { history: 0 });
    const reasons: string[] = [];
    client.subscribe("room:1", undefined, { onGap: ({ reason }) => reasons.push(reason) });
    client.connect();
    await clock.advance(10);
    server.close(1006);
    server.publish("room:1", updated);
    await clock.advance(2_000);
    expect(reasons).toEqual(["joined", "history"]);
  });
});

describe("batches", () => {
  function batched(options = {}) {
    const set = harness(options);
    const sizes: { at: number; events: number; gaps: number }[] = [];
    set.client.on("batch", ({ events, gaps }) =>
      sizes.push({ at: set.clock.now(), events: events.length, gaps: gaps.length }),
    );
    return { ...set, sizes };
  }

  it("hands a lone event over at once and the rest of a burst together", async () => {
    const { client, server, clock, sizes } = batched();
    client.connect();
    await clock.advance(1_000);
    sizes.length = 0;
    for (let count = 0; count < 5; count += 1) server.publish("broadcast", updated);
    await clock.advance(1_000);
    expect(sizes).toEqual([
      { at: 1_000, events: 1, gaps: 0 },
      { at: 1_025, events: 4, gaps: 0 },
    ]);
  });

  it("spreads by spread_ms, and a broker restart over two seconds", async () => {
    const { client, server, clock, sizes } = batched();
    client.connect();
    await clock.advance(1_000);
    sizes.length = 0;
    server.publish("broadcast", { ...updated, spread_ms: 400 });
    await clock.advance(1_000);
    server.renewEpoch();
    server.publish("broadcast", updated);
    await clock.advance(3_000);
    expect(sizes).toEqual([
      { at: 1_200, events: 1, gaps: 0 },
      { at: 2_000, events: 1, gaps: 0 },
      { at: 3_000, events: 0, gaps: 1 },
    ]);
  });
});
