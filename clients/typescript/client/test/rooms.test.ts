// SPDX-License-Identifier: MPL-2.0
import { SyncError, type PresenceChange } from "@freshwire/client";
import { describe, expect, it } from "vitest";
import { harness } from "./support.js";

const room = "room:1";

/** Another user on the same gateway. */
function visitor(server: ReturnType<typeof harness>["server"], user: string) {
  const socket = new server.WebSocket("ws://gateway.test/ws", "freshwire.v1.json");
  const say = (frame: object) => socket.send(JSON.stringify(frame));
  socket.onmessage = () => undefined;
  socket.onopen = () =>
    say({ type: "fw.hello", token: user, origin: user, subscriptions: [{ channel: room }] });
  return { socket, say };
}

const names = (change: PresenceChange) =>
  change.presence.members.map(({ userId, sessions }) => `${userId}:${sessions}`);

describe("presence", () => {
  it("shows who is there, who came and who left", async () => {
    const { client, server, clock } = harness({ getToken: () => "ada" });
    const changes: PresenceChange[] = [];
    expect(client.presence(room)).toBeUndefined();
    client.watchPresence(room, (change) => changes.push(change));
    client.connect();
    await clock.advance(10);
    expect(client.presence(room)?.members).toEqual([{ userId: "ada", sessions: 1 }]);
    const bob = visitor(server, "bob");
    await clock.advance(10);
    const last = changes.at(-1);
    expect(last && names(last)).toEqual(["ada:1", "bob:1"]);
    expect(changes.flatMap(({ joined }) => joined)).toEqual([{ userId: "bob", sessions: 1 }]);
    bob.socket.close();
    await clock.advance(10);
    expect(changes.flatMap(({ left }) => left)).toEqual([{ userId: "bob", sessions: 1 }]);
    expect(client.presence(room)?.count).toBe(1);
  });

  it("puts a list of several parts together before it shows it, and then its changes", async () => {
    const { client, server, clock } = harness({ getToken: () => "ada" });
    const changes: PresenceChange[] = [];
    client.watchPresence(room, (change) => changes.push(change));
    client.connect();
    await clock.advance(10);
    changes.length = 0;
    const session = server.sessions[0];
    const one = (user_id: string, sessions = 1) => ({ user_id, sessions });
    const base = { type: "fw.presence" as const, channel: room };
    session?.send({ ...base, members: [one("a"), one("b")], snapshot: true, more: true });
    session?.send({ ...base, join: [one("c")], more: true });
    await clock.advance(10);
    expect(changes).toEqual([]);
    session?.send({ ...base, join: [one("d")] });
    await clock.advance(10);
    expect(changes.map(names)).toEqual([["a:1", "b:1", "c:1", "d:1"]]);
    session?.send({ ...base, join: [one("e")], leave: [one("a", 0)], update: [one("b", 3)] });
    await clock.advance(10);
    expect(changes[1] && names(changes[1])).toEqual(["b:3", "c:1", "d:1", "e:1"]);
    expect(changes[1]?.joined).toEqual([{ userId: "e", sessions: 1 }]);
    expect(changes[1]?.left).toEqual([{ userId: "a", sessions: 1 }]);
  });

  it("knows only the number of a room that is too large", async () => {
    const { client, server, clock } = harness({ getToken: () => "ada" });
    client.watchPresence(room);
    client.connect();
    await clock.advance(10);
    const base = { type: "fw.presence" as const, channel: room, too_many: true };
    server.sessions[0]?.send({ ...base, members: [], snapshot: true, count: 9000 });
    await clock.advance(10);
    expect(client.presence(room)).toMatchObject({ members: [], count: 9000, tooMany: true });
    server.sessions[0]?.send({ ...base, count: 9001 });
    await clock.advance(10);
    expect(client.presence(room)?.count).toBe(9001);
  });

  it("asks again with each connection, and keeps what it showed until the answer", async () => {
    const { client, server, clock, gaps } = harness({ getToken: () => "ada" });
    client.watchPresence(room);
    client.connect();
    await clock.advance(10);
    gaps.length = 0;
    server.close(1006);
    await clock.advance(1);
    expect(client.presence(room)?.count).toBe(1);
    await clock.advance(5_000);
    expect(server.hellos.at(-1)?.subscriptions).toContainEqual(
      expect.objectContaining({ channel: room, presence: true }),
    );
    expect(client.presence(room)?.count).toBe(1);
    expect(gaps).toEqual([]);
  });

  it("begins and ends on a channel that is joined already, without losing its place", async () => {
    const { client, server, clock, gaps } = harness({ getToken: () => "ada" });
    client.subscribe(room);
    client.connect();
    await clock.advance(10);
    gaps.length = 0;
    const release = client.watchPresence(room);
    await clock.advance(10);
    expect(client.presence(room)?.count).toBe(1);
    release();
    await clock.advance(2_000);
    expect(client.presence(room)).toBeUndefined();
    const asked = server.sessions[0]?.received.flatMap((frame) =>
      frame.type === "fw.subscribe" ? [frame.presence] : [],
    );
    expect(asked).toEqual([true, false]);
    expect(gaps).toEqual([]);
  });

  it("tells of a refusal; the subscription stands", async () => {
    const { client, server, clock, events } = harness(
      { getToken: () => "ada" },
      { private: () => true },
    );
    const refused: SyncError[] = [];
    client.watchPresence(room, undefined, (error) => refused.push(error));
    client.connect();
    await clock.advance(10);
    expect(refused).toMatchObject([{ code: 4403, channel: room, temporary: false }]);
    server.publish(room, { type: "project_updated" });
    await clock.advance(10);
    expect(events).toHaveLength(1);
  });

  it("forgets who was there when another user takes over", async () => {
    const users = ["ada", "eve"];
    const { client, clock } = harness({ getToken: () => users[0] });
    client.watchPresence(room);
    client.setIdentity("ada");
    client.connect();
    await clock.advance(10);
    users.shift();
    client.setIdentity("eve");
    expect(client.presence(room)).toBeUndefined();
    await clock.advance(10);
    expect(client.presence(room)?.members).toEqual([{ userId: "eve", sessions: 1 }]);
  });
});

