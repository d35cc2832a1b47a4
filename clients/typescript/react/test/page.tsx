// SPDX-License-Identifier: MPL-2.0
import type { SyncEvent } from "@freshwire/client";
import { createFakeClock, createFakeServer } from "@freshwire/client/testing";
import { RealtimeSyncProvider, type RealtimeSyncProviderProps } from "@freshwire/react";
import { createSyncQueryClient, syncFetch } from "@freshwire/react/query";
import { notifyManager, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { act, cleanup } from "@testing-library/react";
import { afterEach, vi } from "vitest";
import { fakeFetch, settle } from "./support.js";

// TanStack tells observers in a timer, which the fake clock does not move.
notifyManager.setScheduler(queueMicrotask);

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

let names = 0;

/** A page with a gateway and a clock of its own; `pass` lets time pass for both. */
export function page(options: Partial<Parameters<typeof createFakeServer>[0]> = {}) {
  const clock = createFakeClock();
  const server = createFakeServer({ clock, latencyMs: 5, ...options });
  const queryClient = createSyncQueryClient({
    origin: "tab-1",
    defaultOptions: { queries: { retry: false } },
  });
  const transport = {
    WebSocket: server.WebSocket,
    clock,
    page: () => () => undefined,
    random: () => 0.5,
  };
  // Endpoints are kept for a second after a test: each test has its own host.
  const gateway = `ws://gateway-${++names}.test`;
  const Providers = ({ children, ...props }: RealtimeSyncProviderProps) => (
    <QueryClientProvider client={queryClient}>
      <RealtimeSyncProvider gateway={gateway} transport={transport} {...props}>
        {children}
      </RealtimeSyncProvider>
    </QueryClientProvider>
  );
  const pass = (ms: number) =>
    act(async () => {
      await clock.advance(ms);
      await settle();
    });
  return { clock, server, queryClient, transport, gateway, Providers, pass };
}

export const updated = { type: "project_updated", data: { id: "42" } };

/** A board whose API reads `state.name` when a request arrives, and counts. */
export function board(server: { publish: ReturnType<typeof createFakeServer>["publish"] }) {
  const state = { name: "Apollo" };
  const requests = fakeFetch(() => Response.json({ name: state.name }));
  const rename = (name: string, event: Partial<SyncEvent> = {}) => {
    state.name = name;
    server.publish("broadcast", { ...updated, ...event });
  };
  function Board({ queryKey = ["projects"] }: { queryKey?: readonly unknown[] }) {
    const { data } = useQuery({
      queryKey,
      queryFn: async (context) =>
        (await syncFetch(context, "/api/projects")).json() as Promise<{ name: string }>,
    });
    return <p data-testid="name">{data?.name}</p>;
  }
  return { state, requests, rename, Board };
}
