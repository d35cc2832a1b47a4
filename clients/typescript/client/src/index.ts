// SPDX-License-Identifier: MPL-2.0

export { createOrigin, createSyncClient } from "./client.js";
export type {
  ChannelHandlers,
  DataOf,
  GetToken,
  PublishOptions,
  SyncClient,
  SyncClientEvents,
  SyncClientOptions,
  SyncState,
  SyncStatus,
  TokenRequest,
} from "./client.js";
export type { Batch } from "./batcher.js";
export type { Gap, GapReason } from "./channels.js";
export { classifyClose, SyncError, UnauthorizedError } from "./close.js";
export type { CloseClass } from "./close.js";
export type { Clock } from "./clock.js";
export { defineEvents, event, standardEvents } from "./events.js";
export type {
  EventData,
  EventDefinition,
  EventDefinitions,
  EventsOf,
  Key,
  KeyList,
  NotificationData,
  ProjectData,
  ProjectDeletedData,
  Register,
  RegisteredEvents,
  StandardEvents,
  TeamData,
  UserData,
} from "./events.js";
export type { TokenReason } from "./machine.js";
export type { PageWatcher } from "./page.js";
export type { Presence, PresenceChange, PresenceMember } from "./presence.js";
export { SUBPROTOCOL } from "./wire.js";
export type { ChannelPosition, Position, SyncEvent, WireEvent } from "./wire.js";