describe("publish", () => {
  it("reaches the room as an event without a place, which nothing is fetched for", async () => {
    const { client, clock, events } = harness({ getToken: () => "ada" });
    const batches: unknown[] = [];
    client.on("batch", (batch) => batches.push(...batch.events));
    client.subscribe(room);
    client.connect();
    await clock.advance(10);
    const done = client.publish(room, "typing", { on: true });
    await clock.advance(100);
    await expect(done).resolves.toBeUndefined();
    expect(events).toMatchObject([
      { type: "typing", data: { on: true }, user_id: "ada", client: true, ephemeral: true },
    ]);
    expect(events[0]).toMatchObject({ epoch: "", offset: "", id: "", fresh: "0" });
    expect(batches).toEqual([]);
    expect(client.positions().map(({ channel }) => channel)).toContain(room);
  });

  it("is an ordinary event when it is to be kept", async () => {
    const { client, clock, offsets } = harness({ getToken: () => "ada" });
    client.subscribe(room);
    client.connect();
    await clock.advance(10);
    const done = client.publish(room, "said", "hello", { keep: true });
    await clock.advance(100);
    await done;
    expect(offsets()).toEqual([`${room} 1`]);
  });

  it("rejects what the server refuses", async () => {
    const { client, clock, errors } = harness({ getToken: () => "ada" });
    client.connect();
    await clock.advance(10);
    const done = client.publish(room, "typing", null);
    const failure = expect(done).rejects.toMatchObject({ code: 4403, channel: room });
    await clock.advance(10);
    await failure;
    expect(errors).toEqual([]);
  });

  it("rejects at once without a connection, and when it is lost before the answer", async () => {
    const { client, server, clock } = harness({ getToken: () => "ada" });
    const early = client.publish(room, "typing", null);
    await expect(early).rejects.toMatchObject({ temporary: true });
    client.subscribe(room);
    client.connect();
    await clock.advance(10);
    server.silent = true;
    const lost = expect(client.publish(room, "typing", null)).rejects.toBeInstanceOf(SyncError);
    server.close(1006);
    await clock.advance(10);
    await lost;
  });

  it("gives up after a while when nobody answers", async () => {
    const { client, server, clock } = harness({ getToken: () => "ada" });
    client.subscribe(room);
    client.connect();
    await clock.advance(10);
    server.silent = true;
    const done = client.publish(room, "typing", null);
    const failure = expect(done).rejects.toThrow("not acknowledged in time");
    await clock.advance(16_000);
    await failure;
  });
});
