// SPDX-License-Identifier: MPL-2.0
import {
  createSyncQueryClient,
  HttpError,
  syncFetch,
  syncInvalidate,
  syncOrigin,
  syncRetry,
  syncRetryDelay,
} from "@freshwire/react/query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fakeFetch, settle } from "./support.js";

let requests: ReturnType<typeof fakeFetch>;

beforeEach(() => {
  requests = fakeFetch(() => new Response("1"));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function reader() {
  const client = createSyncQueryClient({ origin: "tab-7" });
  const read = async (...queryKey: unknown[]) => {
    await client.fetchQuery({
      queryKey,
      queryFn: async (context) => (await syncFetch(context, "/projects")).text(),
    });
    return requests.at(-1)?.headers.get("X-Freshwire-Fresh");
  };
  return { client, read };
}

describe("freshness of reads", () => {
  it("asks for nothing before any event, and always says which tab it is", async () => {
    const { client, read } = reader();
    expect(await read("projects")).toBeNull();
    expect(requests[0]?.headers.get("X-Freshwire-Origin")).toBe("tab-7");
    expect(requests[0]?.init.cache).toBe("no-cache");
    expect(syncOrigin(client)).toBe("tab-7");
  });

  it("carries the newest token of the key and of every key above it, and of no other", async () => {
    const { client, read } = reader();
    await syncInvalidate(client, ["projects"], { fresh: "1732270000122456" });
    await syncInvalidate(client, [["projects", 42]], { fresh: "1732270000122999" });
    await syncInvalidate(client, ["projects"], { fresh: "1732270000122001" });
    expect(await read("projects")).toBe("1732270000122456");
    expect(await read("projects", 42, "tasks")).toBe("1732270000122999");
    expect(await read("projects", 43)).toBe("1732270000122456");
    expect(await read("teams")).toBeNull();
  });

  it.each(["0", "", "-1", "NaN", "many"])("takes the token %s for none", async (fresh) => {
    const { client, read } = reader();
    await syncInvalidate(client, ["projects"], { fresh });
    expect(await read("projects")).toBeNull();
  });

  it("bypasses after an unconfirmed event until the caches' time to live is over", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { client, read } = reader();
    await syncInvalidate(client, ["projects"], { bypass: true });
    expect(await read("projects")).toBe("bypass");
    expect(requests.at(-1)?.init.cache).toBe("reload");
    vi.advanceTimersByTime(299_000);
    expect(await read("projects")).toBe("bypass");
    vi.advanceTimersByTime(2_000);
    expect(await read("projects")).toBeNull();
  });

  it("ends a bypass early with a later confirmed event, whose token says as much", async () => {
    const { client, read } = reader();
    await syncInvalidate(client, ["projects"], { bypass: true });
    await syncInvalidate(client, ["projects"], { fresh: "5" });
    expect(await read("projects")).toBe("5");
  });

  it("ends a short bypass only by a successful read that began after it", async () => {
    const answers: (() => void)[] = [];
    requests = fakeFetch(
      () => new Promise((resolve) => answers.push(() => resolve(new Response("1")))),
    );
    const { client } = reader();
    const fetch = (retry = false) =>
      client
        .fetchQuery({
          queryKey: ["projects"],
          retry,
          queryFn: async (context) => (await syncFetch(context, "/projects")).text(),
        })
        .catch(() => undefined);
    const before = fetch();
    await settle();
    void syncInvalidate(client, ["projects"], { bypass: true, bypassMs: 0 });
    answers.shift()?.();
    await before;
    await settle();
    // The read that the fence repeats; the one before did not count.
    expect(requests.at(-1)?.headers.get("X-Freshwire-Fresh")).toBe("bypass");
    answers.shift()?.();
    await settle();
    const after = fetch();
    await settle();
    answers.shift()?.();
    await after;
    expect(requests).toHaveLength(3);
    expect(requests.at(-1)?.headers.get("X-Freshwire-Fresh")).toBeNull();
  });

  it("keeps bypassing after a read that failed", async () => {
    const { client, read } = reader();
    await syncInvalidate(client, ["projects"], { bypass: true, bypassMs: 0 });
    requests = fakeFetch(() => new Response("", { status: 404 }));
    await expect(read("projects")).rejects.toThrow("404");
    requests = fakeFetch(() => new Response("1"));
    expect(await read("projects")).toBe("bypass");
    expect(await read("projects")).toBeNull();
  });

  it("remembers a bounded number of keys, and forgets none: the oldest count for all", async () => {
    const { client, read } = reader();
    for (let id = 1; id <= 400; id += 1) {
      await syncInvalidate(client, [["project", id]], { fresh: String(id) });
    }
    expect(await read("project", 400)).toBe("400");
    expect(await read("project", 1)).toBe("145");
    expect(await read("teams")).toBe("145");
  });
});

describe("syncFetch", () => {
  it("carries no freshness and no cache mode for a mutation", async () => {
    const { client } = reader();
    await syncInvalidate(client, ["projects"], { fresh: "5" });
    await syncFetch({ client }, "/projects", { method: "POST", headers: { "X-Mine": "1" } });
    expect(Object.fromEntries(requests[0]?.headers ?? [])).toEqual({
      "x-mine": "1",
      "x-freshwire-origin": "tab-7",
    });
    expect(requests[0]?.init.cache).toBeUndefined();
  });

  it("rejects with the status and Retry-After of an answer that is not ok", async () => {
    const { client } = reader();
    fakeFetch(() => new Response("busy", { status: 429, headers: { "Retry-After": "7" } }));
    const error = await syncFetch({ client }, "/projects").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(HttpError);
    expect(error).toMatchObject({ status: 429, retryAfterMs: 7_000 });
    expect(await (error as HttpError).response.text()).toBe("busy");
  });

  it("is aborted with its query", async () => {
    const { client } = reader();
    const controller = new AbortController();
    await syncFetch({ client, signal: controller.signal }, "/projects");
    controller.abort();
    expect(requests[0]?.init.signal?.aborted).toBe(true);
  });
});

describe("createSyncQueryClient", () => {
  it("keeps nothing longer than it must", () => {
    const { queries } = createSyncQueryClient().getDefaultOptions();
    expect(queries).toMatchObject({ staleTime: 0, gcTime: 10_000 });
    expect(queries).not.toHaveProperty("refetchOnMount");
  });

  it("lets the application have its own defaults", () => {
    const client = createSyncQueryClient({ defaultOptions: { queries: { gcTime: 1 } } });
    expect(client.getDefaultOptions().queries).toMatchObject({ staleTime: 0, gcTime: 1 });
  });

  it.each([
    [400, false],
    [401, false],
    [404, false],
    [408, true],
    [425, true],
    [429, true],
    [500, true],
    [undefined, true],
  ])("after status %s, retries: %s", (status, expected) => {
    expect(syncRetry(0, { status })).toBe(expected);
    expect(syncRetry(2, { status })).toBe(false);
    const { mutations } = createSyncQueryClient().getDefaultOptions();
    const retry = mutations?.retry as (count: number, error: unknown) => boolean;
    expect([retry(0, { status }), retry(1, { status })]).toEqual([expected, false]);
  });

  it("waits a random part of a growing time, or as long as the server asks", () => {
    for (const attempt of [0, 1, 2, 3, 10]) {
      const delays = Array.from({ length: 200 }, () => syncRetryDelay(attempt));
      expect(Math.max(...delays)).toBeLessThan(Math.min(1_000 * 2 ** attempt, 5_000));
      expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(500);
    }
    expect(syncRetryDelay(0, { retryAfterMs: 7_000 })).toBe(7_000);
    expect(syncRetryDelay(0, { retryAfterMs: 10_000_000 })).toBe(60_000);
  });
});
