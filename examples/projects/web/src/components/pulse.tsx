// SPDX-License-Identifier: MPL-2.0
import { useEffect, useState } from "react";
import { usePulse, type Trace } from "../pulse.js";
import { partsOf, quantile, stagesOf } from "../stages.js";

const LIMIT_MS = 200;

export function Pulse() {
  const { traces, latencies } = usePulse();
  const last = latencies.at(-1);
  const shown = traces.find(({ painted }) => painted !== undefined);
  return (
    <section className="card pulse" aria-label="Pulse: from mutation to screen">
      <div className="headline">
        <h2>Mutation to screen</h2>
        <p className="latency">
          <span data-testid="last-latency-ms">{last === undefined ? "–" : Math.round(last)}</span>
          {last !== undefined && <span className="unit">ms</span>}
        </p>
        <dl className="quantiles">
          <Quantile name="p50" value={quantile(latencies, 0.5)} />
          <Quantile name="p99" value={quantile(latencies, 0.99)} />
          <div>
            <dt>events</dt>
            <dd>{latencies.length}</dd>
          </div>
        </dl>
      </div>
      <Chain trace={shown ?? traces[0]} />
      <Bars traces={traces} />
    </section>
  );
}

function Quantile({ name, value }: { name: string; value: number | undefined }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value === undefined ? "–" : Math.round(value)}</dd>
    </div>
  );
}

function Chain({ trace }: { trace: Trace | undefined }) {
  const stages = stagesOf(trace);
  const lit = useLit(trace, stages.length);
  return (
    <div className="way">
      <p className="quiet small caption">
        {trace ? (
          <>
            <code>{trace.event.type}</code> on {trace.event.channel},{" "}
            {trace.own ? "caused in this window" : "caused elsewhere"}
          </>
        ) : (
          "Change something, here or in another window, and see it travel."
        )}
      </p>
      <ol className="chain">
        {stages.map(({ name, explanation, at, state }, index) => (
          <li key={name} className={classOf(state, index, lit)}>
            <span className="node" aria-hidden="true" />
            <span className="stage">{name}</span>
            <span className="time">{timeOf(state, at)}</span>
            <span className="hidden">{explanation}</span>
          </li>
        ))}
      </ol>
    </div>
  );
}

const LIT_MS = 110;

/** How many stages are lit: one more every moment, or all at once when events follow closely. */
function useLit(trace: Trace | undefined, count: number): number {
  const id = trace?.event.id;
  const isSlow = trace?.isRare === true && !matchMedia("(prefers-reduced-motion: reduce)").matches;
  const [state, setState] = useState({ id, lit: count + 1 });
  useEffect(() => {
    if (!isSlow) return setState({ id, lit: count + 1 });
    let lit = 1;
    setState({ id, lit });
    const timer = setInterval(() => {
      lit += 1;
      setState({ id, lit });
      if (lit > count) clearInterval(timer);
    }, LIT_MS);
    return () => clearInterval(timer);
  }, [id, isSlow, count]);
  return state.id === id ? state.lit : 0;
}

function classOf(state: string, index: number, lit: number): string {
  return [state, index < lit && "lit", index === lit - 1 && "newest"].filter(Boolean).join(" ");
}

function timeOf(state: string, at: number | undefined): string {
  if (state === "warning") return "not confirmed";
  if (state === "skipped") return "not needed";
  return at === undefined ? " " : `+${Math.round(at)} ms`;
}

const BARS = 32;
const HEIGHT = 96;

function Bars({ traces }: { traces: readonly Trace[] }) {
  const done = traces.filter(({ painted }) => painted !== undefined).slice(0, BARS);
  const bars = done.reverse().map((trace) => ({ trace, parts: partsOf(trace) }));
  const longest = Math.max(40, ...bars.map(({ trace }) => trace.latencyMs ?? 0));
  const scale = HEIGHT / (longest * 1.08);
  const step = 100 / BARS;
  return (
    <figure className="bars">
      <svg viewBox={`0 0 100 ${HEIGHT}`} preserveAspectRatio="none" role="img">
        <title>{`The last ${bars.length} events, the longest ${Math.round(longest)} ms`}</title>
        {longest >= LIMIT_MS && (
          <line
            className="limit"
            x1="0"
            x2="100"
            y1={HEIGHT - LIMIT_MS * scale}
            y2={HEIGHT - LIMIT_MS * scale}
          />
        )}
        {bars.map(({ trace, parts }, index) => {
          let top = HEIGHT;
          const left = (BARS - bars.length + index) * step;
          return (
            <g key={trace.event.id}>
              <title>{`${trace.event.type}: ${Math.round(trace.latencyMs ?? 0)} ms`}</title>
              {parts.map(({ name, ms }) => {
                top -= ms * scale;
                return (
                  <rect
                    key={name}
                    className={name}
                    x={left + step * 0.14}
                    width={step * 0.72}
                    y={top}
                    height={ms * scale}
                  />
                );
              })}
            </g>
          );
        })}
      </svg>
      <p className="axis quiet small">
        {bars.length === 0 ? (
          <span>one bar for each event</span>
        ) : (
          <>
            <span>{Math.round(longest)} ms</span>
            <span>{`limit ${LIMIT_MS} ms${longest < LIMIT_MS ? ", above" : ""}`}</span>
          </>
        )}
      </p>
      <figcaption>
        {["request", "purge", "delivery", "refetch", "paint"].map((name) => (
          <span key={name}>
            <i className={name} aria-hidden="true" />
            {name}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}
