/** The commands and options of `letta-proxy`; parser, help and completion follow from them. */
import {
  type CommandDefinition,
  completionCommand,
  type OptionDefinition,
  type ParsedCommand,
  type ProgramDefinition,
  timeForms,
} from "@letta-environments/command-line";
import { ceilingModes, scopes } from "@letta-environments/schema";
import { actionNames, eventNames, outcomeNames } from "../audit/reader.ts";
import { clearableOptions, linkScopes } from "./key-options.ts";

/** Names of the commands. */
export type CommandName =
  | "start"
  | "keys create"
  | "keys list"
  | "keys show"
  | "keys update"
  | "keys disable"
  | "keys enable"
  | "keys revoke"
  | "keys rotate"
  | "devices list"
  | "devices show"
  | "devices release"
  | "devices remove"
  | "devices invite"
  | "console link"
  | "config check"
  | "audit list"
  | "audit verify"
  | "audit prune"
  | "explain"
  | "backup"
  | "restore"
  | "completion";

/** A command line of this program. */
export type ParsedLine = ParsedCommand<CommandName>;

/** An option without a value. */
const flag = (name: string, text: string): OptionDefinition => ({ name, value: null, text });

/** An option with a value. Shell completion offers the choices. */
const option = (name: string, value: string, text: string, choices?: readonly string[]): OptionDefinition => ({
  name,
  value,
  text,
  ...(choices && { choices }),
});

/** An option with a value that can be given more than once. */
const list = (...definition: Parameters<typeof option>): OptionDefinition => ({
  ...option(...definition),
  isRepeatable: true,
});

const storage: readonly OptionDefinition[] = [
  option("data-dir", "DIR", "where keys and device rows are stored (default .data)"),
  option("config", "FILE", "the configuration file (default proxy.config.json, if it exists)"),
];

/** Options of the commands for keys and for devices, of this machine's gateway or of another one. */
const storageOf = (objects: string): readonly OptionDefinition[] => [
  option("url", "URL", `the ${objects} of this gateway, with ADMIN_TOKEN from the environment`),
  ...storage,
];
const keyStorage = storageOf("keys");
const deviceStorage = storageOf("devices");
const deviceTenant: OptionDefinition = option("tenant", "TENANT", "the tenant of the device (default 'default')");

const gatewayFor = (visitor: string): OptionDefinition =>
  option(
    "gateway",
    "URL",
    `where the ${visitor} reaches the gateway (default: the public URL, else the address of the running gateway, else the configured host and port)`,
  );

const json: OptionDefinition = flag("json", "print JSON");

const scope = list("scope", "SCOPE", `one of ${scopes.join(", ")}`, scopes);

const grants: readonly OptionDefinition[] = [
  option("name", "NAME", "the person or program that uses the key"),
  option("description", "TEXT", "what the key is for"),
  option("owner", "OWNER", "the owner that device rows show (default: the name)"),
  scope,
  list("device", "ID", "restrict the key to devices with these ids"),
  list("device-name", "PATTERN", "restrict the key to devices with these names; * matches any characters"),
  list("tag", "TAG", "restrict the key to devices that have one of these tags"),
  list("agent", "ID", "restrict sends to these agents"),
  option(
    "max-mode",
    "MODE",
    `restrict sends to conversations in this mode or a stricter one: ${ceilingModes.join(", ")}`,
    ceilingModes,
  ),
  option(
    "set-mode",
    "MODE",
    "switch the conversation to this mode before each message of the key; nothing is sent unless the device reports it",
    ceilingModes,
  ),
  list(
    "deny-tool",
    "PATTERN",
    "deny requests for permission to use this tool, in turns of the key's messages and on its devices; * matches any characters",
  ),
  option("approval-deadline", "DURATION", "deny such a request when nobody has decided after this time"),
  list(
    "rate-limit",
    "POLICY=LIMIT/WINDOW",
    "override a rate-limit policy for this key, such as gateway-sends=10/1m, =10/1m/20 (with burst) or =none",
  ),
  option("expires", "TIME", `${timeForms}; or never`),
];

const shared: OptionDefinition = flag("shared", "other keys can use the devices that this key enrols");

