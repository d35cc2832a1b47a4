// SPDX-License-Identifier: MPL-2.0
// @vitest-environment happy-dom
import type { SyncEvent } from "@freshwire/client";
import { createFakeClock, createFakeServer } from "@freshwire/client/testing";
import {
  RealtimeSyncProvider,
  useMutationWithInvalidation,
  useRealtimeNotifications,
  useRealtimeSync,
  useSyncClient,
  useSyncEvent,
  useSyncStatus,
  useWebSocket,
  type RealtimeSyncProviderProps,
} from "@freshwire/react";
import { createSyncQueryClient, syncFetch } from "@freshwire/react/query";
import {
  notifyManager,
  QueryClientProvider,
  useQuery,
  useSuspenseQuery,
} from "@tanstack/react-query";
import { act, cleanup, render, screen } from "@testing-library/react";
import { StrictMode, Suspense, useEffect, useState, type ReactNode } from "react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { fakeFetch, settle } from "./support.js";

// TanStack tells observers in a timer, which this test's clock does not move.
notifyManager.setScheduler(queueMicrotask);

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

let names = 0;

/** A page with a gateway and a clock of its own; `pass` lets time pass for both. */
function page(options: Partial<Parameters<typeof createFakeServer>[0]> = {}) {
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

const updated = { type: "project_updated", data: { id: "42" } };

describe("useWebSocket", () => {
  it("has one live socket under StrictMode, inline callbacks and a hundred renders, and none after", async () => {
    const { server, transport, gateway, pass } = page();
    const heard: string[] = [];
    function Page({ round }: { round: number }) {
      const { isConnected } = useWebSocket("/ws", {
        gateway,
        transport,
        onMessage: (event) => heard.push(`${round} ${event.type}`),
        onOpen: () => heard.push("open"),
        onClose: () => undefined,
      });
      return <p>{isConnected ? "connected" : "away"}</p>;
    }
    const wrap = (round: number) => (
      <StrictMode>
        <Page round={round} />
      </StrictMode>
    );
    const { rerender, unmount } = render(wrap(0));
    for (let round = 1; round <= 100; round += 1) {
      rerender(wrap(round));
      if (round % 10 === 0) await pass(3);
    }
    await pass(50);
    expect(server.sockets).toHaveLength(1);
    expect(screen.getByText("connected")).toBeTruthy();
    server.publish("broadcast", updated);
    await pass(50);
    expect(heard).toEqual(["open", "100 project_updated"]);
    unmount();
    await pass(999);
    expect(server.live).toBe(1);
    await pass(2);
    expect(server.live).toBe(0);
    server.publish("broadcast", updated);
    await pass(60_000);
    expect(server.sockets).toHaveLength(1);
    expect(heard).toHaveLength(2);
  });

  it("leaves no zombie when it unmounts while connecting", async () => {
    const { server, transport, gateway, pass } = page({ latencyMs: 2_000 });
    function Page() {
      useWebSocket("/ws", { gateway, transport });
      return null;
    }
    const { unmount } = render(<Page />);
    await pass(100);
    unmount();
    await pass(60_000);
    expect(server.sockets).toHaveLength(1);
    expect(server.live).toBe(0);
  });

  it("shares one socket among all that name the endpoint, and tells each", async () => {
    const { server, transport, gateway, pass } = page();
    const heard: string[] = [];
    function Listener({ name, endpoint = "/ws" }: { name: string; endpoint?: string }) {
      useWebSocket(endpoint, { gateway, transport, onMessage: () => heard.push(name) });
      return null;
    }
    render(
      <>
        <Listener name="a" />
        <Listener name="b" />
        <Listener name="c" endpoint="/ws/room/1" />
      </>,
    );
    await pass(50);
    expect(server.sockets.map(({ url }) => url)).toEqual([`${gateway}/ws`, `${gateway}/ws/room/1`]);
    server.publish("broadcast", updated);
    await pass(50);
    expect(heard.sort()).toEqual(["a", "b", "c"]);
  });

  it("gives what the seed's hook gave: lastMessage, send, disconnect, reconnect", async () => {
    const { server, transport, gateway, pass } = page();
    const calls: string[] = [];
    let socket: ReturnType<typeof useWebSocket> | undefined;
    function Page() {
      socket = useWebSocket("/ws", {
        gateway,
        transport,
        onOpen: () => calls.push("open"),
        onClose: () => calls.push("close"),
        onError: ({ code }) => calls.push(`error ${code}`),
        autoReconnect: true,
        reconnectInterval: 3_000,
      });
      return <p>{socket.lastMessage?.type ?? "nothing"}</p>;
    }
    render(<Page />);
    expect(socket?.send({ type: "fw.ping" })).toBe(false);
    await pass(50);
    server.publish("broadcast", updated);
    await pass(50);
    expect(screen.getByText("project_updated")).toBeTruthy();
    expect(socket?.send({ type: "fw.ping" })).toBe(true);
    server.close(1006);
    await pass(1_000);
    expect(server.sockets).toHaveLength(1);
    await pass(600);
    expect(server.sockets).toHaveLength(2);
    act(() => socket?.disconnect());
    await pass(60_000);
    expect(server.live).toBe(0);
    expect(socket?.isConnected).toBe(false);
    act(() => socket?.reconnect());
    await pass(50);
    expect(socket?.isConnected).toBe(true);
    expect(calls).toEqual(["open", "close", "error 1006", "open", "close", "open"]);
  });

  it("does not render for messages that nobody reads from state", async () => {
    const { server, transport, gateway, pass } = page();
    let renders = 0;
    function Page() {
      const { isConnected } = useWebSocket("/ws", { gateway, transport });
      renders += 1;
      return <p>{String(isConnected)}</p>;
    }
    render(<Page />);
    await pass(50);
    const before = renders;
    for (let count = 0; count < 20; count += 1) server.publish("broadcast", updated);
    await pass(50);
    expect(renders).toBe(before);
  });

  it("connects once with autoReconnect: false", async () => {
    const { server, transport, gateway, pass } = page();
    function Page() {
      useWebSocket("/ws", { gateway, transport, autoReconnect: false });
      return null;
    }
    render(<Page />);
    await pass(50);
    server.close(1006);
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    await pass(60_000);
    expect(server.sockets).toHaveLength(1);
  });
});

/** A board whose API reads `state.name` when a request arrives, and counts. */
function board(server: { publish: ReturnType<typeof createFakeServer>["publish"] }) {
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

describe("useSyncStatus, useSyncEvent, useSyncClient", () => {
  it("shows the connection's state", async () => {
    const { server, Providers, pass } = page();
    function Status() {
      const { state, sessionId } = useSyncStatus();
      return <p data-testid="state">{`${state} ${sessionId ?? ""}`.trim()}</p>;
    }
    render(
      <Providers>
        <Status />
      </Providers>,
    );
    expect(screen.getByTestId("state").textContent).toBe("connecting");
    await pass(50);
    expect(screen.getByTestId("state").textContent).toBe("live session-1");
    server.close(1006);
    await pass(5);
    expect(screen.getByTestId("state").textContent).toBe("reconnecting");
  });

  it("calls the handler of the last render, without subscribing again", async () => {
    const { server, Providers, pass } = page();
    const heard: string[] = [];
    let on = 0;
    function Listener() {
      const [count, setCount] = useState(0);
      const client = useSyncClient();
      useEffect(() => {
        if (!client) return;
        const original = client.on.bind(client);
        client.on = (...given) => ((on += 1), original(...given));
      }, [client]);
      useSyncEvent(["project_updated", "project_deleted"], (event) => {
        heard.push(`${event.type} ${count}`);
        setCount(count + 1);
      });
      useSyncEvent("*", (event) => heard.push(`any ${event.type}`));
      return null;
    }
    render(
      <Providers sync={false}>
        <Listener />
      </Providers>,
    );
    await pass(50);
    const before = on;
    for (const type of ["project_updated", "team_updated", "project_deleted"]) {
      server.publish("broadcast", { type });
      await pass(10);
    }
    expect(heard).toEqual([
      "project_updated 0",
      "any project_updated",
      "any team_updated",
      "project_deleted 1",
      "any project_deleted",
    ]);
    expect(on).toBe(before);
  });

  it("is idle without a provider", () => {
    function Status() {
      return <p>{useSyncStatus().state + String(useSyncClient())}</p>;
    }
    render(<Status />);
    expect(screen.getByText("idleundefined")).toBeTruthy();
  });
});

describe("useRealtimeNotifications", () => {
  function Bell(props: Parameters<typeof useRealtimeNotifications>[0]) {
    const bell = useRealtimeNotifications({ limit: 2, ...props });
    return (
      <>
        <p data-testid="unread">{bell.unread}</p>
        <p data-testid="items">{bell.items.map(({ data }) => data.title).join()}</p>
        <p data-testid="connected">{String(bell.isConnected)}</p>
        <button onClick={() => bell.markRead(bell.items[0]?.id)}>one</button>
        <button onClick={() => bell.markRead()}>all</button>
        <button onClick={bell.clear}>clear</button>
      </>
    );
  }
  const text = (id: string) => screen.getByTestId(id).textContent;
  const press = (name: string) => act(() => screen.getByText(name).click());
  const note = (title: string) => ({ type: "notification_created", data: { title } });

  it("collects what arrives on the provider's connection", async () => {
    const { server, Providers, pass } = page();
    const heard = vi.fn();
    render(
      <Providers getToken={() => "u1"}>
        <Bell onNotification={heard} />
      </Providers>,
    );
    await pass(50);
    expect(server.sockets).toHaveLength(1);
    for (const title of ["one", "two", "three"]) server.publish("user:u1", note(title));
    server.publish("broadcast", updated);
    await pass(50);
    expect([text("items"), text("unread"), text("connected")]).toEqual(["three,two", "2", "true"]);
    expect(heard).toHaveBeenCalledTimes(3);
    press("one");
    expect(text("unread")).toBe("1");
    press("all");
    expect(text("unread")).toBe("0");
    press("clear");
    expect(text("items")).toBe("");
  });

  it("has its own connection without a provider, and refetches as the seed's did", async () => {
    const { server, queryClient, transport, gateway, pass } = page();
    const invalidated: string[] = [];
    queryClient.setQueryData(["notifications"], []);
    queryClient.setQueryData(["users", "me"], {});
    queryClient.getQueryCache().subscribe(({ type, query }) => {
      if (type === "updated" && query.state.isInvalidated) invalidated.push(query.queryHash);
    });
    render(
      <QueryClientProvider client={queryClient}>
        <Bell gateway={gateway} transport={transport} getToken={() => "u1"} />
      </QueryClientProvider>,
    );
    await pass(50);
    expect(server.sockets.map(({ url }) => url)).toEqual([`${gateway}/ws/notifications`]);
    server.publish("user:u1", note("hello"));
    server.publish("user:u1", { type: "user_updated" });
    await pass(50);
    expect(text("items")).toBe("hello");
    expect(invalidated).toContain('["notifications"]');
    expect(invalidated).toContain('["users","me"]');
  });
});

describe("useMutationWithInvalidation", () => {
  it("takes the seed's arguments, and is done when the screen is, past caches", async () => {
    const { server, Providers, pass } = page();
    const { state, requests, rename: publish, Board } = board(server);
    const done: string[] = [];
    function Form() {
      const rename = useMutationWithInvalidation(
        async (name: string) => {
          state.name = name;
          return { id: "42" };
        },
        ["projects", "dashboard"],
      );
      const run = async () => {
        const { id } = await rename.mutateAsync("Artemis");
        done.push(`${id} ${screen.getByTestId("name").textContent}`);
      };
      return <button onClick={() => void run()}>rename</button>;
    }
    render(
      <Providers>
        <Form />
        <Board />
      </Providers>,
    );
    await pass(50);
    act(() => screen.getByText("rename").click());
    await pass(50);
    expect(screen.getByTestId("name").textContent).toBe("Artemis");
    expect(done).toHaveLength(1);
    expect(requests.at(-1)?.headers.get("X-Freshwire-Fresh")).toBe("bypass");
    publish("Artemis", { fresh: "7", origin: "tab-1" });
    await pass(50);
    expect(requests.at(-1)?.headers.get("X-Freshwire-Fresh")).toBe("7");
  });

  it("takes options: keys from the answer, and the application's own onSuccess", async () => {
    const { server, Providers, pass } = page();
    const { requests, Board } = board(server);
    const success = vi.fn();
    function Form() {
      const rename = useMutationWithInvalidation({
        mutationFn: async (id: string) => ({ id, version: 2 }),
        invalidates: ({ id }, variables) => [["projects", id, variables]],
        onSuccess: success,
      });
      return <button onClick={() => rename.mutate("42")}>rename</button>;
    }
    render(
      <Providers>
        <Form />
        <Board queryKey={["projects", "42", "42"]} />
        <Board queryKey={["projects", "43"]} />
      </Providers>,
    );
    await pass(50);
    const before = requests.length;
    act(() => screen.getByText("rename").click());
    await pass(50);
    expect(requests).toHaveLength(before + 1);
    expect(success.mock.calls[0]?.slice(0, 2)).toEqual([{ id: "42", version: 2 }, "42"]);
  });

  it("invalidates nothing when the mutation fails", async () => {
    const { server, Providers, pass } = page();
    const { requests, Board } = board(server);
    function Form() {
      const rename = useMutationWithInvalidation<void>(async () => {
        throw Object.assign(new Error("no"), { status: 422 });
      }, ["projects"]);
      return <button onClick={() => rename.mutate()}>{rename.error?.message ?? "rename"}</button>;
    }
    render(
      <Providers>
        <Form />
        <Board />
      </Providers>,
    );
    await pass(50);
    const before = requests.length;
    act(() => screen.getByText("rename").click());
    await pass(50);
    expect(screen.getByText("no")).toBeTruthy();
    expect(requests).toHaveLength(before);
  });
});

describe.each([
  ["useQuery", false],
  ["useQuery", true],
  ["useSuspenseQuery", false],
  ["useSuspenseQuery", true],
])("an event during the first fetch of %s (StrictMode: %s)", (hook, strict) => {
  it("ends with the new value on screen", async () => {
    const { server, Providers, pass } = page();
    const pending: (() => void)[] = [];
    const state = { value: "old", fetches: 0 };
    const options = {
      queryKey: ["projects"],
      queryFn: () => {
        const read = state.value;
        state.fetches += 1;
        return new Promise<string>((resolve) => pending.push(() => resolve(read)));
      },
    };
    function Plain() {
      return <p data-testid="value">{useQuery(options).data ?? "loading"}</p>;
    }
    function Suspended() {
      return <p data-testid="value">{useSuspenseQuery(options).data}</p>;
    }
    const Shown = hook === "useQuery" ? Plain : Suspended;
    const Mode = strict ? StrictMode : ({ children }: { children: ReactNode }) => <>{children}</>;
    function Later() {
      const [shown, setShown] = useState(false);
      return shown ? <Shown /> : <button onClick={() => setShown(true)}>show</button>;
    }
    render(
      <Mode>
        <Providers>
          <Suspense fallback={<p data-testid="value">loading</p>}>
            <Later />
          </Suspense>
        </Providers>
      </Mode>,
    );
    await pass(50);
    act(() => screen.getByText("show").click());
    await pass(1);
    expect(state.fetches).toBe(1);
    state.value = "new";
    server.publish("broadcast", updated);
    await pass(50);
    expect(screen.getByTestId("value").textContent).toBe("loading");
    for (let round = 0; round < 6; round += 1) {
      pending.shift()?.();
      await pass(10);
      await act(() => new Promise((resolve) => setTimeout(resolve, 20)));
    }
    expect(screen.getByTestId("value").textContent).toBe("new");
    expect(pending).toHaveLength(0);
    expect(state.fetches).toBeLessThanOrEqual(3);
  });
});
