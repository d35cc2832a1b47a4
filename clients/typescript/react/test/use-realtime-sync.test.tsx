// SPDX-License-Identifier: MPL-2.0
// @vitest-environment happy-dom
import { RealtimeSyncProvider, useRealtimeSync } from "@freshwire/react";
import { QueryClientProvider } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import { StrictMode } from "react";
import { describe, expect, it, vi } from "vitest";
import { board, page, updated } from "./page.js";

describe("RealtimeSyncProvider and useRealtimeSync", () => {
  it("refetches what an event makes stale, with the event's token", async () => {
    const { server, Providers, pass } = page();
    const { requests, rename, Board } = board(server);
    const synced = vi.fn();
    render(
      <StrictMode>
        <Providers sync={{ onSynced: synced }}>
          <Board />
        </Providers>
      </StrictMode>,
    );
    await pass(50);
    rename("Artemis", { fresh: "1732270000122456" });
    await pass(50);
    expect(screen.getByTestId("name").textContent).toBe("Artemis");
    expect(requests.at(-1)?.headers.get("X-Freshwire-Fresh")).toBe("1732270000122456");
    expect(requests.at(-1)?.headers.get("X-Freshwire-Origin")).toBe("tab-1");
    expect(server.hellos[0]?.origin).toBe("tab-1");
    expect(synced.mock.lastCall?.[0].events).toHaveLength(1);
    expect(server.sockets).toHaveLength(1);
  });

  it("bypasses caches after an unconfirmed event", async () => {
    const { server, Providers, pass } = page();
    const { requests, rename, Board } = board(server);
    render(
      <Providers>
        <Board />
      </Providers>,
    );
    await pass(50);
    rename("Artemis", { unconfirmed: true });
    await pass(50);
    expect(screen.getByTestId("name").textContent).toBe("Artemis");
    expect(requests.at(-1)?.headers.get("X-Freshwire-Fresh")).toBe("bypass");
  });

  it("fetches again what was fetched before the channel was joined", async () => {
    const { server, Providers, pass } = page();
    const { requests, state, Board } = board(server);
    render(
      <Providers>
        <Board />
      </Providers>,
    );
    await pass(4);
    expect(requests).toHaveLength(1);
    state.name = "changed before the welcome";
    await pass(50);
    expect(screen.getByTestId("name").textContent).toBe("changed before the welcome");
    expect(requests).toHaveLength(2);
    expect(requests.at(-1)?.headers.get("X-Freshwire-Fresh")).toBeNull();
  });

  it("refetches after a gap, past caches, since what was missed may have been unconfirmed", async () => {
    const { server, Providers, pass } = page({ history: 1 });
    const { requests, rename, Board } = board(server);
    const gaps: string[] = [];
    render(
      <Providers sync={{ onGap: ({ reason }) => gaps.push(reason) }}>
        <Board />
      </Providers>,
    );
    await pass(50);
    server.close(1006);
    for (const name of ["Gemini", "Mercury", "Skylab"]) rename(name);
    await pass(2_000);
    expect(gaps).toEqual(["joined", "history"]);
    expect(screen.getByTestId("name").textContent).toBe("Skylab");
    expect(requests.at(-1)?.headers.get("X-Freshwire-Fresh")).toBe("bypass");
  });

  it("leaves alone what an event does not concern, and what it does not know", async () => {
    const { server, Providers, pass } = page();
    const { requests, Board } = board(server);
    render(
      <Providers>
        <Board />
      </Providers>,
    );
    await pass(50);
    const before = requests.length;
    for (const type of ["team_updated", "weather_changed", "constructor", "toString"]) {
      server.publish("broadcast", { type });
    }
    await pass(100);
    expect(requests).toHaveLength(before);
  });

  it("takes the seed's map of strings, definitions, and functions of the data", async () => {
    const { server, Providers, pass } = page();
    const { requests, Board } = board(server);
    function Sync({ map }: { map: Parameters<typeof useRealtimeSync>[0] }) {
      useRealtimeSync(map);
      return null;
    }
    const show = (map: Parameters<typeof useRealtimeSync>[0]) => (
      <Providers sync={false}>
        <Sync map={map} />
        <Board queryKey={["projects", "42"]} />
      </Providers>
    );
    const { rerender } = render(show({ project_updated: ["projects", "project"] }));
    await pass(50);
    const count = async () => {
      const before = requests.length;
      server.publish("broadcast", updated);
      await pass(100);
      return requests.length - before;
    };
    expect(await count()).toBe(1);
    rerender(show({ project_updated: ({ id }: { id: string }) => [["projects", id]] }));
    expect(await count()).toBe(1);
    rerender(show({ project_updated: () => [["projects", "41"]] }));
    expect(await count()).toBe(0);
    rerender(show({ project_updated: { keys: [["projects"]] } }));
    expect(await count()).toBe(1);
  });

  it("catches up with what happened while it was switched off", async () => {
    const { server, Providers, pass } = page();
    const { rename, Board } = board(server);
    function Sync({ enabled }: { enabled: boolean }) {
      useRealtimeSync(undefined, { enabled });
      return null;
    }
    const show = (enabled: boolean) => (
      <Providers sync={false}>
        <Sync enabled={enabled} />
        <Board />
      </Providers>
    );
    const { rerender } = render(show(true));
    await pass(50);
    rerender(show(false));
    rename("Artemis");
    await pass(50);
    expect(screen.getByTestId("name").textContent).toBe("Apollo");
    rerender(show(true));
    await pass(50);
    expect(screen.getByTestId("name").textContent).toBe("Artemis");
  });

  it("joins channels of its own and leaves them when it is switched off", async () => {
    const { server, Providers, pass } = page();
    const { requests, Board } = board(server);
    function Room({ enabled }: { enabled: boolean }) {
      useRealtimeSync(undefined, { channels: ["room:42"], enabled });
      return null;
    }
    const show = (enabled: boolean) => (
      <Providers sync={false}>
        <Room enabled={enabled} />
        <Board />
      </Providers>
    );
    const { rerender } = render(show(true));
    await pass(50);
    let before = requests.length;
    server.publish("room:42", updated);
    await pass(50);
    expect(requests).toHaveLength(before + 1);
    rerender(show(false));
    await pass(2_000);
    expect(server.sessions[0]?.channels.has("room:42")).toBe(false);
    before = requests.length;
    rerender(show(true));
    await pass(50);
    expect(requests.length).toBeGreaterThan(before);
  });

  it("lets go of the first user's connection at once when another signs in", async () => {
    const { server, Providers, pass } = page();
    const { Board } = board(server);
    const heard: string[] = [];
    const show = (user: string) => (
      <Providers
        identity={user}
        getToken={() => user}
        sync={{ onEvent: (event) => heard.push(event.channel) }}
      >
        <Board />
      </Providers>
    );
    const { rerender } = render(show("u1"));
    await pass(50);
    rerender(show("u2"));
    expect(server.live).toBeLessThanOrEqual(1);
    await pass(50);
    expect(server.sessions.map(({ user }) => user)).toEqual(["u2"]);
    server.publish("user:u1", { type: "notification_created" });
    server.publish("user:u2", { type: "notification_created" });
    await pass(50);
    expect(heard).toEqual(["user:u2"]);
  });

  it("works as in the seed: no settings, the page's own address", async () => {
    const { server, queryClient, pass } = page();
    vi.stubGlobal("WebSocket", server.WebSocket);
    const { unmount } = render(
      <QueryClientProvider client={queryClient}>
        <RealtimeSyncProvider>
          <p>content</p>
        </RealtimeSyncProvider>
      </QueryClientProvider>,
    );
    await pass(0);
    expect(server.sockets[0]?.url).toBe("ws://localhost:3000/ws");
    unmount();
  });
});
