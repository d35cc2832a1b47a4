// SPDX-License-Identifier: MPL-2.0
import { useSyncClient, useSyncStatus } from "@freshwire/react";
import { usePulse } from "../pulse.js";

export function Connection({ gateway }: { gateway: string }) {
  const client = useSyncClient();
  const status = useSyncStatus();
  // Positions move with every event, and every event moves the pulse.
  const { gaps } = usePulse();
  const resets = gaps.filter(({ reason }) => reason !== "joined");
  const isLive = status.state === "live";
  return (
    <section className="card" aria-label="Connection">
      <div className="between">
        <h2>Connection</h2>
        <span className="row">
          <button
            className="plain"
            data-testid="reconnect"
            title="Cuts the connection; the next one resumes where this one ended"
            onClick={() => client?.reconnect()}
          >
            Reconnect
          </button>
          <button
            className="plain"
            data-testid="toggle-connection"
            onClick={() => (isLive ? client?.disconnect() : client?.connect())}
          >
            {isLive ? "Disconnect" : "Connect"}
          </button>
        </span>
      </div>
      {status.error && (
        <p className="failure" role="alert">
          {status.error.message}
          {status.error.code ? ` (${status.error.code})` : ""}
        </p>
      )}
      <dl className="facts">
        <dt>gateway</dt>
        <dd>
          <code>{gateway}</code>
        </dd>
        <dt>session</dt>
        <dd>
          <code data-testid="session-id">{status.sessionId ?? "none"}</code>
        </dd>
        <dt>this tab</dt>
        <dd>
          <code>{client?.origin}</code>
        </dd>
        <dt>resets</dt>
        <dd data-testid="resets">
          {resets.length === 0
            ? "none"
            : `${resets.length}, last: ${resets[0]?.reason} in ${resets[0]?.channel}`}
        </dd>
      </dl>
      <table className="positions">
        <thead>
          <tr>
            <th scope="col">channel</th>
            <th scope="col">epoch</th>
            <th scope="col">offset</th>
          </tr>
        </thead>
        <tbody>
          {(client?.positions() ?? []).map(({ channel, epoch, offset }) => (
            <tr key={channel}>
              <td>{channel}</td>
              <td>
                <code>{epoch}</code>
              </td>
              <td className="number" data-testid={`offset-${channel}`}>
                {offset}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
