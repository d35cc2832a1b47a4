// SPDX-License-Identifier: MPL-2.0
import { standardEvents, type NotificationData, type SyncEvent } from "@freshwire/client";
import { useCallback, useContext, useState } from "react";
import { SyncContext, type Connection } from "./context.js";
import { useRealtimeSync } from "./use-realtime-sync.js";
import { useAnyWebSocket } from "./use-web-socket.js";

export interface LiveNotification extends SyncEvent<string, NotificationData> {
  read: boolean;
}

export interface RealtimeNotificationsOptions extends Omit<Connection, "reconnect"> {
  /** An endpoint of one's own. Default: the provider's connection, else "/ws/notifications". */
  endpoint?: string;
  onNotification?: (event: SyncEvent<string, NotificationData>) => void;
  /** Event types that are notifications. */
  types?: readonly string[];
  /** How many are kept, newest first. */
  limit?: number;
}

export interface RealtimeNotifications {
  isConnected: boolean;
  readonly lastMessage: SyncEvent<string, any> | null;
  /** Those that arrived while mounted, newest first. */
  items: readonly LiveNotification[];
  unread: number;
  /** By event id; all without one. */
  markRead: (id?: string) => void;
  clear: () => void;
}

const defaultTypes = ["notification", "notification_created"];

/**
 * Notifications as they arrive. Below a RealtimeSyncProvider it uses that connection; alone, or with
 * an endpoint, it has its own and refetches what the events make stale.
 */
export function useRealtimeNotifications(
  options: RealtimeNotificationsOptions = {},
): RealtimeNotifications {
  const { onNotification, types = defaultTypes, limit = 50, endpoint, ...connection } = options;
  const alone = useContext(SyncContext) === undefined;
  const own = endpoint ?? (alone ? "/ws/notifications" : undefined);
  const [items, setItems] = useState<readonly LiveNotification[]>([]);
  const onMessage = (event: SyncEvent<string, any>) => {
    if (!types.includes(event.type)) return;
    setItems((known) => [{ ...event, read: false }, ...known].slice(0, limit));
    onNotification?.(event);
  };
  const socket = useAnyWebSocket(own, { ...connection, onMessage });
  useRealtimeSync(standardEvents, {
    ...connection,
    ...(own !== undefined && { endpoint: own }),
    enabled: own !== undefined,
  });
  return {
    isConnected: socket.isConnected,
    get lastMessage() {
      return socket.lastMessage;
    },
    items,
    unread: items.filter(({ read }) => !read).length,
    markRead: useCallback((id?: string) => {
      setItems((known) =>
        known.map((item) => (id === undefined || item.id === id ? { ...item, read: true } : item)),
      );
    }, []),
    clear: useCallback(() => setItems([]), []),
  };
}
