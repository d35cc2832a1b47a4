// SPDX-License-Identifier: MPL-2.0
import { usePresence, useSyncStatus } from "@freshwire/react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { queries } from "../api.js";
import { userName, users } from "../model.js";
import { signIn } from "../session.js";
import { Bell } from "./bell.js";

export function Header({ user }: { user: { id: string; name: string } }) {
  return (
    <header className="header">
      <div className="brand">
        <Mark />
        <div>
          <strong>Projects</strong>
          <span className="quiet"> on Freshwire</span>
        </div>
      </div>
      <ConnectionState />
      <div className="spread" />
      <Present user={user} />
      <WhoAmI user={user} />
      <Bell user={user} />
      <Theme />
    </header>
  );
}

function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" />
      <path d="M5 17h6l3-8 5 15 3-7h5" />
    </svg>
  );
}

const explanations: Record<string, string> = {
  idle: "not connected",
  connecting: "looking for the gateway",
  live: "changes arrive as they happen",
  reconnecting: "what is missed meanwhile will be caught up",
  stopped: "the gateway refused; see Connection",
};

function ConnectionState() {
  const { state } = useSyncStatus();
  return (
    <p className={`pill ${state}`} role="status" title={explanations[state]}>
      <span className="dot" aria-hidden="true" />
      <span data-testid="connection-state">{state}</span>
    </p>
  );
}

/** Who else is looking at the board now, in any window of any gateway. */
function Present({ user }: { user: { id: string } }) {
  const { members, tooMany, count, ready } = usePresence("board");
  const others = members.filter(({ userId }) => userId !== user.id);
  if (!ready) return null;
  const names = others.map(({ userId }) => userName(userId)).join(", ");
  return (
    <p className="quiet" data-testid="present" title="looking at this board now">
      {tooMany ? `${count} people are here` : names ? `with ${names}` : "nobody else is here"}
    </p>
  );
}

function WhoAmI({ user }: { user: { id: string } }) {
  const queryClient = useQueryClient();
  const { data: me } = useQuery(queries.me);
  const become = async (id: string) => {
    await signIn(id);
    // Nothing of the first user may be shown to the second.
    queryClient.clear();
  };
  return (
    <fieldset className="segments">
      <legend className="hidden">Signed in as {me?.name ?? user.id}</legend>
      {users.map(({ id, name }) => (
        <button
          key={id}
          data-testid={`user-${id}`}
          aria-pressed={id === user.id}
          onClick={() => void become(id)}
        >
          {id === user.id ? (me?.name ?? name) : name}
        </button>
      ))}
    </fieldset>
  );
}

function Theme() {
  const [theme, setTheme] = useState(() => localStorage.getItem("theme") ?? "");
  useEffect(() => {
    if (theme) document.documentElement.dataset.theme = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);
  const isDark = theme === "dark" || (!theme && matchMedia("(prefers-color-scheme: dark)").matches);
  return (
    <button
      className="icon"
      aria-label={isDark ? "Light colours" : "Dark colours"}
      title={isDark ? "Light colours" : "Dark colours"}
      onClick={() => setTheme(isDark ? "light" : "dark")}
    >
      <svg viewBox="0 0 24 24" aria-hidden="true">
        {isDark ? (
          <path d="M12 4V2m0 20v-2m8-8h2M2 12h2m13.7-5.7 1.4-1.4M4.9 19.1l1.4-1.4m0-11.4L4.9 4.9m14.2 14.2-1.4-1.4M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0Z" />
        ) : (
          <path d="M20 14.5A8 8 0 0 1 9.5 4 8 8 0 1 0 20 14.5Z" />
        )}
      </svg>
    </button>
  );
}
