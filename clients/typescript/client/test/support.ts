// SPDX-License-Identifier: MPL-2.0
import {
  createSyncClient,
  type PageWatcher,
  type SyncClientOptions,
  type SyncEvent,
} from "@freshwire/client";
import {
  createFakeClock,
  createFakeServer,
  type FakeServerOptions,
} from "@freshwire/client/testing";

/** A client, a gateway and a clock, joined; what the client reports is collected. */
export function harness(
  options: Partial<SyncClientOptions> = {},
  serverOptions: Partial<FakeServerOptions> = {},
  /** Watch the page for real, instead of letting the test give the signs. */
  watch = false,
) {
  const clock = createFakeClock();
  const server = createFakeServer({ clock, ...serverOptions });
  const signs: { wake: () => void } = { wake: () => undefined };
  const page: PageWatcher = (wake) => {
    signs.wake = wake;
    return () => {
      signs.wake = () => undefined;
    };
  };
  const client = createSyncClient({
    url: "ws://gateway.test/ws",
    origin: "tab-1",
    clock,
    WebSocket: server.WebSocket,
    random: () => 0.5,
    ...(watch ? {} : { page }),
    ...options,
  });
  const events: SyncEvent[] = [];
  const gaps: string[] = [];
  const errors: unknown[] = [];
  const states: string[] = [];
  client.on("event", (event) => events.push(event));
  client.on("gap", (gap) => gaps.push(`${gap.channel} ${gap.reason}`));
  client.on("error", (error) => errors.push(error));
  client.on("status", ({ state }) => states.push(state));
  return {
    clock,
    server,
    client,
    events,
    gaps,
    errors,
    states,
    wake: () => signs.wake(),
    offsets: () => events.map((event) => `${event.channel} ${event.offset}`),
  };
}
