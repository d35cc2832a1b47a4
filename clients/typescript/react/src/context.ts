// SPDX-License-Identifier: MPL-2.0
// What the provider gives to the hooks, and how a hook gets at a client.

import {
  createSyncClient,
  type GetToken,
  type SyncClient,
  type SyncClientOptions,
} from "@freshwire/client";
import { QueryClientContext, type QueryClient } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useInsertionEffect, useMemo, useRef } from "react";
import { syncOrigin } from "./query/index.js";

/** How to reach the gateway; the provider's settings, which single hooks may override. */
export interface Connection {
  /** Base address of relative endpoints, for example "wss://live.example.org". Default: the page's own. */
  gateway?: string | undefined;
  getToken?: GetToken | undefined;
  /** Who is signed in. Another value means another connection and nothing kept of the first. */
  identity?: string | undefined;
  auth?: SyncClientOptions["auth"] | undefined;
  reconnect?: SyncClientOptions["reconnect"] | undefined;
  /** Replaced by tests. */
  transport?: Pick<SyncClientOptions, "WebSocket" | "clock" | "page" | "random"> | undefined;
}

export type AnyClient = SyncClient<any>;

export interface SyncContextValue {
  client: AnyClient;
  connection: Connection;
}

export const SyncContext = createContext<SyncContextValue | undefined>(undefined);

/** The provider's client; undefined without a provider. */
export function useSyncClient(): SyncClient | undefined {
  return useContext(SyncContext)?.client;
}

/** The value of the last committed render, for callbacks that must not be effect dependencies. */
export function useLatest<T>(value: T): { readonly current: T } {
  const latest = useRef(value);
  useInsertionEffect(() => {
    latest.current = value;
  });
  return latest;
}

export function endpointUrl(endpoint: string, gateway = ""): string {
  return /^[a-z]+:/.test(endpoint) ? endpoint : gateway.replace(/\/$/, "") + endpoint;
}

interface Entry {
  client: AnyClient;
  users: number;
}

/** Clients of hooks with an endpoint of their own: one socket for each, however many hooks use it. */
const entries = new Map<string, Entry>();
const FORGET_MS = 1_000;

function acquire(key: string, create: () => AnyClient): [AnyClient, () => void] {
  let entry = entries.get(key);
  if (!entry) entries.set(key, (entry = { client: create(), users: 0 }));
  const held = entry;
  held.users += 1;
  const forget = () => {
    if (held.users === 0 && entries.get(key) === held) entries.delete(key);
  };
  return [
    held.client,
    () => {
      held.users -= 1;
      // Not at once: React mounts twice in StrictMode, and pages remount.
      if (held.users === 0) setTimeout(forget, FORGET_MS);
    },
  ];
}

export function createClient(
  url: string,
  { getToken, auth, reconnect, transport }: Connection,
  queryClient: QueryClient | undefined,
): AnyClient {
  return createSyncClient({
    ...transport,
    url,
    getToken,
    ...(auth && { auth }),
    ...(reconnect !== undefined && { reconnect }),
    ...(queryClient && { origin: syncOrigin(queryClient) }),
  });
}

/** getToken as the last render gave it, behind a function that stays the same. */
export function useStableToken(getToken: GetToken | undefined): GetToken | undefined {
  const latest = useLatest(getToken);
  const present = getToken !== undefined;
  return useMemo(() => (present ? (request) => latest.current?.(request) : undefined), [present]);
}

/**
 * Runs `attach` with a client, before it connects, and keeps it connected while mounted: the
 * provider's, or the one of `endpoint`. Runs again only when another client is meant, or when
 * `also` changes.
 */
export function useAttachedClient(
  endpoint: string | undefined,
  own: Connection,
  attach: (client: AnyClient) => () => void,
  enabled = true,
  also?: string,
): void {
  const context = useContext(SyncContext);
  const queryClient = useContext(QueryClientContext);
  const shared = endpoint === undefined ? context?.client : undefined;
  const getToken = useStableToken(own.getToken) ?? context?.connection.getToken;
  const connection = { ...context?.connection, ...own, getToken };
  const latest = useLatest({ attach, connection });
  const { gateway, identity, auth, reconnect } = connection;
  const url = endpointUrl(endpoint ?? "/ws", gateway);
  const key = JSON.stringify([url, identity, auth, reconnect, !getToken]);
  useEffect(() => {
    if (!enabled) return;
    const create = () => createClient(url, latest.current.connection, queryClient);
    const [client, forget] = shared ? [shared, () => undefined] : acquire(key, create);
    const detach = latest.current.attach(client);
    const release = client.hold();
    return () => {
      release();
      detach();
      forget();
    };
    // What else is read here is part of the key, or read through `latest`.
  }, [shared, key, enabled, queryClient, also]);
}
