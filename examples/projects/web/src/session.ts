// SPDX-License-Identifier: MPL-2.0
// Who this window is. In sessionStorage, so that two windows can be two people.

import { useSyncExternalStore } from "react";
import { users } from "./model.js";

export interface Session {
  token: string;
  user: { id: string; name: string };
}

const STORED = "freshwire-example-session";

let session: Session | undefined;
let signingIn: Promise<Session> | undefined;
const listeners = new Set<() => void>();

/** The user of `?user=`, else the one of before, else the first. */
function wantedUser(): string {
  const asked = new URLSearchParams(location.search).get("user");
  if (asked) return asked;
  try {
    return (JSON.parse(sessionStorage.getItem(STORED) ?? "") as Session).user.id;
  } catch {
    return users[0].id;
  }
}

export async function signIn(user = session?.user.id ?? wantedUser()): Promise<Session> {
  signingIn ??= (async () => {
    const response = await fetch("/api/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ user }),
    });
    if (!response.ok) throw new Error(`signing in failed: ${response.status}`);
    session = (await response.json()) as Session;
    sessionStorage.setItem(STORED, JSON.stringify(session));
    for (const listener of listeners) listener();
    return session;
  })().finally(() => {
    signingIn = undefined;
  });
  return signingIn;
}

export function currentToken(): string | undefined {
  return session?.token;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useSession(): Session | undefined {
  return useSyncExternalStore(subscribe, () => session);
}
