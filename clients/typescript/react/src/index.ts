"use client";
// SPDX-License-Identifier: MPL-2.0

export { useSyncClient } from "./context.js";
export { RealtimeSyncProvider, type RealtimeSyncProviderProps } from "./provider.js";
export {
  useMutationWithInvalidation,
  type MutationWithInvalidationOptions,
} from "./use-mutation-with-invalidation.js";
export {
  useRealtimeNotifications,
  type LiveNotification,
  type RealtimeNotifications,
  type RealtimeNotificationsOptions,
} from "./use-realtime-notifications.js";
export {
  useRealtimeSync,
  type InvalidationMap,
  type RealtimeSyncOptions,
} from "./use-realtime-sync.js";
export { usePresence, type PresenceResult } from "./use-presence.js";
export { usePublish, type Publish } from "./use-publish.js";
export { useSyncEvent, type SyncEventOf } from "./use-sync-event.js";
export { useSyncStatus } from "./use-sync-status.js";
export {
  useWebSocket,
  type UseWebSocketOptions,
  type UseWebSocketResult,
} from "./use-web-socket.js";
