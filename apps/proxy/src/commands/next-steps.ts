/**
 * The text that `letta-proxy start` prints for people once the gateway listens: at the first start two new keys, the commands to run with
 * them and a link to the console, later how to list and create keys. Each command can be pasted into a shell in the folder of the start.
 */
import { joinLines, quoteForShell } from "@letta-environments/command-line";
import { formatConsoleLink } from "./key-options.ts";

/** A gateway that has just started. */
export interface StartedGateway {
  readonly url: string;
  readonly dataDir: string;
  /** Whether it serves the web console, or would if its files were there. */
  readonly console: "served" | "not_built" | "off";
  readonly programs: Programs;
}

/** The secrets of a first start, which are shown once. */
export interface FirstSecrets {
  readonly clientKey: string;
  /** `null` if devices do not connect to this gateway. */
  readonly deviceKey: string | null;
  /** The secret of a link to the console; `null` without a console. */
  readonly link: string | null;
}

/** How the folder of the start runs the programs of this project. */
export interface Programs {
  /** `letta-proxy`. */
  readonly proxy: string;
  /** `letta-env`; `null` if it is not installed there. */
  readonly client: string | null;
  /** A device with a demo agent; `null` outside a clone of the repository. */
  readonly demoDevice: string | null;
}

/** Returns how programs are run in a folder, without pnpm, which is not on the PATH of a user who started the gateway through npx. */
export function programsIn(
  /** Whether a file exists, by its path from the folder. */
  exists: (path: string) => boolean,
  /** The program that runs, such as `node node.js`. */
  running: readonly string[],
): Programs {
  if (exists("scripts/device.mjs") && exists("scripts/letta-env.mjs")) {
    return {
      proxy: "node scripts/letta-proxy.mjs",
      client: "node scripts/letta-env.mjs",
      demoDevice: "node scripts/device.mjs",
    };
  }
  // Without the file, npx would run whatever the registry has under the name of the command.
  const installed = (name: string): string | null => (exists(`node_modules/.bin/${name}`) ? `npx ${name}` : null);
  return {
    proxy: installed("letta-proxy") ?? running.map(quoteForShell).join(" "),
    client: installed("letta-env"),
    demoDevice: null,
  };
}

/** Returns how Deno runs the program, with the permissions that its commands need in the folder of the start. */
export function denoCommand(program: string, dataDir: string): readonly string[] {
  const isBelow = !/^(?:\/|[A-Za-z]:|\.\.(?:[/\\]|$))/.test(dataDir);
  const folders = isBelow ? "." : `.,${dataDir}`;
  const permissions = ["net", "env", "sys", `read=${folders}`, `write=${folders}`].map((name) => `--allow-${name}`);
  // Without this, Deno would ask for a missing permission, and a careless yes would allow all folders.
  return ["deno", "run", "--no-prompt", ...permissions, program];
}

const demoAgentId = "agent-local-demo";

/** The text of the first start. */
export function firstStartText(gateway: StartedGateway, { clientKey, deviceKey, link }: FirstSecrets): string {
  const { url, programs } = gateway;
  const address = quoteForShell(url);
  const withKey = (key: string, command: string): string =>
    `  LETTA_BASE_URL=${address} LETTA_API_KEY=${key} ${command}`;
  const { client, demoDevice } = programs;
  return joinLines([
    "",
    "These keys are shown once; only their digests are stored.",
    `  for clients  ${clientKey}  (list, read, send)`,
    ...(deviceKey === null ? [] : [`  for devices  ${deviceKey}  (connect)`]),
    "",
    "Next, in another terminal, in this folder:",
    "",
    ...(deviceKey === null
      ? []
      : demoDevice === null
        ? ["Print a command that connects a device, and run that on the device:", `  ${inviteCommand(gateway)}`, ""]
        : ["Connect a device:", withKey(deviceKey, demoDevice), ""]),
    "List the devices:",
    client === null
      ? `  curl -H "Authorization: Bearer ${clientKey}" ${quoteForShell(`${url}/v1/environments`)}`
      : withKey(clientKey, `${client} list`),
    "",
    ...(client === null || demoDevice === null
      ? []
      : ["Send a message to the device:", withKey(clientKey, `${client} send demo --agent ${demoAgentId} "ping"`), ""]),
    ...(link === null
      ? []
      : ["Open the console in a browser (once, within ten minutes):", `  ${formatConsoleLink(url, link)}`, ""]),
    ...consoleHint(gateway),
  ]);
}

/** The text of a start with keys that exist. */
export function laterStartText(gateway: StartedGateway): string {
  const { url, programs, console } = gateway;
  const suffix = dataDirOption(gateway);
  return joinLines([
    "",
    "Keys were created before and are not shown again. In another terminal, in this folder:",
    "",
    "List the keys:",
    `  ${programs.proxy} keys list${suffix}`,
    "",
    "Create a key:",
    `  ${programs.proxy} keys create --name NAME --scope list --scope read --scope send${suffix}`,
    "",
    ...(console === "served"
      ? [
          "Sign in to the console in a browser:",
          `  ${programs.proxy} console link --gateway ${quoteForShell(url)}${suffix}`,
          "",
        ]
      : []),
    ...consoleHint(gateway),
  ]);
}

function inviteCommand(gateway: StartedGateway): string {
  return `${gateway.programs.proxy} devices invite --name NAME --gateway ${quoteForShell(gateway.url)}${dataDirOption(gateway)}`;
}

function dataDirOption({ dataDir }: StartedGateway): string {
  return dataDir === ".data" ? "" : ` --data-dir ${quoteForShell(dataDir)}`;
}

/** The sources run without a build, but the console does not. A copied bundle may lack the folder beside it. */
function consoleHint({ console, programs }: StartedGateway): readonly string[] {
  if (console !== "not_built") return [];
  return programs.demoDevice === null
    ? ["The web console is off: the folder 'console' is not beside the program.", ""]
    : ["Build the web console, and start again:", "  npx -y pnpm@12.21.0 build", ""];
}
