// SPDX-License-Identifier: MPL-2.0
import { UnauthorizedError, type TokenReason } from "@freshwire/client";
import { describe, expect, it } from "vitest";
import { lifetimeOf } from "../src/renewal.js";
import { harness } from "./support.js";

const encode = (value: unknown) =>
  btoa(JSON.stringify(value)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

/** A JSON Web Token as far as a client looks at one. */
const tokenOf = (claims: object) => `${encode({ alg: "none" })}.${encode(claims)}.signature`;

/** getToken that counts: "u1.1", "u1.2" …, with the reasons it was asked for. */
function counting(next: (number: number) => string | undefined = (number) => `u1.${number}`) {
  const reasons: TokenReason[] = [];
  const getToken = ({ reason }: { reason: TokenReason }) => {
    reasons.push(reason);
    return next(reasons.length);
  };
  return { reasons, getToken };
}

const firstPart = (token: string | undefined) => token?.split(".")[0];

const refreshes = (received: readonly { type: string }[] | undefined) =>
  received?.filter(({ type }) => type === "fw.refresh");

describe("lifetimeOf", () => {
  it("knows nothing of what is no token, or does not say", () => {
    const texts = [undefined, "", "a.b.c", "opaque", "a..c", tokenOf({}), tokenOf({ exp: 5 })];
    for (const text of texts) expect(lifetimeOf(text)).toBeUndefined();
    expect(lifetimeOf(tokenOf({ iat: 5, exp: 5 }))).toBeUndefined();
    expect(lifetimeOf(tokenOf({ iat: "1", exp: 5 }))).toBeUndefined();
    expect(lifetimeOf(`x.${btoa("null")}.x`)).toBeUndefined();
  });

  it("is the time between its making and its end", () => {
    expect(lifetimeOf(tokenOf({ iat: 1_000, exp: 1_600, name: "Zoë?>" }))).toBe(600_000);
  });
});

describe("a token that expires on a live connection", () => {
  it("is replaced when the server says so, and no event is lost", async () => {
    const { reasons, getToken } = counting();
    const { client, server, clock, events, states } = harness(
      { getToken },
      { authenticate: firstPart, tokenMs: 60_000 },
    );
    client.connect();
    await clock.advance(10);
    for (let minute = 0; minute < 5; minute++) {
      server.publish("broadcast", { type: "tick" });
      await clock.advance(60_000);
    }
    expect(events.map(({ offset }) => offset)).toEqual(["1", "2", "3", "4", "5"]);
    expect(reasons[0]).toBe("initial");
    expect(reasons.length).toBeGreaterThan(4);
    expect(reasons.slice(1).every((reason) => reason === "refresh")).toBe(true);
    expect(server.sockets.length).toBe(1);
    expect(states).toEqual(["connecting", "live"]);
  });

  it("is replaced before that when it says how long it is good", async () => {
    const reasons: string[] = [];
    const { client, server, clock } = harness(
      {
        getToken: ({ reason }) => {
          reasons.push(reason);
          const iat = Math.floor(clock.wall() / 1_000);
          return tokenOf({ sub: "u1", iat, exp: iat + 600, number: reasons.length });
        },
      },
      { authenticate: () => "u1", tokenMs: 600_000 },
    );
    client.connect();
    await clock.advance(500_000);
    expect(reasons).toEqual(["initial"]);
    await clock.advance(99_000);
    expect(reasons).toEqual(["initial", "refresh"]);
    expect(refreshes(server.sessions[0]?.received)).toHaveLength(1);
    // fw.refreshed has said how long the next one is good.
    await clock.advance(600_000);
    expect(reasons).toEqual(["initial", "refresh", "refresh"]);
    expect(server.sockets.length).toBe(1);
  });

  it("is asked for again when getToken gives the old one, until it gives another", async () => {
    const { reasons, getToken } = counting((number) => (number < 4 ? "u1.1" : `u1.${number}`));
    const { client, server, clock } = harness(
      { getToken },
      { authenticate: firstPart, tokenMs: 60_000, graceMs: 30_000 },
    );
    client.connect();
    await clock.advance(60_000 + 16_000);
    expect(reasons).toEqual(["initial", "refresh", "refresh", "refresh"]);
    expect(refreshes(server.sessions[0]?.received)).toHaveLength(1);
    expect(client.status.state).toBe("live");
  });

  it("ends the connection when there is no other, which comes back with the next", async () => {
    const { reasons, getToken } = counting((number) => (number < 5 ? "u1.1" : `u1.${number}`));
    const { client, server, clock } = harness(
      { getToken },
      { authenticate: firstPart, tokenMs: 60_000 },
    );
    client.connect();
    await clock.advance(120_000);
    expect(reasons.slice(0, 2)).toEqual(["initial", "refresh"]);
    expect(reasons).toContain("expired");
    expect(server.sockets.length).toBe(2);
    expect(client.status.state).toBe("live");
    expect(server.hellos[1]?.token).not.toBe("u1.1");
  });

  it("that is refused is not sent again, and the connection goes on", async () => {
    const { getToken } = counting((number) =>
      number === 1 ? "u1.1" : number < 4 ? "bad" : "u1.2",
    );
    const { client, server, clock, errors } = harness(
      { getToken },
      {
        authenticate: (token) => (token === "bad" ? "refused" : firstPart(token)),
        tokenMs: 60_000,
        graceMs: 30_000,
      },
    );
    client.connect();
    await clock.advance(60_000 + 20_000);
    const sent = refreshes(server.sessions[0]?.received)?.map(
      (frame) => (frame as { token?: string }).token,
    );
    expect(sent).toEqual(["bad", "u1.2"]);
    expect(errors).toMatchObject([{ code: 4101 }]);
    expect(server.sockets.length).toBe(1);
  });

  it("of another user is reported and changes nothing", async () => {
    const { getToken } = counting((number) => (number === 1 ? "u1.1" : "u2.1"));
    const { client, clock, errors } = harness(
      { getToken },
      { authenticate: firstPart, tokenMs: 60_000 },
    );
    client.connect();
    await clock.advance(60_100);
    expect(errors).toMatchObject([{ code: 4403 }]);
    expect(client.status).toMatchObject({ state: "live", userId: "u1" });
  });

  it("whose key is not known yet is brought again, at the door and inside", async () => {
    const { client, server, clock } = harness({ getToken: () => "u1.1" });
    client.connect();
    await clock.advance(10);
    server.close(4201, "its key is not known here, yet");
    await clock.advance(10);
    expect(client.status).toMatchObject({ state: "reconnecting", error: { code: 4201 } });
    await clock.advance(7_000);
    expect(client.status.state).toBe("live");
    expect(server.hellos.map(({ token }) => token)).toEqual(["u1.1", "u1.1"]);
  });

  it("stops the client when there is no user any more", async () => {
    let signedIn = true;
    const { client, clock } = harness(
      {
        getToken: () => {
          if (!signedIn) throw new UnauthorizedError();
          return "u1.1";
        },
      },
      { authenticate: firstPart, tokenMs: 60_000 },
    );
    client.connect();
    await clock.advance(10);
    signedIn = false;
    await clock.advance(60_000);
    expect(client.status).toMatchObject({ state: "stopped", error: { code: 4101 } });
  });

  it("is asked for again when getToken fails or does not answer", async () => {
    let calls = 0;
    const { client, server, clock, errors } = harness(
      {
        getToken: () => {
          calls += 1;
          if (calls === 2) throw new Error("offline");
          if (calls === 3) return new Promise<string>(() => undefined);
          return `u1.${calls}`;
        },
      },
      { authenticate: firstPart, tokenMs: 60_000, graceMs: 60_000 },
    );
    client.connect();
    await clock.advance(60_000 + 30_000);
    expect(calls).toBe(4);
    expect(errors).toMatchObject([{ temporary: true }]);
    expect(server.sockets.length).toBe(1);
    expect(refreshes(server.sessions[0]?.received)).toHaveLength(1);
  });

  it("comes from elsewhere when there is no getToken: the page connects again", async () => {
    const { client, server, clock } = harness(
      {},
      { authenticate: () => "u1", tokenMs: 60_000, graceMs: 1_000 },
    );
    client.connect();
    await clock.advance(63_000);
    expect(server.sockets.length).toBe(2);
    expect(client.status).toMatchObject({ state: "live", userId: "u1" });
  });

  it("takes channels away that the next one does not allow, and gives them back", async () => {
    const { getToken } = counting();
    const forbidden = new Set<string>();
    const { client, server, clock, errors, offsets } = harness(
      { getToken },
      { authenticate: firstPart, tokenMs: 60_000, forbidden: (name) => forbidden.has(name) },
    );
    const refused: unknown[] = [];
    client.subscribe("room:1", undefined, { onError: (error) => refused.push(error) });
    client.connect();
    await clock.advance(10);
    forbidden.add("room:1");
    await clock.advance(60_000);
    expect(refused).toMatchObject([{ code: 4403, channel: "room:1" }]);
    server.publish("room:1", { type: "hidden" });
    await clock.advance(10);
    expect(offsets()).toEqual([]);
    forbidden.clear();
    await clock.advance(60_000);
    server.publish("room:1", { type: "shown" });
    await clock.advance(10);
    expect(offsets()).toContain("room:1 2");
    expect(errors.every((error) => (error as { code: number }).code === 4403)).toBe(true);
  });
});
