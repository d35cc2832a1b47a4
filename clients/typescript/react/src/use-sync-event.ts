// SPDX-License-Identifier: MPL-2.0
import type { EventsOf, RegisteredEvents, SyncEvent } from "@freshwire/client";
import { useAttachedClient, useLatest, type AnyClient } from "./context.js";

/** The event of a known type; of any other type, an event with unknown data. */
export type SyncEventOf<Type extends string> = Type extends keyof RegisteredEvents
  ? Extract<EventsOf<RegisteredEvents>, { type: Type }>
  : SyncEvent;

/** Calls the handler for each event of these types, "*" for all. The handler may change freely. */
export function useSyncEvent<Type extends (keyof RegisteredEvents & string) | "*" | (string & {})>(
  type: Type | readonly Type[],
  handler: (event: SyncEventOf<Type>) => void,
): void {
  const latest = useLatest({ type, handler });
  const attach = (client: AnyClient) =>
    client.on("event", (event: SyncEvent) => {
      const wanted: readonly string[] = [latest.current.type].flat();
      if (wanted.includes(event.type) || wanted.includes("*")) {
        return latest.current.handler(event as SyncEventOf<Type>);
      }
    });
  useAttachedClient(undefined, {}, attach);
}
