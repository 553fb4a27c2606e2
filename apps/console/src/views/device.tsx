/** One device: its live conversation, a message box, and the details that it reports about itself. */
import type { Environment } from "@letta-environments/client";
import { escapeSpaces, printable } from "@letta-environments/command-line/printable";
import type { JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Badge, ModeBadge } from "../parts/badge.tsx";
import { Composer } from "../parts/composer.tsx";
import { Mode, Stop } from "../parts/controls.tsx";
import { History } from "../parts/history.tsx";
import { Labels } from "../parts/labels.tsx";
import { Transcript } from "../parts/transcript.tsx";
import { ApprovalCard } from "../parts/approval-card.tsx";
import { isRunning } from "../model/conversation.ts";
import { agoText, dateText } from "../model/time.ts";
import { updateHint } from "../model/version.ts";
import { approvals, questionOf } from "../state/approvals.ts";
import { time } from "../state/clock.ts";
import { type DeviceConversations, openConversations } from "../state/conversations.ts";
import { shownName } from "../state/device-list.ts";
import { findDevice, loading } from "../state/environments.ts";
import { href, route } from "../state/route.ts";
import { info, may, mayControl, mayLabel, mayOversee } from "../state/session.ts";

/** The view. */
export function Device(): JSX.Element {
  const deviceId = route.value.id ?? "";
  const conversations = useMemo(() => openConversations(deviceId), [deviceId]);
  useEffect(() => () => conversations.close(), [conversations]);
  const device = findDevice(deviceId);
  if (device === null) {
    const state = loading.value;
    if (state.kind === "error")
      return (
        <div class="empty" role="alert">
          <h1>The device could not be read</h1>
          <p>{state.text}</p>
        </div>
      );
    return state.kind === "loading" ? (
      <p class="note" role="status">
        Loading …
      </p>
    ) : (
      <div class="empty" role="alert">
        <h1>This device does not exist</h1>
        <p>It was removed, or the key of this session may not see it.</p>
        <a href={href("devices", {})}>All devices</a>
      </div>
    );
  }
  const isOnline = device.connectionId !== null;
  const own = approvals.value.filter((approval) => approval.deviceId === deviceId);
  return (
    <>
      <Title device={device} conversations={conversations} />
      <div class="device">
        <section class="conversation" aria-label="Conversation">
          {!isOnline && <Absence deviceId={deviceId} />}
          {typeof conversations.failure.value === "string" && (
            <div class="notice bad" role="alert">
              {conversations.failure.value}
            </div>
          )}
          {!may("view") && (
            <div class="notice">The key of this session lacks the scope “view”, so it does not see what turns say.</div>
          )}
          <Transcript conversations={conversations} isOnline={isOnline} />
          {own.map((approval) => (
            <ApprovalCard key={questionOf(approval)} approval={approval} showsDevice={false} />
          ))}
          <Composer device={device} conversations={conversations} />
        </section>
        <aside aria-label="About the device">
          <Facts device={device} />
          <History conversations={conversations} />
        </aside>
      </div>
    </>
  );
}

/** Says how a device that is offline comes back. */
function Absence({ deviceId }: { deviceId: string }): JSX.Element {
  return (
    <p class="hint">
      The device is offline. Start Letta Code there again, with the command that connected it.{" "}
      {mayOversee() && <a href={href("audit", { parameters: { device: deviceId } })}>Its records in the audit log</a>}
    </p>
  );
}

function Title({ device, conversations }: { device: Environment; conversations: DeviceConversations }): JSX.Element {
  const isOnline = device.connectionId !== null;
  const isWorking = [...conversations.all.value.values()].some(({ entries }) => isRunning(entries));
  return (
    <div class="title">
      <a href={href("devices")}>‹ Devices</a>
      <h1>
        <span class={`dot ${isOnline ? "good" : "off"}`} aria-hidden="true" /> {shownName(device)}
      </h1>
      <Badge tone={isOnline ? "good" : "calm"}>{isOnline ? "online" : "offline"}</Badge>
      {isWorking && <Badge tone="busy">working</Badge>}
      <ModeBadge mode={device.currentMode} />
      {mayControl() && isOnline && (
        <>
          <Mode conversations={conversations} />
          <Stop conversations={conversations} />
        </>
      )}
    </div>
  );
}

function Facts({ device }: { device: Environment }): JSX.Element {
  const { metadata = {}, tags = [], lastSeenAt, connectionId } = device;
  const [isEditing, setEditing] = useState(false);
  const hint = updateHint(metadata, info.value?.gateway.deviceVersion ?? "");
  const facts: readonly (readonly [string, string | undefined])[] = [
    ["Directory", metadata.workingDirectory === undefined ? undefined : escapeSpaces(metadata.workingDirectory)],
    ["Branch", metadata.gitBranch],
    ["Letta Code", metadata.lettaCodeVersion],
    ["System", [metadata.os, metadata.nodeVersion].filter((text) => text !== undefined).join(", ")],
    ["Own name", device.displayName === undefined ? undefined : device.connectionName],
    ["Tags", tags.join(", ")],
    ["Device id", device.deviceId],
    ["Connected", device.connectedAt === null ? undefined : dateText(device.connectedAt)],
    ["Last seen", connectionId === null ? agoText(lastSeenAt, time.value) : "online"],
    ["First seen", dateText(device.firstSeenAt)],
  ];
  return (
    <section class="card">
      <h2>About</h2>
      <dl class="facts">
        {facts
          .filter(([, text]) => text !== undefined && text !== "")
          .map(([name, text]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{printable(text ?? "")}</dd>
            </div>
          ))}
      </dl>
      {hint !== null && <p class="hint update">{hint}</p>}
      {isEditing && <Labels device={device} onClose={() => setEditing(false)} />}
      {mayLabel() && (
        <div class="actions">
          <button type="button" onClick={() => setEditing(true)}>
            Change name and tags
          </button>
        </div>
      )}
      {device.sendProblem === "agents_api_missing" && (
        <p class="notice">
          The device has no agents API, so messages to it are refused. Start it with “--backend local”.
        </p>
      )}
    </section>
  );
}
