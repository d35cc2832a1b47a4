// SPDX-License-Identifier: MPL-2.0
import { usePulse } from "../pulse.js";

const SHOWN = 30;

export function Events() {
  const { traces } = usePulse();
  return (
    <section className="card" aria-label="Events">
      <h2>Events</h2>
      {traces.length === 0 && <p className="empty">None yet.</p>}
      <ol className="events" data-testid="events-list">
        {traces.slice(0, SHOWN).map(({ event, own, latencyMs }) => (
          <li
            key={`${event.channel} ${event.offset}`}
            data-event-id={event.id}
            data-type={event.type}
          >
            <code>{event.type}</code>
            <span className="quiet small">
              {event.channel}:{event.offset}
              {own && " · this tab"}
              {event.unconfirmed && " · unconfirmed"}
            </span>
            <span className="time">
              {latencyMs === undefined ? "…" : `${Math.round(latencyMs)} ms`}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
