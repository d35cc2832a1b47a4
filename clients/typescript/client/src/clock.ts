// SPDX-License-Identifier: MPL-2.0
// Time, as something a test can replace.

export interface Clock {
  /** Monotonic milliseconds. May stand still while the machine sleeps. */
  now(): number;
  /** The wall clock, milliseconds since 1970. */
  wall(): number;
  setTimeout(run: () => void, delayMs: number): unknown;
  clearTimeout(timer: unknown): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimeout: (run, delayMs) => setTimeout(run, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};
