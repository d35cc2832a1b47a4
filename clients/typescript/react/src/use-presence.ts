// SPDX-License-Identifier: MPL-2.0
import type { PresenceMember, SyncError } from "@freshwire/client";
import { useCallback, useMemo, useState, useSyncExternalStore } from "react";
import { useAttachedClient, useSyncClient, type AnyClient } from "./context.js";

export interface PresenceResult {
  /** Users in the room, this one included; sorted, and empty when `tooMany`. */
  members: readonly PresenceMember[];
  count: number;
  /** The room is too large to be listed. */
  tooMany: boolean;
  /** The first list has come. */
  ready: boolean;
  /** Why presence was refused, if it was. */
  error: SyncError | undefined;
}

const nobody: readonly PresenceMember[] = [];

/** Who is in a room (`"42"` for `room:42`), while mounted. Undefined: nowhere. */
export function usePresence(room: string | undefined): PresenceResult {
  const client = useSyncClient();
  const channel = room === undefined ? undefined : `room:${room}`;
  const [failure, setFailure] = useState<{ channel: string; error: SyncError }>();
  const attach = (attached: AnyClient) => {
    if (channel === undefined) return () => undefined;
    const refused = (error: SyncError) => setFailure({ channel, error });
    return attached.watchPresence(channel, () => setFailure(undefined), refused);
  };
  useAttachedClient(undefined, {}, attach, channel !== undefined, channel);
  const subscribe = useCallback(
    (changed: () => void) => client?.on("presence", changed) ?? (() => undefined),
    [client],
  );
  const snapshot = () => (channel === undefined ? undefined : client?.presence(channel));
  const presence = useSyncExternalStore(subscribe, snapshot, () => undefined);
  const error = failure?.channel === channel ? failure?.error : undefined;
  return useMemo(
    () => ({
      members: presence?.members ?? nobody,
      count: presence?.count ?? 0,
      tooMany: presence?.tooMany ?? false,
      ready: presence !== undefined,
      error,
    }),
    [presence, error],
  );
}
