// SPDX-License-Identifier: MPL-2.0
import { useEffect, useState } from "react";
import { fetchStats } from "../api.js";
import type { Stats } from "../model.js";
import { usePulse, type Read } from "../pulse.js";

const SHOWN = 7;
const SETTLE_MS = 1_500;

const kinds: [string, string][] = [
  ["HIT", "answered from Redis"],
  ["MISS", "read from the database, and kept"],
  ["BYPASS", "read past the cache: the purge was not confirmed yet"],
  ["STALE-REJECTED", "an old copy was found, and refused"],
];

export function Reads() {
  const { reads } = usePulse();
  const stats = useStats(reads);
  return (
    <section className="card" aria-label="Reads">
      <div className="between">
        <h2>Reads</h2>
        <span className="quiet small">
          database reads in all: <b data-testid="database-reads">{stats?.database_reads ?? "–"}</b>
        </span>
      </div>
      <ul className="kinds">
        {kinds.map(([kind, meaning]) => (
          <li key={kind} title={meaning}>
            <span className={`chip ${kind}`}>{kind === "STALE-REJECTED" ? "REFUSED" : kind}</span>
            <b>{reads.filter(({ cache }) => cache === kind).length}</b>
          </li>
        ))}
      </ul>
      {reads.length === 0 && <p className="empty">No read yet.</p>}
      <ol className="reads" data-testid="reads-list">
        {reads.slice(0, SHOWN).map((read) => (
          <li key={read.number}>
            <code>{read.path}</code>
            <span className={`chip ${read.cache}`}>
              {read.cache === "STALE-REJECTED" ? "REFUSED" : read.cache}
            </span>
            <span className="time">{read.ms.toFixed(1)} ms</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** What the API has counted, asked again when the page has read something and come to rest. */
function useStats(reads: readonly Read[]): Stats | undefined {
  const [stats, setStats] = useState<Stats>();
  useEffect(() => {
    let current = true;
    const timer = setTimeout(() => {
      fetchStats()
        .then((answer) => current && setStats(answer))
        .catch(() => undefined);
    }, SETTLE_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [reads]);
  return stats;
}
