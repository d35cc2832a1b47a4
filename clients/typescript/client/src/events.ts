// SPDX-License-Identifier: MPL-2.0
// Event types: their data, and which queries each one makes stale.

import type { SyncEvent } from "./wire.js";

/** A query key, or the root of one: "projects" means ["projects"]. */
export type Key = string | readonly unknown[];

/** Each item is one key; an array inside the list is one key too. */
export type KeyList = readonly Key[];

declare const dataOf: unique symbol;

export interface EventDefinition<Data = unknown> {
  keys: KeyList | ((data: Data, event: SyncEvent<string, Data>) => KeyList);
  /** Carries the type of the data; never present. */
  readonly [dataOf]?: Data;
}

/** `any` here accepts definitions of every data type; what comes out is typed by `EventData`. */
export type EventDefinitions = Record<string, EventDefinition<any>>;

/** One event type: the type of its data and the keys that it makes stale. */
export function event<Data = unknown>(
  keys: EventDefinition<Data>["keys"],
): EventDefinition<NoInfer<Data>> {
  return { keys };
}

/** Names the application's events. A convenience for types: it returns what it is given. */
export function defineEvents<const Definitions extends EventDefinitions>(
  definitions: Definitions,
): Definitions {
  return definitions;
}

export type EventData<Definition> = Definition extends EventDefinition<infer Data> ? Data : unknown;

/** The events of these definitions, told apart by `type`. */
export type EventsOf<Definitions> = {
  [Type in keyof Definitions & string]: SyncEvent<Type, EventData<Definitions[Type]>>;
}[keyof Definitions & string];

export interface ProjectData {
  id: string;
  name: string;
  description: string;
  status: string;
  owner_id: string;
  team_id: string;
  version: string | number;
  updated_at_ms: string | number;
}

export interface ProjectDeletedData {
  id: string;
  team_id: string;
  version: string | number;
}

export interface UserData {
  id: string;
  name: string;
  avatar_url: string;
  version: string | number;
  updated_at_ms: string | number;
}

export interface NotificationData {
  id: string;
  user_id: string;
  title: string;
  body: string;
  kind: string;
  link: string;
  created_at_ms: string | number;
}

export interface TeamData {
  id: string;
  name: string;
  member_ids: string[];
  version: string | number;
  updated_at_ms: string | number;
}

/** The six event types of freshwire/v1/events.proto, and the short name "notification". */
export const standardEvents = defineEvents({
  project_created: event<ProjectData>(["projects", "dashboard"]),
  project_updated: event<ProjectData>(["projects", "project", "dashboard"]),
  project_deleted: event<ProjectDeletedData>(["projects", "project", "dashboard"]),
  user_updated: event<UserData>(["users", "me"]),
  notification_created: event<NotificationData>(["notifications"]),
  notification: event<NotificationData>(["notifications"]),
  team_updated: event<TeamData>(["teams"]),
});

export type StandardEvents = typeof standardEvents;

/**
 * Extend this to give every hook your own events:
 * `declare module "@freshwire/client" { interface Register { events: typeof events } }`
 */
export interface Register {}

export type RegisteredEvents = Register extends { events: infer Events extends EventDefinitions }
  ? Events
  : StandardEvents;
