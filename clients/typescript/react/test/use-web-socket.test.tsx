// SPDX-License-Identifier: MPL-2.0
// @vitest-environment happy-dom
import { useWebSocket } from "@freshwire/react";
import { act, render, screen } from "@testing-library/react";
import { StrictMode } from "react";
import { describe, expect, it, vi } from "vitest";
import { page, updated } from "./page.js";

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
