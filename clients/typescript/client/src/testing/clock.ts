// SPDX-License-Identifier: MPL-2.0
// A clock that a test moves by hand.

import type { Clock } from "../clock.js";

interface Timer {
  at: number;
  order: number;
  run: () => void;
}

export interface FakeClock extends Clock {
  /** Lets time pass: runs every timer that falls due, in order, with all promises settled between. */
  advance(delayMs: number): Promise<void>;
  /** The machine sleeps, as with a closed lid: only the wall clock moves, and nothing runs. */
  sleep(delayMs: number): void;
  /** Timers that are armed. */
  pending(): number;
}

/** A turn of the host's event loop, so that chains of promises of any length are through. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === "function") setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}

declare const setImmediate: ((run: () => void) => unknown) | undefined;

export function createFakeClock(startMs = 1_732_270_000_000): FakeClock {
  const timers = new Set<Timer>();
  let now = 0;
  let order = 0;
  let slept = 0;

  const nextDue = (limit: number): Timer | undefined => {
    let next: Timer | undefined;
    for (const timer of timers) {
      if (timer.at > limit) continue;
      if (!next || timer.at < next.at || (timer.at === next.at && timer.order < next.order)) {
        next = timer;
      }
    }
    return next;
  };

  return {
    now: () => now,
    wall: () => startMs + now + slept,
    setTimeout(run, delayMs) {
      const timer = { at: now + Math.max(0, delayMs), order: order++, run };
      timers.add(timer);
      return timer;
    },
    clearTimeout(timer) {
      timers.delete(timer as Timer);
    },
    async advance(delayMs) {
      const end = now + delayMs;
      await turn();
      for (let timer = nextDue(end); timer; timer = nextDue(end)) {
        timers.delete(timer);
        now = Math.max(now, timer.at);
        timer.run();
        await turn();
      }
      now = Math.max(now, end);
    },
    sleep(delayMs) {
      slept += delayMs;
    },
    pending: () => timers.size,
  };
}
