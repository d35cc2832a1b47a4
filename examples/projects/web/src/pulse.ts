// SPDX-License-Identifier: MPL-2.0
// The measurements of the page: for each event, when it passed each stage on its way to the screen.

import type { Batch, Gap, SyncEvent } from "@freshwire/client";
import { useSyncExternalStore } from "react";

export interface Trace {
  event: SyncEvent;
  /** This window caused it. */
  own: boolean;
  /** Events in quick succession are not animated: nobody could follow, and it would cost them time. */
  isRare: boolean;
  /** Milliseconds since 1970, by the clock of whoever passed the stage. */
  clicked: number | undefined;
  committed: number;
  /** Redis' clock when the purge was done; undefined when nothing was purged, or not confirmed. */
  purged: number | undefined;
  received: number;
  refetched: number | undefined;
  painted: number | undefined;
  /** From the click here, or from the commit elsewhere, to the screen. */
  latencyMs: number | undefined;
}

export interface Read {
  path: string;
  /** HIT, MISS, BYPASS, STALE-REJECTED, or NONE for a path without a cache. */
  cache: string;
  ms: number;
  at: number;
  /** Counts the reads of this page. */
  number: number;
}

export interface PulseState {
  /** Newest first. */
  traces: readonly Trace[];
  reads: readonly Read[];
  gaps: readonly (Gap & { at: number })[];
  latencies: readonly number[];
}

const TRACES_MAX = 60;
const READS_MAX = 60;
const GAPS_MAX = 20;
const LATENCIES_MAX = 2_000;
const ACTION_MAX_MS = 10_000;
const RARE_MS = 1_200;
const FRAMES_MAX = 120;
const MEASURED_MAX = 20_000;
/** The panels are drawn when nothing else is to be done: measuring must not slow down what it measures. */
const NOTIFY_MAX_MS = 300;

/** For tests in a browser: what was measured here. */
export interface Measured {
  latencies: number[];
  events: (SyncEvent & { latencyMs: number | undefined })[];
  reads: Read[];
}

declare global {
  interface Window {
    __freshwire: Measured;
  }
}

class Pulse {
  #latest: PulseState = { traces: [], reads: [], gaps: [], latencies: [] };
  /** What the panels have been told. */
  #state = this.#latest;
  #isTelling = false;
  #readCount = 0;
  readonly #listeners = new Set<() => void>();
  #actions: { type: string; at: number }[] = [];
  readonly measured: Measured = { latencies: [], events: [], reads: [] };

  get state(): PulseState {
    return this.#state;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** A click that will cause an event of this type. */
  action(type: string): void {
    const now = Date.now();
    this.#actions = this.#actions.filter(({ at }) => now - at < ACTION_MAX_MS);
    this.#actions.push({ type, at: now });
  }

  received(event: SyncEvent, origin: string): void {
    const own = event.origin === origin;
    const index = own ? this.#actions.findIndex(({ type }) => type === event.type) : -1;
    const [action] = index < 0 ? [] : this.#actions.splice(index, 1);
    const purged = Number(event.fresh) > 0 ? Number(event.fresh) / 1_000 : undefined;
    const trace: Trace = {
      event,
      own,
      isRare: event.receivedAt - (this.#latest.traces[0]?.received ?? 0) > RARE_MS,
      clicked: action?.at,
      committed: event.ts,
      purged,
      received: event.receivedAt,
      refetched: undefined,
      painted: undefined,
      latencyMs: undefined,
    };
    keep(this.measured.events, { ...event, latencyMs: undefined });
    this.#set({ traces: [trace, ...this.#latest.traces].slice(0, TRACES_MAX) });
  }

  /** The queries of these events hold new data; what is left is to draw it. */
  synced({ events }: Batch): void {
    const refetched = Date.now();
    for (const event of events) {
      this.#update(event, { refetched });
      void painted(event).then((at) => {
        if (at === undefined) return;
        const trace = this.#latest.traces.find((candidate) => candidate.event.id === event.id);
        const latencyMs = Math.max(0, at - (trace?.clicked ?? event.ts));
        this.#update(event, { painted: at, latencyMs });
        keep(this.measured.latencies, latencyMs);
        const noted = this.measured.events.find(({ id }) => id === event.id);
        if (noted) noted.latencyMs = latencyMs;
        this.#set({ latencies: [...this.#latest.latencies, latencyMs].slice(-LATENCIES_MAX) });
      });
    }
  }

  read(given: Omit<Read, "number">): void {
    const read = { ...given, number: ++this.#readCount };
    keep(this.measured.reads, read);
    this.#set({ reads: [read, ...this.#latest.reads].slice(0, READS_MAX) });
  }

  gap(gap: Gap): void {
    this.#set({ gaps: [{ ...gap, at: Date.now() }, ...this.#latest.gaps].slice(0, GAPS_MAX) });
  }

  #update(event: SyncEvent, change: Partial<Trace>): void {
    const traces = this.#latest.traces.map((trace) =>
      trace.event.id === event.id ? { ...trace, ...change } : trace,
    );
    this.#set({ traces });
  }

  #set(change: Partial<PulseState>): void {
    this.#latest = { ...this.#latest, ...change };
    if (this.#isTelling) return;
    this.#isTelling = true;
    whenIdle(() => {
      this.#isTelling = false;
      this.#state = this.#latest;
      for (const listener of this.#listeners) listener();
    });
  }
}

function whenIdle(run: () => void): void {
  // Safari has no requestIdleCallback.
  if (typeof requestIdleCallback === "undefined") setTimeout(run, NOTIFY_MAX_MS / 4);
  else setTimeout(() => requestIdleCallback(run, { timeout: NOTIFY_MAX_MS }), 50);
}

/** Appends, and forgets the oldest beyond the limit. */
function keep<Item>(list: Item[], item: Item): void {
  if (list.push(item) > MEASURED_MAX) list.shift();
}

export const pulse = new Pulse();

export function usePulse(): PulseState {
  return useSyncExternalStore(pulse.subscribe, () => pulse.state);
}

/** When the frame that shows the event was drawn; undefined when it never was. */
async function painted(event: SyncEvent): Promise<number | undefined> {
  for (let frame = 0; frame < FRAMES_MAX; frame += 1) {
    await nextFrame();
    if (isShown(event)) return Date.now();
  }
  return undefined;
}

/** After the browser has drawn: a task behind the next frame. A hidden page draws no frames. */
function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    if (document.hidden) setTimeout(resolve, 0);
    else requestAnimationFrame(() => setTimeout(resolve, 0));
  });
}

/** Projects are looked up in the document itself; other data is drawn with the same frame. */
function isShown(event: SyncEvent): boolean {
  const { id, version } = (event.data ?? {}) as { id?: unknown; version?: unknown };
  if (!event.type.startsWith("project_") || typeof id !== "string") return true;
  const row = document.querySelector<HTMLElement>(`[data-project-id="${CSS.escape(id)}"]`);
  if (event.type === "project_deleted") return row === null;
  return row !== null && Number(row.dataset.version) >= Number(version);
}
