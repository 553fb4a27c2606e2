/** Requests, hit rate, refusals, latency and devices of the last hour. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { every } from "../platform/browser.ts";
import { lazy } from "../parts/lazy.tsx";
import { type OverviewBody, summarise } from "../model/overview.ts";
import { administer, AdminError, failureText } from "../state/api.ts";
import { deviceCount, onlineCount } from "../state/device-list.ts";
import { mayAdminister, mayOversee } from "../state/session.ts";
import { NoAdministration } from "./keys.tsx";

const refreshMs = 10_000;
const Charts = lazy(() => import("../parts/charts.tsx").then((module) => module.Charts));

/** The view. */
export function Overview(): JSX.Element {
  const [body, setBody] = useState<OverviewBody | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [isMissing, setMissing] = useState(!mayOversee());
  useEffect(() => {
    const load = (): void => {
      administer<OverviewBody>("GET", "overview").then(
        (read) => {
          setBody(read);
          setFailure(null);
        },
        (error: unknown) => {
          if (error instanceof AdminError && error.status === 404) setMissing(true);
          else setFailure(failureText(error));
        },
      );
    };
    if (isMissing) return undefined;
    load();
    return every(refreshMs, load);
  }, []);
  if (!mayAdminister()) return <NoAdministration />;
  const figures = body === null ? [] : summarise(body);
  return (
    <>
      <div class="title">
        <h1>Overview</h1>
        <p class="hint">The last hour, in minutes. The figures begin when the gateway started.</p>
      </div>
      {failure !== null && (
        <div class="notice bad" role="alert">
          The figures could not be read: {failure} The console retries automatically.
        </div>
      )}
      <dl class="figures">
        <div class="card">
          <dt>Devices online</dt>
          <dd>
            {onlineCount} <span class="hint">of {deviceCount}</span>
          </dd>
        </div>
        {figures.map(([name, value]) => (
          <div class="card" key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {isMissing && (
        <div class="notice">This gateway keeps no figures of its requests, so only the devices are shown.</div>
      )}
      {body !== null && <Charts body={body} />}
    </>
  );
}
