// SPDX-License-Identifier: MPL-2.0
import {
  SyncError,
  type DataOf,
  type PublishOptions,
  type RegisteredEvents,
} from "@freshwire/client";
import { useCallback } from "react";
import { useAttachedClient, useSyncClient, type AnyClient } from "./context.js";

export type Publish = <Type extends string>(
  type: Type,
  data: DataOf<RegisteredEvents, Type>,
  options?: PublishOptions,
) => Promise<void>;

/** Publishes events of this user into a room (`"42"` for `room:42`), which is subscribed while mounted. */
export function usePublish(room: string): Publish {
  const client = useSyncClient();
  const channel = `room:${room}`;
  const attach = (attached: AnyClient) => attached.subscribe(channel);
  useAttachedClient(undefined, {}, attach, true, channel);
  return useCallback<Publish>(
    (type, data, options) =>
      client?.publish(channel, type, data, options) ??
      Promise.reject(new SyncError("there is no provider", 0, channel)),
    [client, channel],
  );
}
