// SPDX-License-Identifier: MPL-2.0
// @vitest-environment happy-dom
import {
  useMutationWithInvalidation,
  useRealtimeNotifications,
  useSyncClient,
  useSyncEvent,
  useSyncStatus,
} from "@freshwire/react";
import { QueryClientProvider, useQuery, useSuspenseQuery } from "@tanstack/react-query";
import { act, render, screen } from "@testing-library/react";
import { StrictMode, Suspense, useEffect, useState, type ReactNode } from "react";
import { describe, expect, it, vi } from "vitest";
import { board, page, updated } from "./page.js";

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
