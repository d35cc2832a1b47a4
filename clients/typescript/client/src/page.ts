// SPDX-License-Identifier: MPL-2.0
// Signs that the page was away: hidden, offline, frozen, asleep. Nothing global is touched at import.

import type { Clock } from "./clock.js";

/** Calls `wake` whenever the connection deserves a look; returns how to stop. */
export type PageWatcher = (wake: () => void, clock: Clock) => () => void;

const TICK_MS = 5_000;

/** In a browser: visibility, page show, online, focus, and a clock that jumped. Elsewhere: the clock alone. */
export const watchPage: PageWatcher = (wake, clock) => {
  const page = typeof document === "undefined" ? undefined : document;
  const view = typeof window === "undefined" ? undefined : window;
  const visible = () => page?.visibilityState !== "hidden";
  const onSign = () => {
    if (visible()) wake();
  };
  page?.addEventListener("visibilitychange", onSign);
  const signs = ["pageshow", "online", "focus"];
  for (const sign of signs) view?.addEventListener(sign, onSign);

  // Timers stand still while the machine sleeps; the wall clock does not.
  let timer: unknown;
  const tick = (expected: number) => {
    if (clock.wall() - expected > TICK_MS) onSign();
    const next = clock.wall() + TICK_MS;
    timer = clock.setTimeout(() => tick(next), TICK_MS);
  };
  tick(clock.wall());

  return () => {
    clock.clearTimeout(timer);
    page?.removeEventListener("visibilitychange", onSign);
    for (const sign of signs) view?.removeEventListener(sign, onSign);
  };
};
