// SPDX-License-Identifier: MPL-2.0
// @vitest-environment happy-dom
import { usePresence, usePublish, useSyncEvent } from "@freshwire/react";
import { render, screen } from "@testing-library/react";
import { StrictMode, useState } from "react";
import { describe, expect, it } from "vitest";
import { page } from "./page.js";

function Who({ room }: { room: string | undefined }) {
  const { members, count, ready, error } = usePresence(room);
  const names = members.map(({ userId, sessions }) => `${userId}:${sessions}`).join(" ");
  return <p data-testid="who">{error ? error.message : ready ? `${count} ${names}` : "…"}</p>;
}

describe("usePresence", () => {
  it("shows who is in the room, and follows another room", async () => {
    const { server, Providers, pass } = page();
    const tree = (room: string | undefined) => (
      <StrictMode>
        <Providers getToken={() => "ada"}>
          <Who room={room} />
        </Providers>
      </StrictMode>
    );
    const { rerender } = render(tree("1"));
    expect(screen.getByTestId("who").textContent).toBe("…");
    await pass(100);
    expect(screen.getByTestId("who").textContent).toBe("1 ada:1");
    server.sessions[0]?.send({
      type: "fw.presence",
      channel: "room:1",
      join: [{ user_id: "bob", sessions: 2 }],
    });
    await pass(20);
    expect(screen.getByTestId("who").textContent).toBe("2 ada:1 bob:2");
    rerender(tree("2"));
    await pass(100);
    expect(screen.getByTestId("who").textContent).toBe("1 ada:1");
    rerender(tree(undefined));
    await pass(2_000);
    expect(screen.getByTestId("who").textContent).toBe("…");
    expect([...(server.sessions[0]?.channels ?? [])]).not.toContain("room:2");
  });

  it("says why it is refused", async () => {
    const { Providers, pass } = page({ private: () => true });
    render(
      <Providers getToken={() => "ada"}>
        <Who room="1" />
      </Providers>,
    );
    await pass(100);
    expect(screen.getByTestId("who").textContent).toContain("does not allow presence");
  });
});

describe("usePublish", () => {
  it("publishes into the room, and useSyncEvent hears of it", async () => {
    const { Providers, pass } = page();
    let publish: ReturnType<typeof usePublish> | undefined;
    function Typing() {
      const [who, setWho] = useState("nobody");
      publish = usePublish("1");
      useSyncEvent("typing", ({ user_id }) => setWho(user_id ?? "?"));
      return <p data-testid="typing">{who}</p>;
    }
    render(
      <Providers getToken={() => "ada"}>
        <Typing />
      </Providers>,
    );
    await expect(publish?.("typing", true)).rejects.toMatchObject({ temporary: true });
    await pass(100);
    const done = publish?.("typing", true);
    await pass(50);
    await expect(done).resolves.toBeUndefined();
    expect(screen.getByTestId("typing").textContent).toBe("ada");
  });
});
