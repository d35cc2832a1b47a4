// SPDX-License-Identifier: MPL-2.0
import { classifyClose, createSyncClient, UnauthorizedError } from "@freshwire/client";
import { describe, expect, it, vi } from "vitest";
import { harness } from "./support.js";

describe("hello", () => {
  it("says who it is, and knows every channel's place before any event", async () => {
    const { client, server, clock, states } = harness({ getToken: () => "u1" });
    client.connect();
    await clock.advance(10);
    expect(server.hellos).toEqual([
      { type: "fw.hello", token: "u1", origin: "tab-1", batch: true, subscriptions: [] },
    ]);
    expect(client.status).toMatchObject({ state: "live", userId: "u1", sessionId: "session-1" });
    expect(states).toEqual(["connecting", "live"]);
    expect(client.positions()).toEqual([
      { channel: "broadcast", epoch: "epoch-1", offset: "0" },
      { channel: "user:u1", epoch: "epoch-1", offset: "0" },
    ]);
  });

  it("keeps the token out of the address, unless the query was asked for", async () => {
    const byMessage = harness({ getToken: () => "secret" });
    byMessage.client.connect();
    await byMessage.clock.advance(10);
    expect(byMessage.server.sockets[0]?.url).not.toContain("secret");

    const byQuery = harness({ getToken: () => "secret", auth: "query" });
    byQuery.client.connect();
    await byQuery.clock.advance(10);
    expect(byQuery.server.sockets[0]?.url).toBe("ws://gateway.test/ws?token=secret");
    expect(byQuery.server.hellos[0]).not.toHaveProperty("token");
    expect(byQuery.client.status.userId).toBe("secret");
  });

  it("tries again when nobody answers the hello within ten seconds", async () => {
    const { client, server, clock } = harness();
    server.silent = true;
    client.connect();
    await clock.advance(9_999);
    expect(server.sockets).toHaveLength(1);
    server.silent = false;
    await clock.advance(600);
    expect(server.sockets).toHaveLength(2);
    expect(server.live).toBe(1);
    expect(client.status.state).toBe("live");
  });

  it("takes the address from a function, anew for each try", async () => {
    let host = 0;
    const { client, server, clock } = harness({ url: async () => `http://host-${++host}.test/ws` });
    client.connect();
    await clock.advance(10);
    server.close(1006);
    await clock.advance(2_000);
    expect(server.sockets.map(({ url }) => url)).toEqual([
      "ws://host-1.test/ws",
      "ws://host-2.test/ws",
    ]);
  });

  it("stops when the address cannot be one", async () => {
    const { client, clock, errors } = harness({ url: "not an address" });
    client.connect();
    await clock.advance(60_000);
    expect(client.status.state).toBe("stopped");
    expect(errors).toHaveLength(1);
  });
});

describe("close codes", () => {
  const table: [number, string][] = [
    [1000, "reconnect"],
    [1001, "reconnect"],
    [1006, "reconnect"],
    [1011, "reconnect"],
    [1012, "reconnect"],
    [4000, "reconnect"],
    [4001, "reconnect"],
    [4003, "reconnect"],
    [4099, "reconnect"],
    [1013, "wait"],
    [4200, "wait"],
    [4290, "wait"],
    [4100, "token"],
    [4101, "token"],
    [4199, "token"],
    [1002, "final"],
    [1003, "final"],
    [1007, "final"],
    [1009, "final"],
    [3000, "final"],
    [4300, "final"],
    [4400, "final"],
    [4403, "final"],
    [4406, "final"],
    [4999, "final"],
  ];

  it.each(table)("%i means %s", async (code, expected) => {
    expect(classifyClose(code)).toBe(expected);
    let tokens = 0;
    const { client, server, clock } = harness({
      getToken: () => `user-${++tokens}`,
      random: () => 0.999,
    });
    client.connect();
    await clock.advance(10);
    server.close(code, "why");
    await clock.advance(4_900);
    const tries = { reconnect: 2, token: 2, wait: 1, final: 1 };
    expect(server.sockets).toHaveLength(tries[expected as keyof typeof tries]);
    await clock.advance(120_000);
    expect(server.sockets).toHaveLength(expected === "final" ? 1 : 2);
    expect(client.status.state).toBe(expected === "final" ? "stopped" : "live");
    if (expected === "final") expect(client.status.error).toMatchObject({ code, message: "why" });
  });

  it("stops on a refused token when there is no way to get another", async () => {
    const { client, clock, errors } = harness({}, { authenticate: () => "refused" });
    client.connect();
    await clock.advance(60_000);
    expect(client.status.state).toBe("stopped");
    expect(errors).toMatchObject([{ code: 4101 }]);
  });

  it("never connects again by itself with reconnect: false, but connect() does", async () => {
    const { client, server, clock } = harness({ reconnect: false });
    client.connect();
    await clock.advance(10);
    server.close(1006);
    await clock.advance(60_000);
    expect(server.sockets).toHaveLength(1);
    client.connect();
    await clock.advance(10);
    expect(client.status.state).toBe("live");
  });
});

