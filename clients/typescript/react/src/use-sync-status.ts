// SPDX-License-Identifier: MPL-2.0
import type { SyncStatus } from "@freshwire/client";
import { useCallback, useSyncExternalStore } from "react";
import { useSyncClient } from "./context.js";

const idle: SyncStatus = {
  state: "idle",
  sessionId: undefined,
  userId: undefined,
  attempt: 0,
  error: undefined,
  degraded: false,
};

/** The state of the provider's connection. */
export function useSyncStatus(): SyncStatus {
  const client = useSyncClient();
  const subscribe = useCallback(
    (changed: () => void) => client?.on("status", changed) ?? (() => undefined),
    [client],
  );
  const snapshot = () => client?.status ?? idle;
  return useSyncExternalStore(subscribe, snapshot, () => idle);
}
