// SPDX-License-Identifier: MPL-2.0
import type { EventDefinitions } from "@freshwire/client";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, type ReactNode } from "react";
import {
  createClient,
  endpointUrl,
  SyncContext,
  useStableToken,
  type AnyClient,
  type Connection,
} from "./context.js";
import { syncOrigin } from "./query/index.js";
import {
  useRealtimeSync,
  type InvalidationMap,
  type RealtimeSyncOptions,
} from "./use-realtime-sync.js";

export interface RealtimeSyncProviderProps extends Connection {
  children?: ReactNode;
  /** Default "/ws". */
  endpoint?: string;
  /** A client of one's own, instead of the settings above. */
  client?: AnyClient;
  /** Event types and the queries that they make stale. Default: the standard events. */
  events?: EventDefinitions | InvalidationMap;
  /** Options of the synchronisation; false: none, the page calls useRealtimeSync itself. */
  sync?: RealtimeSyncOptions | false;
}

/** One connection for everything below it, and queries that follow the events. */
export function RealtimeSyncProvider(props: RealtimeSyncProviderProps): ReactNode {
  const { children, endpoint = "/ws", client: given, events, sync, ...rest } = props;
  const { gateway, identity, auth } = rest;
  const queryClient = useQueryClient();
  const getToken = useStableToken(rest.getToken);
  const value = useMemo(() => {
    const connection = { ...rest, getToken };
    const url = endpointUrl(endpoint, gateway);
    return { connection, client: given ?? createClient(url, connection, queryClient) };
    // `reconnect` and `transport` are read once.
  }, [given, endpoint, gateway, identity, auth, getToken, queryClient]);

  const { client } = value;
  const previous = useRef(client);
  useEffect(() => {
    // Another user: the first one's connection does not linger.
    if (previous.current !== client) previous.current.disconnect();
    previous.current = client;
    syncOrigin(queryClient, client.origin);
    return client.hold();
  }, [client, queryClient]);

  return (
    <SyncContext.Provider value={value}>
      {sync !== false && <Synchroniser map={events} options={sync} />}
      {children}
    </SyncContext.Provider>
  );
}

function Synchroniser(props: {
  map: EventDefinitions | InvalidationMap | undefined;
  options: RealtimeSyncOptions | undefined;
}): null {
  useRealtimeSync(props.map, props.options);
  return null;
}
