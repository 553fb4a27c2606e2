/** The audit log for administrators. The search is part of the address. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Badge } from "../parts/badge.tsx";
import { auditText, type AuditRecord } from "../model/audit-text.ts";
import type { Tone } from "../model/message-state.ts";
import { dateText } from "../model/time.ts";
import { administer, AdminError, failureText } from "../state/api.ts";
import { route, setParameter } from "../state/route.ts";
import { mayAdminister, mayOversee } from "../state/session.ts";
import { NoAdministration } from "./keys.tsx";

interface Page {
  readonly records: readonly AuditRecord[];
  readonly cursor: string | null;
}

interface Failure {
  readonly text: string;
  /** The key may not search, so trying again does not help. */
  readonly isRefused: boolean;
}

const names = ["event", "outcome", "key", "device"] as const;
const tones: Readonly<Record<string, Tone>> = { ok: "good", refused: "warn", failed: "bad", unknown: "warn" };

const notHere = "This gateway does not offer its audit log here. Where it is a process, use “letta-proxy audit list”.";

/** The view. */
export function Audit(): JSX.Element {
  const { parameters } = route.value;
  const [page, setPage] = useState<Page | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  /** The number of searches. Only the response to the latest one counts. */
  const searches = useRef(0);
  const query = names.flatMap((name) => {
    const value = parameters[name];
    return value === undefined ? [] : [`&${name}=${encodeURIComponent(value)}`];
  });
  const load = (before: Page | null): void => {
    const number = (searches.current += 1);
    const cursor = typeof before?.cursor === "string" ? `&before=${encodeURIComponent(before.cursor)}` : "";
    administer<Page>("GET", `audit?limit=50${query.join("")}${cursor}`).then(
      (next) => {
        if (number !== searches.current) return;
        setPage({ records: [...(before?.records ?? []), ...next.records], cursor: next.cursor });
        setFailure(null);
      },
      (error: unknown) => {
        if (number !== searches.current) return;
        const status = error instanceof AdminError ? error.status : 0;
        const isMissing = status === 404;
        const text = isMissing ? notHere : failureText(error);
        // The records shown before may need rights that the key has lost.
        if (status === 403) setPage(null);
        setFailure({ text, isRefused: status === 403 });
      },
    );
  };
  useEffect(() => {
    if (mayOversee()) load(null);
    else setFailure({ text: notHere, isRefused: true });
  }, [query.join("")]);
  if (!mayAdminister()) return <NoAdministration />;
  return (
    <>
      <div class="title">
        <h1>Audit log</h1>
        <p class="hint">The latest first. “letta-proxy audit verify” checks that nothing was changed.</p>
      </div>
      <Filters />
      {failure !== null && <Notice failure={failure} onRetry={() => load(null)} />}
      {page?.records.length === 0 && <p class="note">No record matches the search.</p>}
      {page !== null && page.records.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Records">
          <table class="audit">
            <thead>
              <tr>
                <th scope="col">Time</th>
                <th scope="col">What</th>
                <th scope="col">Outcome</th>
                <th scope="col">Key</th>
                <th scope="col">Device</th>
              </tr>
            </thead>
            <tbody>
              {page.records.map((record) => (
                <tr key={`${record.writer} ${record.sequence}`}>
                  <TimeCell timeMs={record.time} />
                  <td>{auditText(record)}</td>
                  <td>
                    {record.outcome !== null && <Badge tone={tones[record.outcome] ?? "calm"}>{record.outcome}</Badge>}
                  </td>
                  <td>{record.keyId !== null && <Search name="key" value={record.keyId} />}</td>
                  <td>{record.deviceId !== null && <Search name="device" value={record.deviceId} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {typeof page?.cursor === "string" && (
        <button type="button" onClick={() => load(page)}>
          Older records
        </button>
      )}
    </>
  );
}

/** With seconds, to find the same moment in other logs. */
const secondsFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function TimeCell({ timeMs }: { timeMs: number }): JSX.Element {
  const exact = new Date(timeMs).toJSON() ?? "";
  return (
    <td class="nowrap">
      <time dateTime={exact} title={exact}>
        {dateText(timeMs, secondsFormat)}
      </time>
    </td>
  );
}

function Notice({ failure, onRetry }: { failure: Failure; onRetry: () => void }): JSX.Element {
  return (
    <div class="notice bad" role="alert">
      {failure.text}{" "}
      {!failure.isRefused && (
        <button type="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

function Search({ name, value }: { name: string; value: string }): JSX.Element {
  return (
    <button
      type="button"
      class="link mono"
      title={`Only records of ${value}`}
      onClick={() => setParameter(name, value)}
    >
      {value}
    </button>
  );
}

function Filters(): JSX.Element {
  const { parameters } = route.value;
  return (
    <div class="filters" role="search">
      <select
        aria-label="Event"
        value={parameters["event"] ?? ""}
        onChange={(event) => setParameter("event", event.currentTarget.value)}
      >
        <option value="">Everything</option>
        <option value="send">Messages</option>
        <option value="control">Control</option>
        <option value="approval">Approvals</option>
        <option value="key">Keys and sessions</option>
        <option value="device">Devices</option>
      </select>
      <select
        aria-label="Outcome"
        value={parameters["outcome"] ?? ""}
        onChange={(event) => setParameter("outcome", event.currentTarget.value)}
      >
        <option value="">Any outcome</option>
        <option value="ok">ok</option>
        <option value="refused">refused</option>
        <option value="failed">failed</option>
        <option value="unknown">unknown</option>
      </select>
      <input
        type="search"
        aria-label="Key id"
        placeholder="Key id"
        value={parameters["key"] ?? ""}
        onChange={(event) => setParameter("key", event.currentTarget.value.trim())}
      />
      <input
        type="search"
        aria-label="Device id"
        placeholder="Device id"
        value={parameters["device"] ?? ""}
        onChange={(event) => setParameter("device", event.currentTarget.value.trim())}
      />
    </div>
  );
}
