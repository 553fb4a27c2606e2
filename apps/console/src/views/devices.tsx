/** The list of devices. Filters and sorting are part of the address. */
import type { Environment } from "@letta-environments/client";
import { escapeSpaces, printable } from "@letta-environments/command-line/printable";
import { type Signal, useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Badge, ModeBadge } from "../parts/badge.tsx";
import { lazy } from "../parts/lazy.tsx";
import { nextRows } from "../model/device-filter.ts";
import { agoText, dateText } from "../model/time.ts";
import { updateHint } from "../model/version.ts";
import { time } from "../state/clock.ts";
import { allTags, deviceCount, onlineCount, selectedIds, shownName } from "../state/device-list.ts";
import { connection } from "../state/api.ts";
import { pendingOf } from "../state/approvals.ts";
import { loading, queued, rows } from "../state/environments.ts";
import { go, href, route, setParameter } from "../state/route.ts";
import { info, mayAdminister } from "../state/session.ts";

const columns = [
  ["name", "Device"],
  ["mode", "Mode"],
  ["", "Directory"],
  ["version", "Version"],
  ["seen", "Last seen"],
  ["approvals", "Waiting"],
] as const;

const Invite = lazy(() => import("./administration.tsx").then((views) => views.Invite));
const Notices = lazy(() => import("./notices.tsx").then((notices) => notices.Notices));
const Failed = lazy(() => import("./notices.tsx").then((notices) => notices.Failed));

/** The view. */
export function Devices(): JSX.Element {
  const { parameters } = route.value;
  const total = deviceCount.value;
  const shown = selectedIds.value;
  const state = loading.value;
  if (state.kind === "error") return <Failed text={state.text} />;
  if (state.kind === "loading")
    return (
      <p class="note" role="status">
        Loading devices …
      </p>
    );
  return (
    <>
      <div class="title">
        <h1>Devices</h1>
        <p class="hint" role="status">
          {total.toLocaleString()} {total === 1 ? "device" : "devices"}, {onlineCount} online
          {shown.length !== total && `, ${shown.length} shown`}
        </p>
        {mayInvite() && (
          <button
            type="button"
            class="primary"
            onClick={() => go("devices", { parameters: { ...parameters, invite: "yes" } })}
          >
            Invite a device
          </button>
        )}
      </div>
      {(total === 0 || connection.value === "polling") && <Notices />}
      {total > 0 && <Filters tags={allTags.value} />}
      {total > 0 && shown.length === 0 && <p class="note">No device matches the filters.</p>}
      {shown.length > 0 && (
        <div class="table devices" role="table" aria-label="Devices" aria-rowcount={shown.length + 1}>
          <div role="rowgroup">
            <div role="row" class="row head">
              {columns.map(([column, text]) => (
                <ColumnHeader key={text} column={column} text={text} />
              ))}
            </div>
          </div>
          <div role="rowgroup">
            <Rows ids={shown} />
          </div>
        </div>
      )}
      {parameters["invite"] !== undefined && mayInvite() && <Invite />}
    </>
  );
}

/** Devices of a remote environment server connect there, where keys of this gateway are not valid. */
function mayInvite(): boolean {
  return mayAdminister() && info.value?.gateway.servesDevices === true;
}

function ColumnHeader({ column, text }: { column: string; text: string }): JSX.Element {
  const present = route.value.parameters["sort"] ?? "name";
  const isPresent = column !== "" && present.replace(/^-/, "") === column;
  if (column === "") return <span role="columnheader">{text}</span>;
  const isReversed = present.startsWith("-");
  // These columns begin with the most requests, and with the latest time.
  const isDescending = isReversed !== (column === "approvals" || column === "seen");
  return (
    <span role="columnheader" aria-sort={isPresent ? (isDescending ? "descending" : "ascending") : "none"}>
      <button
        type="button"
        class="sort"
        onClick={() => setParameter("sort", isPresent && !isReversed ? `-${column}` : column)}
      >
        {text}
        <span aria-hidden="true">{isPresent ? (isDescending ? " ↓" : " ↑") : ""}</span>
      </button>
    </span>
  );
}

