// SPDX-License-Identifier: MPL-2.0
import {
  standardEvents,
  type Batch,
  type EventDefinitions,
  type Gap,
  type KeyList,
  type SyncEvent,
} from "@freshwire/client";
import { useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useAttachedClient, useLatest, type AnyClient, type Connection } from "./context.js";
import { syncInvalidate } from "./query/index.js";

/** Event type to keys: "projects" means ["projects"]; an array inside the list is one key. */
export type InvalidationMap = Record<
  string,
  KeyList | ((data: any, event: SyncEvent<string, any>) => KeyList)
>;

export interface RealtimeSyncOptions extends Connection {
  /** An endpoint of one's own instead of the provider's connection. */
  endpoint?: string;
  /** Channels beside those of the endpoint, for example ["room:42"]. */
  channels?: readonly string[];
  enabled?: boolean;
  /** Each event, before anything is refetched. */
  onEvent?: (event: SyncEvent) => void;
  /** A place was lost; every mapped query is refetched. */
  onGap?: (gap: Gap) => void;
  /** What these events made stale has been fetched again. */
  onSynced?: (batch: Batch) => void;
}

/** Refetches what events make stale. Once per page: the provider does it, unless told not to. */
export function useRealtimeSync(
  map?: EventDefinitions | InvalidationMap,
  options: RealtimeSyncOptions = {},
): void {
  const { endpoint, channels = [], enabled, onEvent, onGap, onSynced, ...connection } = options;
  const queryClient = useQueryClient();
  const latest = useLatest({ map, onEvent, onGap, onSynced });
  const names = JSON.stringify(channels);
  const attach = (client: AnyClient) => {
    const mapOf = () => latest.current.map ?? client.events ?? standardEvents;
    const offs = [
      client.on("event", (event) => latest.current.onEvent?.(event)),
      client.on("gap", (gap) => latest.current.onGap?.(gap)),
      client.on("batch", async (batch) => {
        await invalidateBatch(queryClient, mapOf(), batch);
        latest.current.onSynced?.(batch);
      }),
      ...(JSON.parse(names) as string[]).map((channel) => client.subscribe(channel)),
    ];
    // What happened while nobody listened is unknown.
    if (client.status.state === "live") void syncInvalidate(queryClient, allKeys(mapOf()));
    return () => {
      for (const off of offs) off();
    };
  };
  useAttachedClient(endpoint, connection, attach, enabled, names);
}

type AnyMap = EventDefinitions | InvalidationMap;

function entryOf(map: AnyMap, type: string): InvalidationMap[string] {
  const entry = Object.hasOwn(map, type) ? map[type] : undefined;
  if (!entry) return [];
  return typeof entry === "function" || !("keys" in entry) || Array.isArray(entry)
    ? (entry as InvalidationMap[string])
    : (entry as EventDefinitions[string]).keys;
}

/** Every key that the map names; undefined, which means every query, when a function decides. */
function allKeys(map: AnyMap): KeyList | undefined {
  const entries = Object.keys(map).map((type) => entryOf(map, type));
  if (entries.some((entry) => typeof entry === "function")) return undefined;
  return (entries as KeyList[]).flat();
}

function keysOf(map: AnyMap, event: SyncEvent): KeyList {
  const entry = entryOf(map, event.type);
  return typeof entry === "function" ? entry(event.data, event) : entry;
}

async function invalidateBatch(client: QueryClient, map: AnyMap, batch: Batch): Promise<void> {
  const { events, gaps } = batch;
  const work: Promise<void>[] = [];
  if (gaps.length > 0) {
    // What was missed may have been unconfirmed. Not so when nothing was missed yet ("joined"), nor
    // after a broker's restart ("epoch"), which makes the caches start anew by itself.
    const bypass = gaps.some(({ reason }) => reason !== "joined" && reason !== "epoch");
    work.push(syncInvalidate(client, allKeys(map), { bypass, bypassMs: 0 }));
  }
  for (const unconfirmed of [true, false]) {
    const some = events.filter((event) => !event.unconfirmed === !unconfirmed);
    const keys = some.flatMap((event) => keysOf(map, event));
    if (keys.length === 0) continue;
    const fresh = Math.max(...some.map((event) => Number(event.fresh) || 0));
    work.push(syncInvalidate(client, keys, { fresh: `${fresh}`, bypass: unconfirmed }));
  }
  await Promise.all(work);
}
