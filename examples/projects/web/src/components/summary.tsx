// SPDX-License-Identifier: MPL-2.0
import { useQuery } from "@tanstack/react-query";
import { queries } from "../api.js";
import type { Dashboard } from "../model.js";

const tiles: [keyof Dashboard, string][] = [
  ["projects", "Projects"],
  ["active_projects", "Active"],
  ["teams", "Teams"],
  ["unread", "Unread"],
];

export function Summary() {
  const { data, isError } = useQuery(queries.dashboard);
  return (
    <section className="tiles" aria-label="Dashboard">
      {tiles.map(([name, label]) => (
        <div className="tile" key={name}>
          {/* The key starts the flash anew with each value. */}
          <span className="figure" key={data?.[name]} data-testid={`count-${name}`}>
            {data?.[name] ?? (isError ? "–" : "·")}
          </span>
          <span className="quiet">{label}</span>
        </div>
      ))}
    </section>
  );
}
