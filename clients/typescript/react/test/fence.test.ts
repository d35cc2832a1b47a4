// SPDX-License-Identifier: MPL-2.0
// An event arrives while fetches are in flight that read the database before it. The letters are
// those of the study that led to the fence; "stock" is what invalidateQueries alone does today.
import { syncInvalidate } from "@freshwire/react/query";
import { describe, expect, it } from "vitest";
import { database, settle } from "./support.js";

type Database = ReturnType<typeof database>;

/** The mutation and its event. */
function event(db: Database): Promise<void> {
  db.state.value += 1;
  return syncInvalidate(db.client, ["projects"]);
}

describe("the fence", () => {
  it("A: mounted, first fetch in flight", async () => {
    const db = database();
    db.mount();
    const done = event(db);
    await db.finishAll();
    await done;
    expect(db.shown()).toBe(2);
    expect(db.state.fetches).toBe(2);
    expect(db.flagged()).toBe(false);
  });

  it("A, stock, for comparison: stale and not even flagged", async () => {
    const db = database();
    db.mount();
    db.state.value = 2;
    void db.client.invalidateQueries({ queryKey: ["projects"] });
    await db.finishAll();
    expect(db.shown()).toBe(1);
    expect(db.flagged()).toBe(false);
  });

  it("B: mounted, refetch in flight", async () => {
    const db = database();
    const { observer } = db.mount();
    await db.finish();
    void observer.refetch();
    const done = event(db);
    await db.finishAll();
    await done;
    expect(db.shown()).toBe(2);
  });

  it("C: as B, when the refetch in flight must not be cancelled again and again", async () => {
    const db = database();
    db.mount();
    await db.finish();
    const all: Promise<void>[] = [];
    for (let count = 0; count < 10; count += 1) {
      all.push(event(db));
      await settle();
    }
    // The first event's refetch, restarted once by the second; the others wait for its end.
    expect(db.state.fetches).toBe(3);
    await db.finishAll();
    await Promise.all(all);
    expect(db.shown()).toBe(11);
    expect(db.state.fetches).toBe(4);
  });

  it("D: prefetch in flight, nobody observes", async () => {
    const db = database();
    void db.client.prefetchQuery(db.options);
    const done = event(db);
    await db.finishAll();
    await done;
    expect(db.shown()).toBe(2);
  });

  it("E: refetch in flight, and the event only marks: a later mount fetches", async () => {
    const db = database();
    const { unmount } = db.mount();
    await db.finish();
    unmount();
    await event(db);
    expect(db.flagged()).toBe(true);
    db.mount({ staleTime: 60_000 });
    await db.finishAll();
    expect(db.shown()).toBe(2);
  });

  it("F: several keys of one event, each query fetched once", async () => {
    const db = database(["projects", 1, "details"]);
    db.mount();
    await db.finish();
    db.state.value = 2;
    void syncInvalidate(db.client, ["projects", ["projects", 1], "dashboard"]);
    await db.finishAll();
    expect(db.shown()).toBe(2);
    expect(db.state.fetches).toBe(2);
  });

  it("G: keys that match nothing leave everything alone", async () => {
    const db = database();
    db.mount();
    await db.finish();
    await syncInvalidate(db.client, ["teams", ["projects", "other"]]);
    expect(db.flagged()).toBe(false);
    expect(db.state.fetches).toBe(1);
  });

  it("H: a static query is by its own wish not refetched, but flagged", async () => {
    const db = database();
    db.mount({ staleTime: "static" });
    await db.finish();
    await event(db);
    expect(db.state.fetches).toBe(1);
    expect(db.flagged()).toBe(true);
  });

  it("I: a disabled query is not refetched, but flagged", async () => {
    const db = database();
    const { observer } = db.mount();
    await db.finish();
    observer.setOptions({ ...db.options, enabled: false });
    await event(db);
    expect(db.state.fetches).toBe(1);
    expect(db.flagged()).toBe(true);
  });

  it("J: as D, mounted later without a stale time", async () => {
    const db = database();
    void db.client.prefetchQuery(db.options);
    void event(db);
    await db.finishAll();
    db.mount();
    await db.finishAll();
    expect(db.shown()).toBe(2);
  });

  it("K: as D, mounted later with a stale time of a minute", async () => {
    const db = database();
    void db.client.prefetchQuery(db.options);
    void event(db);
    await db.finish();
    db.mount({ staleTime: 60_000 });
    await db.finishAll();
    expect(db.shown()).toBe(2);
  });

  it("L: refetch in flight, the component unmounts, the event arrives", async () => {
    const db = database();
    const { observer, unmount } = db.mount();
    await db.finish();
    void observer.refetch();
    unmount();
    void event(db);
    await db.finishAll();
    db.mount({ staleTime: 60_000 });
    await db.finishAll();
    expect(db.shown()).toBe(2);
  });

  it("L, with a cancelled fetch: the state that it brings back is flagged again", async () => {
    const db = database();
    const { unmount } = db.mount();
    await db.finish();
    unmount();
    void db.client.refetchQueries({ queryKey: ["projects"] });
    void event(db);
    await db.client.cancelQueries({ queryKey: ["projects"] });
    expect(db.client.getQueryState(["projects"])?.fetchStatus).toBe("idle");
    expect(db.flagged()).toBe(true);
  });

  it("M: a second event during the fence's own refetch", async () => {
    const db = database();
    db.mount();
    void event(db);
    await db.finish();
    expect(db.shown()).toBe(1);
    const done = event(db);
    await db.finishAll();
    await done;
    expect(db.shown()).toBe(3);
  });

  it("N: five events during the first fetch cost one more fetch", async () => {
    const db = database();
    db.mount();
    const all = [event(db), event(db), event(db), event(db), event(db)];
    await db.finishAll();
    await Promise.all(all);
    expect(db.shown()).toBe(6);
    expect(db.state.fetches).toBe(2);
  });

  it("O: the first fetch fails after the event", async () => {
    const db = database();
    db.mount();
    const done = event(db);
    await db.fail();
    await db.finishAll();
    await done;
    expect(db.shown()).toBe(2);
    expect(db.state.fetches).toBe(2);
  });

  it("does not fetch for ever when every fetch fails", async () => {
    const db = database();
    db.mount();
    const done = event(db);
    await db.fail();
    await db.fail();
    await done;
    expect(db.state.fetches).toBe(2);
    expect(db.flagged()).toBe(true);
  });

  it("resolves fetchQuery with what it read, and fetches again behind it", async () => {
    const db = database();
    const fetched = db.client.fetchQuery(db.options);
    void event(db);
    await db.finishAll();
    await expect(fetched).resolves.toBe(1);
    expect(db.shown()).toBe(2);
  });

  it("leaves data set by hand during a fetch to the fetch that follows", async () => {
    const db = database();
    db.mount();
    void event(db);
    db.client.setQueryData(["projects"], 99);
    expect(db.shown()).toBe(99);
    expect(db.state.fetches).toBe(1);
    await db.finishAll();
    expect(db.shown()).toBe(2);
    expect(db.state.fetches).toBe(2);
  });

  it("forgets a query that is removed while somebody waits for it", async () => {
    const db = database();
    db.mount();
    const done = event(db);
    db.client.clear();
    await db.finishAll();
    await done;
    expect(db.client.getQueryCache().getAll()).toHaveLength(0);
  });

  it("covers every query when no keys are given", async () => {
    const db = database(["anything", { page: 1 }]);
    db.mount();
    await db.finish();
    db.state.value = 2;
    void syncInvalidate(db.client, undefined);
    await db.finishAll();
    expect(db.shown()).toBe(2);
  });

  it("makes progress under a stream of events that never pauses", async () => {
    const db = database();
    db.mount();
    await db.finish();
    const seen = new Set<unknown>();
    for (let count = 0; count < 30; count += 1) {
      void event(db);
      if (count % 3 === 2) await db.finish();
      seen.add(db.shown());
    }
    expect(seen.size).toBeGreaterThan(5);
    await db.finishAll();
    expect(db.shown()).toBe(31);
  });
});
