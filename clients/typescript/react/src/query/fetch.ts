// SPDX-License-Identifier: MPL-2.0
// A fetch that carries what the page knows: the newest event it has heard of, and which tab it is.

import type { QueryClient, QueryKey } from "@tanstack/react-query";
import { fenceOf } from "./fence.js";

/** What a queryFn or a mutationFn is given; only `client` is needed. */
export interface SyncFetchContext {
  client: QueryClient;
  queryKey?: QueryKey;
  signal?: AbortSignal;
}

/** An answer with a status of 400 or above. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly status: number;
  /** From Retry-After, milliseconds. */
  readonly retryAfterMs?: number;

  constructor(readonly response: Response) {
    super(`${response.status} ${response.statusText}`.trim());
    this.status = response.status;
    // In seconds; the rarer date is not worth its code.
    const seconds = parseInt(response.headers.get("Retry-After") ?? "");
    if (seconds >= 0) this.retryAfterMs = seconds * 1_000;
  }
}

/**
 * `fetch` for queries and mutations: adds X-Freshwire-Fresh when the query's key was touched by an
 * event, X-Freshwire-Origin always, and keeps the browser's HTTP cache from answering unasked.
 * Rejects with `HttpError` when the answer is not ok.
 */
export async function syncFetch(
  context: SyncFetchContext,
  input: string | URL,
  init: RequestInit = {},
): Promise<Response> {
  const fence = fenceOf(context.client);
  const headers = new Headers(init.headers);
  headers.set("X-Freshwire-Origin", fence.origin);
  const request: RequestInit = { ...init, headers };
  if (context.queryKey) {
    const floor = fence.floor(context.queryKey);
    if (floor) headers.set("X-Freshwire-Fresh", floor);
    // An unconfirmed purge may have left the entity tag as it was: a 304 would then be wrong.
    request.cache ??= floor === "bypass" ? "reload" : "no-cache";
  }
  const signal = init.signal ?? context.signal;
  if (signal) request.signal = signal;
  const response = await fetch(input, request);
  if (!response.ok) throw new HttpError(response);
  return response;
}