describe("backoff", () => {
  it("doubles a ceiling up to the cap, and starts over after a stable session", async () => {
    const { client, server, clock } = harness({
      random: () => 1,
      reconnect: { baseMs: 1_000, capMs: 8_000 },
    });
    server.down = true;
    client.connect();
    const at: number[] = [];
    const begun = clock.now();
    while (at.length < 6) {
      await clock.advance(10);
      if (server.sockets.length > at.length) at.push(Math.round((clock.now() - begun) / 100) / 10);
    }
    expect(at).toEqual([0, 1, 3, 7, 15, 23]);
    server.down = false;
    await clock.advance(8_010 + 5_000);
    expect(client.status).toMatchObject({ state: "live", attempt: 6 });
    server.close(4003);
    await clock.advance(990);
    expect(client.status.state).toBe("reconnecting");
    await clock.advance(30);
    expect(client.status).toMatchObject({ state: "live", attempt: 1 });
  });

  it("is spread evenly over the whole window (chi-square)", async () => {
    const buckets = new Array<number>(10).fill(0);
    let seed = 42;
    const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
    for (let index = 0; index < 500; index += 1) {
      const { client, server, clock } = harness({ random }, { reconnectWindowMs: 10_000 });
      client.connect();
      await clock.advance(1);
      server.close(1006);
      await clock.advance(1);
      const begun = clock.now();
      while (server.sockets.length < 2) await clock.advance(250);
      const bucket = Math.min(9, Math.floor((clock.now() - begun) / 1_000.01));
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
      client.disconnect();
    }
    const chiSquare = buckets.reduce((sum, count) => sum + (count - 50) ** 2 / 50, 0);
    expect(chiSquare).toBeLessThan(27.9); // p = 0.001 with nine degrees of freedom
  });

  it("shows when the server is without its broker, and when it is so no more", async () => {
    const { client, server, clock } = harness();
    client.connect();
    await clock.advance(10);
    expect(client.status.degraded).toBe(false);
    const seen: boolean[] = [];
    client.on("status", (status) => seen.push(status.degraded));
    server.sessions[0]?.send({ type: "fw.degraded", degraded: true });
    await clock.advance(10);
    expect(client.status).toMatchObject({ state: "live", degraded: true });
    server.sessions[0]?.send({ type: "fw.degraded", degraded: false });
    await clock.advance(10);
    expect(seen).toEqual([true, false]);
    server.sessions[0]?.send({ type: "fw.degraded", degraded: true });
    await clock.advance(10);
    server.close(4000, "draining");
    await clock.advance(10);
    expect(client.status.degraded).toBe(false);
  });

  it("obeys the window of fw.drain, and ignores it for a session's own fault", async () => {
    const { client, server, clock } = harness({ random: () => 0.9 });
    client.connect();
    await clock.advance(10);
    server.sessions[0]?.send({ type: "fw.drain", reconnect_window_ms: 20_000 });
    await clock.advance(10);
    server.close(4000, "draining");
    await clock.advance(17_900);
    expect(server.sockets).toHaveLength(1);
    await clock.advance(200);
    expect(server.sockets).toHaveLength(2);
    server.close(4001, "slow");
    await clock.advance(2_000);
    expect(server.sockets).toHaveLength(3);
  });
});

