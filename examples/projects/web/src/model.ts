// SPDX-License-Identifier: MPL-2.0
// What the API speaks of.

export interface Project {
  id: string;
  name: string;
  description: string;
  status: Status;
  owner_id: string;
  team_id: string;
  version: number;
  updated_at_ms: number;
}

export const statuses = ["active", "paused", "done"] as const;
export type Status = (typeof statuses)[number];

export interface User {
  id: string;
  name: string;
  email: string;
  version: number;
}

export interface Notification {
  id: string;
  title: string;
  body: string;
  is_read: boolean;
  created_at_ms: number;
}

export interface Team {
  id: string;
  name: string;
  member_ids: string[];
}

export interface Dashboard {
  projects: number;
  active_projects: number;
  teams: number;
  unread: number;
}

export interface Stats {
  reads: Record<string, Record<string, number>>;
  database_reads: number;
}

/** The development users that the API begins with. */
export const users = [
  { id: "u1", name: "Ada" },
  { id: "u2", name: "Grace" },
  { id: "u3", name: "Linus" },
] as const;

export function userName(id: string | undefined): string {
  return users.find((user) => user.id === id)?.name ?? id ?? "somebody";
}
