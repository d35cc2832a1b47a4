// SPDX-License-Identifier: MPL-2.0
// The fence: a fetch that began before an event never has the last word after it.
//
// `invalidateQueries` alone loses an invalidation that arrives during a first fetch, or during a
// fetch that nothing observes. Here each event has a generation, each query remembers the
// generation at which its fetch began, and a fetch older than the newest event that concerns it is
// followed by exactly one more.

import { createOrigin, type KeyList } from "@freshwire/client";
import {
  hashKey,
  partialMatchKey,
  type Query,
  type QueryClient,
  type QueryKey,
} from "@tanstack/react-query";

/** Keys whose freshness is remembered; beyond it the oldest are merged into one that covers all. */
const NOTES_MAX = 256;
/** An entry that was filled before an unconfirmed purge has expired after so long (the caches' TTL). */
const BYPASS_MS = 300_000;

export interface SyncInvalidateOptions {
  /** Freshness token of the event: refetches refuse copies filled at or before it. */
  fresh?: string | undefined;
  /** The purge is not confirmed: refetches bypass caches. */
  bypass?: boolean | undefined;
  /** How long other reads of these keys bypass too, milliseconds. Default 300000, the caches' TTL. */
  bypassMs?: number | undefined;
}

/** What reads of a key, and of all keys below it, must be fresher than. */
interface Note {
  key: QueryKey;
  /** Microseconds since 1970, which a number holds exactly until the year 2255. */
  fresh: number;
  /** Generation of the unconfirmed event, 0 for none. */
  bypass: number;
  bypassUntil: number;
}

interface Mark {
  /** Generation of the newest event that concerns the query. */
  event: number;
  /** Generation at which the present or last fetch began. */
  began: number;
  /** Generation at which the fetch began whose data is shown. */
  covered: number;
  /** The present fetch has replaced an older one already: the next event waits for its end. */
  restarted: boolean;
}

export class Fence {
  origin = createOrigin();
  #generation = 1;
  readonly #notes = new Map<string, Note>();
  readonly #marks = new WeakMap<Query, Mark>();

  constructor(readonly client: QueryClient) {
    client.getQueryCache().subscribe((change) => {
      if (change.type === "updated") this.#updated(change.query, change.action);
    });
  }

  /** The value of X-Freshwire-Fresh for a read of this key, if it needs one. */
  floor(queryKey: QueryKey): string | undefined {
    const query = this.client.getQueryCache().find({ queryKey, exact: true });
    const covered = query ? this.#mark(query).covered : 0;
    let fresh = 0;
    for (const note of this.#notes.values()) {
      if (!partialMatchKey(queryKey, note.key)) continue;
      if (note.bypass > covered || note.bypassUntil > Date.now()) return "bypass";
      fresh = Math.max(fresh, note.fresh);
    }
    return fresh ? `${fresh}` : undefined;
  }

  /** Resolves once what is on screen was fetched after this call, or could not be. */
  async invalidate(keys: KeyList | undefined, options: SyncInvalidateOptions): Promise<void> {
    const generation = ++this.#generation;
    const list = keys?.map((key) => (typeof key === "string" ? [key] : key)) ?? [[]];
    for (const key of list) this.#note(key, options);
    const queries = this.client
      .getQueryCache()
      .getAll()
      .filter((query) => list.some((key) => partialMatchKey(query.queryKey, key)));
    const now = new Set<Query>();
    for (const query of queries) {
      const { state } = query;
      const mark = this.#mark(query);
      const idle = state.fetchStatus === "idle";
      mark.event = generation;
      query.invalidate();
      if (!idle && (mark.restarted || state.data === undefined || !query.isActive())) continue;
      mark.restarted = !idle;
      now.add(query);
    }
    void this.client.refetchQueries({ type: "active", predicate: (query) => now.has(query) });
    await Promise.all(queries.map((query) => this.#covers(query, generation)));
  }

  /** Waits for the present fetch and, should it be too old, for the one that follows. */
  async #covers(query: Query, generation: number): Promise<void> {
    const mark = this.#mark(query);
    for (let round = 0; round < 3; round += 1) {
      if (query.state.fetchStatus !== "fetching" || mark.covered >= generation) return;
      await query.promise?.catch(() => undefined);
    }
  }

  #note(key: QueryKey, { fresh, bypass, bypassMs = BYPASS_MS }: SyncInvalidateOptions): void {
    const hash = hashKey(key);
    const note = this.#notes.get(hash) ?? { key, fresh: 0, bypass: 0, bypassUntil: 0 };
    this.#notes.delete(hash);
    this.#notes.set(hash, note);
    const token = Number(fresh) || 0;
    note.fresh = Math.max(note.fresh, token);
    if (bypass) {
      note.bypass = this.#generation;
      note.bypassUntil = Math.max(note.bypassUntil, Date.now() + bypassMs);
    } else if (token) {
      // A later confirmed purge refuses every copy that the unconfirmed one left behind.
      note.bypass = note.bypassUntil = 0;
    }
    const [oldest] = this.#notes.values();
    if (this.#notes.size <= NOTES_MAX || !oldest) return;
    this.#notes.delete(hashKey(oldest.key));
    this.#note([], { fresh: `${oldest.fresh}`, bypass: oldest.bypassUntil > Date.now() });
  }

  #mark(query: Query): Mark {
    let mark = this.#marks.get(query);
    if (!mark) {
      mark = { event: 0, began: 0, covered: 0, restarted: false };
      this.#marks.set(query, mark);
    }
    return mark;
  }

  #updated(query: Query, { type, manual }: { type: string; manual?: boolean }): void {
    const mark = this.#mark(query);
    if (type === "fetch") {
      mark.began = this.#generation;
    } else if (type === "setState") {
      // A cancelled fetch brings the old state back, and would take the invalidation with it.
      if (mark.event > mark.covered) query.invalidate();
    } else if ((type === "success" && !manual) || type === "error") {
      if (type === "success") mark.covered = mark.began;
      mark.restarted = false;
      if (mark.event > mark.began) this.#again(query);
    }
  }

  /** The one fetch that follows a fetch which was too old. Not only for active queries: a
   * suspended component has no observer yet. */
  #again({ queryKey }: Query): void {
    void this.client.invalidateQueries({ queryKey, exact: true, refetchType: "all" });
  }
}

const fences = new WeakMap<QueryClient, Fence>();

export function fenceOf(client: QueryClient): Fence {
  let fence = fences.get(client);
  if (!fence) fences.set(client, (fence = new Fence(client)));
  return fence;
}

/**
 * Makes queries stale and refetches what is on screen, as `invalidateQueries` does, but holds also
 * while fetches are in flight. `keys` undefined: every query. Never rejects: errors are on the queries.
 */
export function syncInvalidate(
  client: QueryClient,
  keys: KeyList | undefined,
  options: SyncInvalidateOptions = {},
): Promise<void> {
  return fenceOf(client).invalidate(keys, options);
}