describe("token", () => {
  it("asks again with the reason, and never sends a refused token twice", async () => {
    const reasons: string[] = [];
    const given = ["old", "old", "new"];
    const { client, server, clock, errors } = harness(
      {
        getToken: ({ reason }) => {
          reasons.push(reason);
          return given.shift() ?? "new";
        },
      },
      { authenticate: (token) => (token === "old" ? "refused" : token) },
    );
    client.connect();
    await clock.advance(20_000);
    expect(reasons).toEqual(["initial", "rejected", "rejected"]);
    expect(server.hellos.map(({ token }) => token)).toEqual(["old", "new"]);
    expect(errors).toHaveLength(1);
    expect(client.status.state).toBe("live");
  });

  it("renews an expired token of a stable session at once", async () => {
    const reasons: string[] = [];
    const { client, server, clock } = harness({
      getToken: ({ reason }) => {
        reasons.push(reason);
        return `token-${reasons.length}`;
      },
    });
    client.connect();
    await clock.advance(60_000);
    server.close(4100, "token expired");
    await clock.advance(5);
    expect(reasons).toEqual(["initial", "expired"]);
    expect(client.status.state).toBe("live");
  });

  it("asks once, however many signs of waking come in meanwhile", async () => {
    const answers: ((token: string) => void)[] = [];
    const { client, clock, wake, server } = harness({
      getToken: () => new Promise<string>((resolve) => answers.push(resolve)),
    });
    client.connect();
    for (let sign = 0; sign < 5; sign += 1) {
      wake();
      client.connect();
      await clock.advance(100);
    }
    expect(answers).toHaveLength(1);
    answers[0]?.("u1");
    await clock.advance(10);
    expect(client.status.state).toBe("live");
    expect(server.sockets).toHaveLength(1);
  });

  it("gives up on an answer that does not come, and aborts it", async () => {
    const signals: AbortSignal[] = [];
    const { client, clock, errors } = harness({
      getToken: ({ signal }) => {
        signals.push(signal);
        return new Promise<string>(() => undefined);
      },
    });
    client.connect();
    await clock.advance(16_000);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    expect(errors).toHaveLength(1);
    client.disconnect();
    expect(signals[1]?.aborted).toBe(true);
  });

  it("tries again after an ordinary error and stops after UnauthorizedError", async () => {
    let tries = 0;
    const { client, clock, server } = harness({
      getToken: () => {
        tries += 1;
        if (tries < 3) throw new Error("network");
        throw new UnauthorizedError("signed out");
      },
    });
    client.connect();
    await clock.advance(60_000);
    expect(tries).toBe(3);
    expect(client.status).toMatchObject({ state: "stopped", error: { message: "signed out" } });
    expect(server.sockets).toHaveLength(0);
  });
});

describe("disconnect and hold", () => {
  it("stays disconnected through wake signs, holds and old timers", async () => {
    const { client, server, clock, wake } = harness();
    const release = client.hold();
    await clock.advance(10);
    client.disconnect();
    wake();
    client.hold();
    await clock.advance(120_000);
    expect(server.live).toBe(0);
    expect(server.sockets).toHaveLength(1);
    expect(client.status.state).toBe("idle");
    client.connect();
    await clock.advance(10);
    expect(client.status.state).toBe("live");
    release();
  });

  it("lingers for a second after the last release, and not a moment with another holder", async () => {
    const { client, server, clock } = harness();
    const first = client.hold();
    await clock.advance(10);
    first();
    first();
    await clock.advance(900);
    const second = client.hold();
    await clock.advance(5_000);
    expect(server.live).toBe(1);
    second();
    await clock.advance(1_001);
    expect(server.live).toBe(0);
    expect(server.sockets).toHaveLength(1);
    await clock.advance(25_000);
    expect(clock.pending()).toBe(0);
  });

  it("leaves no timer behind", async () => {
    const { client, clock } = harness({}, { pingIntervalMs: 3_600_000 });
    client.connect();
    await clock.advance(6_000);
    const before = clock.pending();
    client.disconnect();
    await clock.advance(10);
    expect(clock.pending()).toBeLessThan(before);
    await clock.advance(3_600_000);
    expect(clock.pending()).toBe(0);
  });

  it("opens nothing when it was disconnected while the address was awaited", async () => {
    let answer: (url: string) => void = () => undefined;
    const { client, server, clock } = harness({
      url: () => new Promise<string>((resolve) => (answer = resolve)),
    });
    client.connect();
    await clock.advance(10);
    client.disconnect();
    answer("ws://gateway.test/ws");
    await clock.advance(10);
    expect(server.sockets).toHaveLength(0);
  });

  it("ignores a socket that opens after it was given up", async () => {
    const { client, server, clock, events } = harness({}, { latencyMs: 50 });
    client.connect();
    await clock.advance(20);
    client.reconnect();
    await clock.advance(1_000);
    server.publish("broadcast", { type: "project_updated" });
    await clock.advance(100);
    expect(server.live).toBe(1);
    expect(events).toHaveLength(1);
  });
});