const commands: readonly CommandDefinition<CommandName>[] = [
  {
    name: "start",
    summary: "Start the gateway.",
    operands: [],
    options: [
      option("host", "HOST", "the address to listen on (default 127.0.0.1)"),
      option("port", "PORT", "the port to listen on, 0 for a free one (default 8787)"),
      option("public-url", "URL", "where devices and clients reach the gateway"),
      option("log", "FORMAT", "pretty (default) or json", ["pretty", "json"]),
      flag("console", "serve the web console at /console (default on loopback with the pretty log)"),
      ...storage,
    ],
  },
  {
    name: "keys create",
    summary: "Create a gateway key and print it, once.",
    operands: [],
    options: [
      ...grants,
      option("tenant", "TENANT", "the tenant of the key (default 'default')"),
      shared,
      ...keyStorage,
    ],
    notes: [
      "Without --scope the key has the scopes list and read. Without a restriction it can use every device of its tenant.",
    ],
  },
  {
    name: "keys list",
    summary: "List the keys with their restrictions.",
    operands: [],
    options: [json, ...keyStorage],
  },
  { name: "keys show", summary: "Show everything about one key.", operands: ["ID"], options: [json, ...keyStorage] },
  {
    name: "keys update",
    summary: "Change a key. Omitted options change nothing.",
    operands: ["ID"],
    options: [
      ...grants,
      shared,
      list("clear", "OPTION", `clear what an option has set: ${clearableOptions.join(", ")}`, clearableOptions),
      ...keyStorage,
    ],
    notes: [
      "--scope, --device, --device-name, --tag, --agent and --deny-tool replace the whole list of the key.",
      "--rate-limit POLICY=default removes the limit of one policy. Tenant and secret cannot be changed.",
      "--shared and --clear shared apply to devices that the key enrols afterwards.",
    ],
    missingOptions: { tenant: "a key stays in its tenant; create another key" },
  },
  {
    name: "keys disable",
    summary: "Disable a key until it is enabled again.",
    operands: ["ID"],
    options: keyStorage,
    notes: [
      "Devices of the key are disconnected, and their Letta Code processes exit. Enabling the key does not start them again.",
    ],
  },
  { name: "keys enable", summary: "Enable a disabled key.", operands: ["ID"], options: keyStorage },
  { name: "keys revoke", summary: "Revoke a key permanently.", operands: ["ID"], options: keyStorage },
  {
    name: "keys rotate",
    summary: "Give a key a new secret and print it, once.",
    operands: ["ID"],
    options: [option("overlap", "DURATION", "how long the old secret stays valid (default 1h)"), ...keyStorage],
  },
  {
    name: "devices list",
    summary: "List the devices of the embedded environment server with the keys that own them.",
    operands: [],
    options: [{ ...deviceTenant, text: "only the devices of this tenant" }, json, ...deviceStorage],
  },
  {
    name: "devices show",
    summary: "Show everything about one device.",
    operands: ["ID"],
    options: [{ ...deviceTenant, text: "only the device of this tenant" }, json, ...deviceStorage],
  },
  {
    name: "devices release",
    summary: "Release a device: the next key of its tenant that enrols it owns it.",
    operands: ["ID"],
    options: [deviceTenant, ...deviceStorage],
    notes: ["Its socket stays open. If its current key is still valid, that key can enrol it again too."],
  },
  {
    name: "devices remove",
    summary: "Remove a device: its socket is closed, and its id and name can be used again.",
    operands: ["ID"],
    options: [deviceTenant, ...deviceStorage],
    notes: [
      "A connected device whose key is still valid registers again immediately. Revoke or disable the key first.",
    ],
  },
  {
    name: "devices invite",
    summary: "Print one command that enrols a new device.",
    operands: [],
    options: [
      option("name", "NAME", "the name of the device (default: its host name)"),
      list("tag", "TAG", "a tag for the device"),
      option("expires", "TIME", `when the invitation expires if no device has used it: ${timeForms} (default 1h)`),
      gatewayFor("device"),
      deviceTenant,
      ...deviceStorage,
    ],
    notes: [
      "The code in the command is a key. It belongs to the first device that uses it, and then stays valid until it is revoked.",
    ],
  },
  {
    name: "console link",
    summary: "Print a link that signs in to the web console, once, within ten minutes.",
    operands: [],
    options: [
      scope,
      gatewayFor("browser"),
      { ...deviceTenant, text: "the tenant of the session (default 'default')" },
      ...storage,
    ],
    notes: [
      `Without --scope the session has the scopes ${linkScopes.join(", ")}.`,
      "It ends after twelve hours, or when you revoke the key of the link: 'letta-proxy keys revoke ID'.",
    ],
  },
  { name: "config check", summary: "Check the configuration without starting.", operands: [], options: storage },
  {
    name: "audit list",
    summary: "Show the latest records of the audit log.",
    operands: [],
    options: [
      option("since", "TIME", `only records since this time: ${timeForms} (a duration counts back from now)`),
      option("until", "TIME", "only records before this time"),
      option("key", "ID", "only records about this key"),
      option("device", "ID", "only records about this device"),
      list("event", "EVENT", `only these events: ${eventNames.join(", ")}`, eventNames),
      list("action", "ACTION", `only these changes of keys and devices: ${actionNames.join(", ")}`, actionNames),
      option("outcome", "OUTCOME", `only this outcome: ${outcomeNames.join(", ")}`, outcomeNames),
      option("limit", "NUMBER", "the maximum number of records (default 50)"),
      { ...json, text: "print the records as they are stored, one per line" },
      ...storage,
    ],
  },
  {
    name: "audit verify",
    summary: "Check that no record of the audit log was edited, added or removed.",
    operands: [],
    options: [
      option("against", "FILE", "an earlier --json report to compare the log with (- for standard input)"),
      { ...json, text: "print JSON, with the end of each chain" },
      ...storage,
    ],
  },
  {
    name: "audit prune",
    summary: "Drop old records of the audit log, and leave sealed checkpoints.",
    operands: [],
    options: [
      option("before", "TIME", `drop records before this time: ${timeForms} (a duration counts back from now)`),
      ...storage,
    ],
    notes: ["'audit verify' verifies what remains from the checkpoints. Back up first: dropped records are gone."],
  },
  {
    name: "explain",
    summary: "Explain how a request with a key or a token is decided, rule by rule, without sending it.",
    operands: ["KEY-ID", "METHOD", "[PATH]"],
    options: [
      option(
        "token-claims",
        "FILE",
        "the claims of a token as JSON, instead of KEY-ID; they are not a credential (- for standard input)",
      ),
      option("body", "FILE", "the body of the request, as JSON (- for standard input)"),
      json,
      option("url", "URL", "ask this running gateway, with ADMIN_TOKEN from the environment"),
      ...storage,
    ],
    notes: [
      "explain --token-claims FILE METHOD PATH explains a token from its claims alone: no signature is checked.",
      "Without --url the state of limits and connections is not known: only a running gateway has it.",
    ],
  },
  {
    name: "backup",
    summary: "Back up the data directory to one file; the gateway can keep running.",
    operands: ["FILE"],
    options: [flag("with-pepper", "include the pepper; anyone with the file can then create keys"), ...storage],
    notes: ["FILE must not exist. It is a tar archive with mode 0600."],
  },
  {
    name: "restore",
    summary: "Restore a backup to a new data directory.",
    operands: ["FILE"],
    options: storage,
    notes: ["The data directory must not exist, or be empty. Nothing is changed unless the whole backup is intact."],
  },
  completionCommand,
];

/** `letta-proxy`. */
export const program: ProgramDefinition<CommandName> = {
  name: "letta-proxy",
  summary: "A gateway in front of the Letta Code Environments API.",
  groups: {
    keys: "Create, list, change and revoke gateway keys.",
    devices: "Invite, list, release and remove devices.",
    console: "Sign in to the web console.",
    config: "Check the configuration.",
    audit: "Read, verify and prune the audit log.",
  },
  commands,
  commonOptions: [],
  sections: [
    {
      title: "Exit codes",
      rows: [
        ["0", "done"],
        ["1", "failed"],
        ["2", "the command line is not valid"],
      ],
    },
  ],
};
