// SPDX-License-Identifier: MPL-2.0
// The API, as queries and mutations see it. Every answer's X-Cache is noted.

import { HttpError, syncFetch, type SyncFetchContext } from "@freshwire/react/query";
import { queryOptions } from "@tanstack/react-query";
import type { Dashboard, Notification, Project, Stats, Team, User } from "./model.js";
import { pulse } from "./pulse.js";
import { currentToken } from "./session.js";

async function call<Answer>(
  context: SyncFetchContext,
  path: string,
  init: RequestInit = {},
): Promise<Answer> {
  const begun = performance.now();
  const headers = new Headers(init.headers);
  const token = currentToken();
  if (token) headers.set("Authorization", `Bearer ${token}`);
  const response = await syncFetch(context, path, { ...init, headers });
  const answer = (await response.json()) as Answer;
  if (context.queryKey) {
    pulse.read({
      path,
      cache: response.headers.get("X-Cache") ?? "NONE",
      ms: performance.now() - begun,
      at: Date.now(),
    });
  }
  return answer;
}

function send<Answer>(
  context: SyncFetchContext,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  return call<Answer>(context, path, {
    method,
    ...(body !== undefined && {
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    }),
  });
}

export const queries = {
  projects: queryOptions({
    queryKey: ["projects"],
    queryFn: (context) => call<Project[]>(context, "/api/projects"),
  }),
  dashboard: queryOptions({
    queryKey: ["dashboard"],
    queryFn: (context) => call<Dashboard>(context, "/api/dashboard"),
  }),
  me: queryOptions({
    queryKey: ["users", "me"],
    queryFn: (context) => call<User>(context, "/api/users/me"),
  }),
  teams: queryOptions({
    queryKey: ["teams"],
    queryFn: (context) => call<Team[]>(context, "/api/teams"),
  }),
  notifications: queryOptions({
    queryKey: ["notifications"],
    queryFn: (context) => call<Notification[]>(context, "/api/notifications"),
  }),
};

/** Not a query: nothing announces that it changed. */
export async function fetchStats(): Promise<Stats> {
  const response = await fetch("/api/stats");
  return (await response.json()) as Stats;
}

export const mutations = {
  createProject: (body: { name: string; team_id?: string }, context: SyncFetchContext) =>
    send<Project>(context, "POST", "/api/projects", body),
  changeProject: (
    { id, ...body }: { id: string; name?: string; status?: string },
    context: SyncFetchContext,
  ) => send<Project>(context, "PUT", `/api/projects/${id}`, body),
  deleteProject: ({ id }: { id: string }, context: SyncFetchContext) =>
    send<{ id: string }>(context, "DELETE", `/api/projects/${id}`),
  notify: (body: { user_id: string; title: string; body?: string }, context: SyncFetchContext) =>
    send<Notification>(context, "POST", "/api/notifications", body),
  markRead: ({ id }: { id: string }, context: SyncFetchContext) =>
    send<Notification>(context, "POST", `/api/notifications/${id}/read`),
  changeMe: (body: { name: string }, context: SyncFetchContext) =>
    send<User>(context, "PUT", "/api/users/me", body),
};

/** What to tell the reader of a failed request. */
export async function describe(error: unknown): Promise<string> {
  if (!(error instanceof HttpError)) return "The server cannot be reached.";
  try {
    const { detail } = (await error.response.clone().json()) as { detail?: unknown };
    if (typeof detail === "string") return detail;
  } catch {
    // Not JSON: the status says it.
  }
  return `The server refused: ${error.message}`;
}