describe("silence and waking", () => {
  it("answers pings, and lives as long as they come", async () => {
    const { client, server, clock } = harness();
    client.connect();
    await clock.advance(190_000);
    expect(server.sockets).toHaveLength(1);
    const pongs = server.sessions[0]?.received.filter(({ type }) => type === "fw.pong");
    expect(pongs).toHaveLength(7);
  });

  it("gives up a connection that says nothing for the ping interval and ten seconds", async () => {
    const { client, server, clock } = harness();
    client.connect();
    await clock.advance(10);
    server.silent = true;
    await clock.advance(34_900);
    expect(client.status.state).toBe("live");
    await clock.advance(200);
    expect(client.status.state).toBe("reconnecting");
    server.silent = false;
    await clock.advance(1_000);
    expect(client.status.state).toBe("live");
    expect(server.live).toBe(1);
  });

  it("finds a dead socket within two seconds of waking", async () => {
    const { client, server, clock, wake } = harness();
    client.connect();
    await clock.advance(5_000);
    server.silent = true;
    clock.sleep(3_600_000);
    wake();
    server.silent = false;
    server.close(1006); // The network is back, the old connection is not; its close is never heard.
    await clock.advance(3_000);
    expect(client.status.state).toBe("live");
    expect(server.live).toBe(1);
  });

  it("keeps a socket that answers the probe", async () => {
    const { client, server, clock, wake } = harness();
    client.connect();
    await clock.advance(5_000);
    wake();
    wake();
    await clock.advance(5_000);
    const pings = server.sessions[0]?.received.filter(({ type }) => type === "fw.ping");
    expect(pings).toHaveLength(1);
    expect(server.sockets).toHaveLength(1);
  });

  it("does not sit out a long backoff after waking, but respects a full server", async () => {
    const { client, server, clock, wake } = harness({
      random: () => 0.9,
      reconnect: { baseMs: 30_000 },
    });
    server.down = true;
    client.connect();
    await clock.advance(100);
    server.down = false;
    wake();
    await clock.advance(1_000);
    expect(client.status.state).toBe("live");
    server.close(4290, "too many");
    await clock.advance(100);
    wake();
    await clock.advance(5_000);
    expect(client.status.state).toBe("reconnecting");
  });

  it("notices by the wall clock that the machine slept", async () => {
    const { client, server, clock } = harness({}, {}, true);
    client.connect();
    await clock.advance(7_000);
    clock.sleep(600_000);
    await clock.advance(5_000);
    const pings = server.sessions[0]?.received.filter(({ type }) => type === "fw.ping");
    expect(pings).toHaveLength(1);
    client.disconnect();
  });
});

it("touches no socket, timer or global before it is told to connect", () => {
  const timeout = vi.spyOn(globalThis, "setTimeout");
  const client = createSyncClient({ url: "/ws", origin: "x" });
  client.subscribe("room:1");
  expect(timeout).not.toHaveBeenCalled();
  expect(client.status.state).toBe("idle");
  timeout.mockRestore();
});
