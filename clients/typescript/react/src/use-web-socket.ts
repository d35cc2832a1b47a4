// SPDX-License-Identifier: MPL-2.0
import type { SyncError, SyncEvent } from "@freshwire/client";
import { useCallback, useRef, useState } from "react";
import { useAttachedClient, useLatest, type AnyClient, type Connection } from "./context.js";

export interface UseWebSocketOptions extends Omit<Connection, "reconnect"> {
  /** Each event, in order and once. */
  onMessage?: (event: SyncEvent<string, any>) => void;
  onOpen?: () => void;
  onClose?: () => void;
  onError?: (error: SyncError) => void;
  autoReconnect?: boolean;
  /** Base of the backoff, milliseconds: the first wait is a random part of it. Default 1000. */
  reconnectInterval?: number;
}

export interface UseWebSocketResult {
  isConnected: boolean;
  /** The newest event. State may skip events that arrive together: use onMessage to see each. */
  readonly lastMessage: SyncEvent<string, any> | null;
  /** False when not connected: nothing is queued. */
  send: (message: unknown) => boolean;
  /** Disconnects and stays so until `reconnect`. */
  disconnect: () => void;
  reconnect: () => void;
}

/** One connection for each endpoint, shared by every component that names it. */
export function useWebSocket(
  endpoint: string,
  options: UseWebSocketOptions = {},
): UseWebSocketResult {
  return useAnyWebSocket(endpoint, options);
}

/** As useWebSocket; without an endpoint it uses the provider's connection. */
export function useAnyWebSocket(
  endpoint: string | undefined,
  options: UseWebSocketOptions,
): UseWebSocketResult {
  const { autoReconnect = true, reconnectInterval, ...rest } = options;
  const { onMessage, onOpen, onClose, onError, ...connection } = rest;
  const reconnect = autoReconnect
    ? reconnectInterval !== undefined && { reconnect: { baseMs: reconnectInterval } }
    : { reconnect: false as const };
  const [isConnected, setConnected] = useState(false);
  const [lastMessage, setLastMessage] = useState<SyncEvent | null>(null);
  // Nobody who does not read lastMessage renders for it.
  const isRead = useRef(false);
  const current = useRef<AnyClient | undefined>(undefined);
  const latest = useLatest({ onMessage, onOpen, onClose, onError });
  const attach = (client: AnyClient) => {
    current.current = client;
    let open = false;
    const follow = () => {
      const live = client.status.state === "live";
      if (live === open) return;
      open = live;
      setConnected(live);
      (live ? latest.current.onOpen : latest.current.onClose)?.();
    };
    const offs = [
      client.on("status", (status) => {
        follow();
        if (status.error) latest.current.onError?.(status.error);
      }),
      client.on("event", (event) => {
        if (isRead.current) setLastMessage(event);
        return latest.current.onMessage?.(event);
      }),
    ];
    follow();
    return () => {
      for (const off of offs) off();
      current.current = undefined;
      if (open) setConnected(false);
    };
  };
  useAttachedClient(endpoint, { ...connection, ...reconnect }, attach);
  return {
    isConnected,
    get lastMessage() {
      isRead.current = true;
      return lastMessage;
    },
    send: useCallback((message) => current.current?.send(message) ?? false, []),
    disconnect: useCallback(() => current.current?.disconnect(), []),
    reconnect: useCallback(() => current.current?.reconnect(), []),
  };
}
