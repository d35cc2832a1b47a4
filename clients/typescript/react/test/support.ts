// SPDX-License-Identifier: MPL-2.0
import { QueryObserver, type QueryClient, type QueryObserverOptions } from "@tanstack/react-query";
import { createSyncQueryClient } from "@freshwire/react/query";
import { vi } from "vitest";

/** A database of one value, read at the start of each fetch; a fetch ends when the test says so. */
export function database(queryKey: readonly unknown[] = ["projects"]) {
  const client: QueryClient = createSyncQueryClient({
    defaultOptions: { queries: { retry: false } },
  });
  const pending: { read: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  const state = { value: 1, fetches: 0 };
  const options = {
    queryKey,
    queryFn: () => {
      const read = state.value;
      state.fetches += 1;
      return new Promise<number>((resolve, reject) => {
        pending.push({ read, resolve: () => resolve(read), reject });
      });
    },
  };
  return {
    client,
    state,
    options,
    pending,
    shown: () => client.getQueryData(queryKey),
    flagged: () => client.getQueryState(queryKey)?.isInvalidated,
    /** Mounts the query, as a component does. */
    mount(more: Partial<QueryObserverOptions<number>> = {}) {
      const observer = new QueryObserver<number>(client, { ...options, ...more });
      const unmount = observer.subscribe(() => undefined);
      return { observer, unmount };
    },
    /** Ends the oldest fetch. */
    async finish() {
      pending.shift()?.resolve();
      await settle();
    },
    async fail() {
      pending.shift()?.reject(new Error("500"));
      await settle();
    },
    /** Ends every fetch, and those that follow, until none is left. */
    async finishAll() {
      for (let count = 0; pending.length > 0; count += 1) {
        if (count > 50) throw new Error("fetches without end");
        pending.shift()?.resolve();
        await settle();
      }
    },
  };
}

/** Lets every promise that can settle do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Replaces fetch; answers with what `answer` returns, and collects the requests. */
export function fakeFetch(answer: (request: Request) => Response | Promise<Response>) {
  const requests: { url: string; headers: Headers; init: RequestInit }[] = [];
  const stub = vi.fn(async (input: string | URL, init: RequestInit = {}) => {
    const url = new URL(input, "http://api.test");
    requests.push({ url: url.pathname, headers: new Headers(init.headers), init });
    const { signal: _signal, ...plain } = init;
    return answer(new Request(url, plain));
  });
  vi.stubGlobal("fetch", stub);
  return requests;
}
