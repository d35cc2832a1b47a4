// SPDX-License-Identifier: MPL-2.0
import { event, standardEvents } from "@freshwire/client";
import { RealtimeSyncProvider } from "@freshwire/react";
import { syncOrigin } from "@freshwire/react/query";
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useMemo, useState } from "react";
import { Board } from "./components/board.js";
import { Connection } from "./components/connection.js";
import { Events } from "./components/events.js";
import { Header } from "./components/header.js";
import { Pulse } from "./components/pulse.js";
import { Reads } from "./components/reads.js";
import { Summary } from "./components/summary.js";
import { pulse } from "./pulse.js";
import { currentToken, signIn, useSession } from "./session.js";

/** The standard events and one of this application's own. */
const events = {
  ...standardEvents,
  notification_created: event(["notifications", "dashboard"]),
  notification_read: event(["notifications", "dashboard"]),
  team_updated: event(["teams", "dashboard"]),
};

export function App() {
  const { gateway, failed, retry } = useStart();
  const session = useSession();
  const queryClient = useQueryClient();
  const origin = syncOrigin(queryClient);
  const sync = useMemo(
    () => ({
      onEvent: (received: Parameters<typeof pulse.received>[0]) => pulse.received(received, origin),
      onSynced: pulse.synced.bind(pulse),
      onGap: pulse.gap.bind(pulse),
    }),
    [origin],
  );

  if (failed) {
    return (
      <main className="notice" role="alert">
        <h1>The server cannot be reached</h1>
        <p>{failed}</p>
        <button className="primary" onClick={retry}>
          Try again
        </button>
      </main>
    );
  }
  if (gateway === undefined || !session) {
    return (
      <main className="notice" aria-busy="true">
        <p className="quiet">Signing in…</p>
      </main>
    );
  }
  return (
    <RealtimeSyncProvider
      gateway={gateway}
      identity={session.user.id}
      getToken={async ({ reason }) => {
        const fresh = reason === "expired" || reason === "rejected" ? await signIn() : undefined;
        return fresh?.token ?? currentToken();
      }}
      events={events}
      sync={sync}
    >
      <Header user={session.user} />
      <main className="page">
        <Pulse />
        <div className="columns">
          <div className="stack">
            <Summary />
            <Board />
          </div>
          <aside className="stack" aria-label="What happens behind the page">
            <Reads />
            <Connection gateway={gateway} />
            <Events />
          </aside>
        </div>
      </main>
    </RealtimeSyncProvider>
  );
}

/** Asks where the gateway is, and signs in. */
function useStart() {
  const [gateway, setGateway] = useState<string>();
  const [failed, setFailed] = useState<string>();
  const start = useCallback(async () => {
    setFailed(undefined);
    try {
      const response = await fetch("/api/config");
      if (!response.ok) throw new Error(`GET /api/config: ${response.status}`);
      const config = (await response.json()) as { gateway: string };
      await signIn();
      setGateway(config.gateway);
    } catch (error) {
      setFailed(error instanceof Error ? error.message : String(error));
    }
  }, []);
  useEffect(() => {
    void start();
  }, [start]);
  return { gateway, failed, retry: () => void start() };
}
