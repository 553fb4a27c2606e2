/** What is shown at the first start. */
export interface FirstStart {
  readonly url: string;
  readonly callerKey: string;
  /** `null` where devices connect elsewhere. */
  readonly deviceKey: string | null;
}

/** `pnpm device` without pnpm, which is not on the PATH of somebody who started the proxy through npx. */
const deviceCommand = "node scripts/device.mjs";

/** The agent that a device started with `pnpm device` has from the start. */
const demoAgentId = "agent-local-demo";

/** The new keys, and the commands to run with them next; each can be pasted into a shell. */
export function firstStartText({ url, callerKey, deviceKey }: FirstStart): string {
  const environments = `${url}/v1/environments`;
  const curl = `curl -s -H 'Authorization: Bearer ${callerKey}'`;
  const connectionId = `$(${curl} '${environments}?onlineOnly=true&limit=1' | sed -n 's/.*"connectionId":"\\([^"]*\\)".*/\\1/p')`;
  const body = `{"agentId":"${demoAgentId}","messages":[{"role":"user","content":"ping","client_message_id":"'$(date +%s)'"}]}`;
  const lines = [
    "",
    "These keys are shown once; only their digests are kept.",
    `  for callers  ${callerKey}  (list, read, send)`,
    ...(deviceKey === null ? [] : [`  for devices  ${deviceKey}  (connect)`]),
    "",
    "Next, in another terminal:",
    "",
    ...(deviceKey === null
      ? []
      : ["Connect a device:", `  LETTA_BASE_URL=${url} LETTA_API_KEY=${deviceKey} ${deviceCommand}`, ""]),
    "List the devices:",
    `  ${curl} ${environments}`,
    "",
    "Send to the device that is connected:",
    `  ${curl} -H 'Content-Type: application/json' -d '${body}' "${environments}/${connectionId}/messages"`,
    "",
  ];
  return lines.map((line) => `${line}\n`).join("");
}
