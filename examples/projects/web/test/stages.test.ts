// SPDX-License-Identifier: MPL-2.0
import { describe, expect, it } from "vitest";
import type { Trace } from "../src/pulse.js";
import { partsOf, quantile, stagesOf } from "../src/stages.js";

function trace(change: Partial<Trace> = {}): Trace {
  const event = {
    type: "project_updated",
    data: {},
    channel: "broadcast",
    epoch: "e",
    offset: "1",
    id: "1",
    ts: 1_000,
    fresh: "1003000",
    unconfirmed: false,
    spread_ms: 0,
    receivedAt: 1_005,
  };
  return {
    event,
    own: false,
    isRare: true,
    clicked: undefined,
    committed: 1_000,
    purged: 1_003,
    received: 1_005,
    refetched: 1_020,
    painted: 1_026,
    latencyMs: 26,
    ...change,
  };
}

const times = (given: Trace) => stagesOf(given).map(({ at }) => at);
const states = (given: Trace | undefined) => stagesOf(given).map(({ state }) => state);

describe("stages", () => {
  it("counts from the commit elsewhere, and from the click here", () => {
    expect(times(trace())).toEqual([0, 3, undefined, 5, 20, 26]);
    expect(times(trace({ clicked: 990 }))).toEqual([10, 13, undefined, 15, 30, 36]);
  });

  it("never runs backwards when two clocks differ", () => {
    expect(times(trace({ purged: 999, received: 998 }))).toEqual([0, 0, undefined, 0, 20, 26]);
  });

  it("says what has not happened yet, was not needed, or was not confirmed", () => {
    expect(states(undefined)).toEqual(Array(6).fill("ahead"));
    expect(states(trace({ painted: undefined }))[5]).toBe("ahead");
    expect(states(trace({ purged: undefined }))[1]).toBe("skipped");
    const unconfirmed = { ...trace().event, unconfirmed: true };
    expect(states(trace({ purged: undefined, event: unconfirmed }))[1]).toBe("warning");
  });

  it("splits the whole latency into parts that add up to it", () => {
    const parts = partsOf(trace({ clicked: 990, latencyMs: 36 }));
    expect(parts).toEqual([
      { name: "request", ms: 10 },
      { name: "purge", ms: 3 },
      { name: "delivery", ms: 2 },
      { name: "refetch", ms: 15 },
      { name: "paint", ms: 6 },
    ]);
  });
});

it("takes quantiles by nearest rank", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect([quantile(values, 0.5), quantile(values, 0.99), quantile([7], 0.99)]).toEqual([50, 99, 7]);
  expect(quantile([], 0.5)).toBeUndefined();
});
