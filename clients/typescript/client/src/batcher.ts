// SPDX-License-Identifier: MPL-2.0
// Hands events over in batches: the first after a quiet time at once, the rest of a burst together.

import type { Gap } from "./channels.js";
import type { Clock } from "./clock.js";
import type { SyncEvent } from "./wire.js";

export interface Batch {
  events: SyncEvent[];
  gaps: Gap[];
}

/** Window over which every client refetches after a broker restart, milliseconds. */
const EPOCH_SPREAD_MS = 2_000;

interface Item {
  dueAt: number;
  event?: SyncEvent;
  gap?: Gap;
}

export class Batcher {
  #items: Item[] = [];
  #timer: unknown;
  #armedFor = Infinity;
  #flushedAt = -Infinity;

  constructor(
    private readonly clock: Clock,
    /** The least time between two batches, milliseconds. */
    private readonly intervalMs: number,
    private readonly random: () => number,
    private readonly flush: (batch: Batch) => void,
  ) {}

  /** An event with a spread waits for a random part of it. */
  event(event: SyncEvent): void {
    const spreadMs = event.spread_ms > 0 ? this.random() * event.spread_ms : 0;
    this.#add({ dueAt: this.clock.now() + spreadMs, event });
  }

  gap(gap: Gap): void {
    const all = gap.reason === "epoch" || gap.reason === "unconfirmed"; // every client at once
    const spreadMs = all ? this.random() * EPOCH_SPREAD_MS : 0;
    this.#add({ dueAt: this.clock.now() + spreadMs, gap });
  }

  /** Drops what waits; a later event starts again. */
  clear(): void {
    this.#items = [];
    this.#arm();
  }

  #add(item: Item): void {
    this.#items.push(item);
    if (item.dueAt < this.#armedFor) this.#arm();
  }

  #arm(): void {
    const first = this.#items.reduce((least, { dueAt }) => Math.min(least, dueAt), Infinity);
    const dueAt = Math.max(first, this.#flushedAt + this.intervalMs);
    if (dueAt === this.#armedFor) return;
    this.clock.clearTimeout(this.#timer);
    this.#armedFor = dueAt;
    if (dueAt === Infinity) return;
    const delayMs = dueAt - this.clock.now();
    // A microtask, not a timer, for what is due now: it joins the other events of the same message.
    if (delayMs <= 0) queueMicrotask(() => this.#run(dueAt));
    else this.#timer = this.clock.setTimeout(() => this.#run(dueAt), delayMs);
  }

  #run(dueAt: number): void {
    if (dueAt !== this.#armedFor) return;
    const now = this.clock.now();
    const due = this.#items.filter((item) => item.dueAt <= now);
    this.#items = this.#items.filter((item) => item.dueAt > now);
    this.#armedFor = Infinity;
    if (due.length > 0) this.#flushedAt = now;
    this.#arm();
    // Browsers may run a timer a little early: then it was armed again.
    if (due.length === 0) return;
    this.flush({
      events: due.flatMap(({ event }) => event ?? []),
      gaps: due.flatMap(({ gap }) => gap ?? []),
    });
  }
}
