// SPDX-License-Identifier: MPL-2.0
// @vitest-environment happy-dom
import { createFakeClock, createFakeServer } from "@freshwire/client/testing";
import { RealtimeSyncProvider, useSyncStatus } from "@freshwire/react";
import { createSyncQueryClient } from "@freshwire/react/query";
import { QueryClientProvider } from "@tanstack/react-query";
import { act } from "@testing-library/react";
import { hydrateRoot } from "react-dom/client";
import { expect, it, vi } from "vitest";

it("hydrates without a warning, and connects", async () => {
  const clock = createFakeClock();
  const server = createFakeServer({ clock });
  const warned = vi.spyOn(console, "error");
  const page = (
    <QueryClientProvider client={createSyncQueryClient()}>
      <RealtimeSyncProvider transport={{ WebSocket: server.WebSocket, clock }}>
        <Status />
      </RealtimeSyncProvider>
    </QueryClientProvider>
  );
  function Status() {
    return <p>{useSyncStatus().state}</p>;
  }
  const root = document.createElement("div");
  root.innerHTML = "<p>idle</p>";
  const hydrated = await act(async () => hydrateRoot(root, page));
  await act(() => clock.advance(50));
  expect(root.textContent).toBe("live");
  expect(warned).not.toHaveBeenCalled();
  act(() => hydrated.unmount());
  await clock.advance(2_000);
  expect(server.live).toBe(0);
});