/** Draws rows a frame later than the input that selects them, and at most a hundred more with each frame, so that no key press waits. */
function Rows({ ids }: { ids: readonly string[] }): JSX.Element {
  const [drawn, setDrawn] = useState(() => nextRows([], ids, rowsPerFrame));
  // Effects run after the frame was painted.
  useEffect(() => setDrawn(nextRows(drawn, ids, rowsPerFrame)));
  return (
    <>
      {drawn.map((id) => {
        const row = rows.value.get(id);
        return row === undefined ? null : <Row key={id} row={row} />;
      })}
    </>
  );
}

const rowsPerFrame = 100;

function Row({ row }: { row: Signal<Environment> }): JSX.Element {
  const device = row.value;
  const { connectionId, deviceId, metadata, tags = [], lastSeenAt, currentMode } = device;
  const isOnline = connectionId !== null;
  // A computed value, so that a request of one device does not redraw the others.
  const pendingApprovals = useComputed(() => pendingOf(row.value)).value;
  const waiting = queued.value.get(deviceId)?.size ?? 0;
  const directory = printable(escapeSpaces(metadata?.workingDirectory ?? ""));
  const hint = updateHint(metadata, info.value?.gateway.deviceVersion ?? "");
  return (
    <div role="row" class="row">
      <span role="cell" class="name">
        <span class={`dot ${isOnline ? "good" : "off"}`} aria-hidden="true" />
        <span>
          <a href={href("device", { id: deviceId })}>{shownName(device)}</a>
          <span class="sr"> {isOnline ? "online" : "offline"}</span>
          {device.displayName !== undefined && <span class="sub">{printable(device.connectionName)}</span>}
          {device.sendProblem !== undefined && <Badge tone="warn">cannot take messages</Badge>}
          {tags.length > 0 && (
            <span class="tags">
              {tags.map((tag) => (
                <button
                  type="button"
                  key={tag}
                  class="tag"
                  title={`Show devices with the tag ${tag}`}
                  onClick={() => setParameter("tag", tag)}
                >
                  {tag}
                </button>
              ))}
            </span>
          )}
        </span>
      </span>
      <span role="cell">
        <ModeBadge mode={currentMode} />
      </span>
      <span role="cell" class="directory">
        <span class="mono" title={directory}>
          {directory}
        </span>
        {metadata?.gitBranch !== undefined && <span class="sub mono">⎇ {printable(metadata.gitBranch)}</span>}
      </span>
      <span role="cell">
        {printable(metadata?.lettaCodeVersion ?? "")}
        {hint !== null && (
          <span class="sub update" title={hint}>
            update available
          </span>
        )}
      </span>
      <span role="cell" title={dateText(lastSeenAt)}>
        {isOnline ? "online" : agoText(lastSeenAt, time.value)}
      </span>
      <span role="cell">
        {pendingApprovals > 0 && (
          <a href={href("approvals")} class="badge warn">
            {pendingApprovals} {pendingApprovals === 1 ? "approval" : "approvals"}
          </a>
        )}
        {waiting > 0 && <Badge tone="busy">{waiting} queued</Badge>}
      </span>
    </div>
  );
}

function Filters({ tags }: { tags: readonly string[] }): JSX.Element {
  const { parameters } = route.value;
  const select = (name: string, label: string, options: readonly (readonly [string, string])[]): JSX.Element => (
    <select
      aria-label={label}
      value={parameters[name] ?? ""}
      onChange={(event) => setParameter(name, event.currentTarget.value)}
    >
      {options.map(([value, text]) => (
        <option key={value} value={value}>
          {text}
        </option>
      ))}
    </select>
  );
  return (
    <div class="filters" role="search">
      <input
        type="search"
        aria-label="Search devices"
        placeholder="Search by name, tag, directory, branch, version"
        value={parameters["q"] ?? ""}
        onInput={(event) => setParameter("q", event.currentTarget.value)}
      />
      {select("status", "Status", [
        ["", "Any status"],
        ["online", "Online"],
        ["offline", "Offline"],
        ["waiting", "Waits for approval"],
      ])}
      {select("mode", "Mode", [
        ["", "Any mode"],
        ["unrestricted", "Unrestricted"],
      ])}
      <span class="narrow">
        {select("sort", "Order", [
          ["", "By name"],
          ...columns.flatMap(([column, text]) =>
            column === "" || column === "name" ? [] : [[column, `By ${text.toLowerCase()}`] as const],
          ),
        ])}
      </span>
      {tags.length > 0 && select("tag", "Tag", [["", "Any tag"], ...tags.map((tag) => [tag, tag] as const)])}
    </div>
  );
}
