// SPDX-License-Identifier: MPL-2.0
// On a server: no window, no WebSocket, and nothing may be opened.
import { RealtimeSyncProvider, useSyncStatus, useWebSocket } from "@freshwire/react";
import { createSyncQueryClient } from "@freshwire/react/query";
import { QueryClientProvider } from "@tanstack/react-query";
import { renderToString } from "react-dom/server";
import { expect, it, vi } from "vitest";

it("renders to a string and opens nothing", () => {
  const socket = vi.fn();
  const timer = vi.spyOn(globalThis, "setTimeout");
  const shown = vi.spyOn(console, "error");
  vi.stubGlobal("WebSocket", socket);
  expect(typeof window).toBe("undefined");
  function Page() {
    const { isConnected, lastMessage } = useWebSocket("/ws/room/1");
    return <p>{`${useSyncStatus().state} ${isConnected} ${lastMessage}`}</p>;
  }
  const html = renderToString(
    <QueryClientProvider client={createSyncQueryClient()}>
      <RealtimeSyncProvider getToken={() => "u1"}>
        <Page />
      </RealtimeSyncProvider>
    </QueryClientProvider>,
  );
  expect(html).toBe("<p>idle false null</p>");
  expect(socket).not.toHaveBeenCalled();
  expect(timer).not.toHaveBeenCalled();
  expect(shown).not.toHaveBeenCalled();
  vi.unstubAllGlobals();
});
