// SPDX-License-Identifier: MPL-2.0
// A QueryClient that keeps nothing longer than it must: data is stale at once, events say when.

import { QueryClient, type QueryClientConfig } from "@tanstack/react-query";
import { fenceOf } from "./fence.js";

const RETRIES = 2;
const DELAY_MS = 1_000;
const DELAY_MAX_MS = 5_000;
const RETRY_AFTER_MAX_MS = 60_000;
/** Client errors that may pass: time-out, too early, too many requests. */
const PASSING = [408, 425, 429];

/** Twice, but not what the client itself got wrong. */
export function syncRetry(failureCount: number, error: unknown): boolean {
  const status = (error as { status?: unknown } | null)?.status;
  if (typeof status === "number" && status >= 400 && status < 500 && !PASSING.includes(status)) {
    return false;
  }
  return failureCount < RETRIES;
}

/** Full jitter up to five seconds, or what Retry-After asks for. */
export function syncRetryDelay(attempt: number, error?: unknown): number {
  const asked = (error as { retryAfterMs?: unknown } | null)?.retryAfterMs;
  if (typeof asked === "number") return Math.min(asked, RETRY_AFTER_MAX_MS);
  return Math.random() * Math.min(DELAY_MS * 2 ** attempt, DELAY_MAX_MS);
}

export interface SyncQueryClientConfig extends QueryClientConfig {
  /** Names this tab in X-Freshwire-Origin. Default: random. */
  origin?: string;
}

export function createSyncQueryClient(config: SyncQueryClientConfig = {}): QueryClient {
  const { origin, defaultOptions, ...rest } = config;
  const client = new QueryClient({
    ...rest,
    defaultOptions: {
      ...defaultOptions,
      queries: {
        // Refetching on mount, focus and reconnection, and no polling, are TanStack's own defaults.
        staleTime: 0,
        gcTime: 10_000,
        retry: syncRetry,
        retryDelay: syncRetryDelay,
        ...defaultOptions?.queries,
      },
      mutations: {
        retry: (count, error) => count < 1 && syncRetry(count, error),
        retryDelay: syncRetryDelay,
        ...defaultOptions?.mutations,
      },
    },
  });
  syncOrigin(client, origin);
  return client;
}

/** The name of this tab, as syncFetch sends it and events bring it back; given, it is set. */
export function syncOrigin(client: QueryClient, origin?: string): string {
  return (fenceOf(client).origin = origin ?? fenceOf(client).origin);
}
