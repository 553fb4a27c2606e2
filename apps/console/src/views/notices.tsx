/** Notices above the list of devices, or instead of it: it is empty, was not read, or the gateway has no events. Loaded when one is first needed. */
import type { JSX } from "preact";
import { connection } from "../state/api.ts";
import { deviceCount } from "../state/device-list.ts";
import { reconnect } from "../state/environments.ts";
import { hasExtensions, info, may, mayAdminister } from "../state/session.ts";

/** The notices that apply now. */
export function Notices(): JSX.Element {
  return (
    <>
      {connection.value === "polling" && (
        <div class="notice">
          This gateway has no events, so the list is read every five seconds. Not here: conversations, approvals, stop,
          mode{!hasExtensions() && ", overview, explain, audit log"}.
        </div>
      )}
      {deviceCount.value === 0 && <Empty />}
    </>
  );
}

/** Says why the list was not read. */
export function Failed({ text }: { text: string }): JSX.Element {
  return (
    <div class="empty" role="alert">
      <h1>The devices could not be read</h1>
      <p>{text}</p>
      {may("list") && (
        <button type="button" onClick={reconnect}>
          Try again
        </button>
      )}
    </div>
  );
}

function Empty(): JSX.Element {
  const { gateway, scopes = [] } = info.value ?? {};
  if (gateway?.servesDevices === false) {
    return (
      <div class="empty">
        <h2>No devices yet</h2>
        <p>
          This gateway is in front of a remote environment server. Devices appear here once they connect to that server.
        </p>
      </div>
    );
  }
  return (
    <div class="empty">
      <h2>No devices yet</h2>
      {!scopes.includes("list") && <p>The key of this session lacks the scope “list”, so it sees no devices.</p>}
      <p>
        {mayAdminister() && "Choose “Invite a device”. Or on"}
        {!mayAdminister() && "On"} the machine of the gateway, print a command that connects a device:
      </p>
      <pre tabIndex={0}>letta-proxy devices invite --name laptop</pre>
      <p>Run the printed command on the device. It appears here within two seconds.</p>
    </div>
  );
}
