// SPDX-License-Identifier: MPL-2.0
// The stages of an event, as times since the first of them. Pure.

import type { Trace } from "./pulse.js";

export interface Stage {
  name: string;
  explanation: string;
  /** Milliseconds since the first stage; undefined while it has not been reached, or has no clock. */
  at: number | undefined;
  state: "reached" | "ahead" | "skipped" | "warning";
}

/** Clocks of two processes differ by a little: no stage is drawn before the one ahead of it. */
export function stagesOf(trace: Trace | undefined): Stage[] {
  const from = trace?.clicked ?? trace?.committed ?? 0;
  let last = 0;
  const since = (time: number | undefined) => {
    if (time === undefined) return undefined;
    last = Math.max(last, time - from);
    return last;
  };
  const stage = (name: string, explanation: string, time: number | undefined): Stage => {
    const at = trace && since(time);
    return { name, explanation, at, state: at === undefined ? "ahead" : "reached" };
  };
  const commit = stage("commit", "the transaction is in the database", trace?.committed);
  const purge = stage("purge", "Redis no longer has the old copy", trace?.purged);
  if (trace?.event.unconfirmed) purge.state = "warning";
  else if (trace && trace.purged === undefined) purge.state = "skipped";
  const received = stage("received", "this browser has the event", trace?.received);
  // The broker's release is not timed here, but nothing is received before it.
  const release: Stage = {
    name: "release",
    explanation: "only now is the event let out to browsers",
    at: undefined,
    state: received.state,
  };
  return [
    commit,
    purge,
    release,
    received,
    stage("refetched", "the queries hold the new data", trace?.refetched),
    stage("on screen", "the frame is drawn", trace?.painted),
  ];
}

/** The lengths between stages, for a stacked bar: purge, delivery, refetch, paint. */
export function partsOf(trace: Trace): { name: string; ms: number }[] {
  const times = [
    trace.clicked ?? trace.committed,
    trace.committed,
    trace.purged ?? trace.committed,
    trace.received,
    trace.refetched ?? trace.received,
    trace.painted ?? trace.refetched ?? trace.received,
  ];
  const names = ["request", "purge", "delivery", "refetch", "paint"];
  let last = times[0] ?? 0;
  return names.map((name, index) => {
    const next = Math.max(last, times[index + 1] ?? last);
    const ms = next - last;
    last = next;
    return { name, ms };
  });
}

/** The value below which this part of the list lies (nearest rank). */
export function quantile(values: readonly number[], part: number): number | undefined {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
}
