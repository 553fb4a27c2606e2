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
import { actionNames, eventNames, outcomeNames } from "../audit/filter.ts";
import { linkScopes } from "./console-link.ts";
import { clearableOptions } from "./key-options.ts";

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

const storage: readonly OptionDefinition[] = [
  { name: "data-dir", value: "DIR", text: "where keys and device rows are stored (default .data)" },
  { name: "config", value: "FILE", text: "the configuration file (default proxy.config.json, if it exists)" },
];

/** Options of the commands for keys, which can also work on another machine's gateway. */
const keyStorage: readonly OptionDefinition[] = [
  { name: "url", value: "URL", text: "the keys of this gateway, with ADMIN_TOKEN from the environment" },
  ...storage,
];

/** Options of the commands for devices, of this machine's gateway or of another one. */
const deviceStorage: readonly OptionDefinition[] = [
  { name: "url", value: "URL", text: "the devices of this gateway, with ADMIN_TOKEN from the environment" },
  ...storage,
];
const deviceTenant: OptionDefinition = {
  name: "tenant",
  value: "TENANT",
  text: "the tenant of the device (default 'default')",
};

const json: OptionDefinition = { name: "json", value: null, text: "print JSON" };

const grants: readonly OptionDefinition[] = [
  { name: "name", value: "NAME", text: "the person or program that uses the key" },
  { name: "description", value: "TEXT", text: "what the key is for" },
  { name: "owner", value: "OWNER", text: "the owner that device rows show (default: the name)" },
  { name: "scope", value: "SCOPE", text: `one of ${scopes.join(", ")}`, isRepeatable: true, choices: scopes },
  { name: "device", value: "ID", text: "restrict the key to devices with these ids", isRepeatable: true },
  {
    name: "device-name",
    value: "PATTERN",
    text: "restrict the key to devices with these names; * matches any characters",
    isRepeatable: true,
  },
  { name: "tag", value: "TAG", text: "restrict the key to devices that have one of these tags", isRepeatable: true },
  { name: "agent", value: "ID", text: "restrict sends to these agents", isRepeatable: true },
  {
    name: "max-mode",
    value: "MODE",
    text: `restrict sends to conversations in this mode or a stricter one: ${ceilingModes.join(", ")}`,
    choices: ceilingModes,
  },
  {
    name: "set-mode",
    value: "MODE",
    text: "switch the conversation to this mode before each message of the key; nothing is sent unless the device reports it",
    choices: ceilingModes,
  },
  {
    name: "deny-tool",
    value: "PATTERN",
    text: "deny requests for permission to use this tool, in turns of the key's messages and on its devices; * matches any characters",
    isRepeatable: true,
  },
  { name: "approval-deadline", value: "DURATION", text: "deny such a request when nobody has decided after this time" },
  {
    name: "rate-limit",
    value: "POLICY=LIMIT/WINDOW",
    text: "override a rate-limit policy for this key, such as gateway-sends=10/1m, =10/1m/20 (with burst) or =none",
    isRepeatable: true,
  },
  { name: "expires", value: "TIME", text: `${timeForms}; or never` },
];

const shared: OptionDefinition = {
  name: "shared",
  value: null,
  text: "other keys can use the devices that this key enrols",
};

const commands: readonly CommandDefinition<CommandName>[] = [
  {
    name: "start",
    summary: "Start the gateway.",
    operands: [],
    options: [
      { name: "host", value: "HOST", text: "the address to listen on (default 127.0.0.1)" },
      { name: "port", value: "PORT", text: "the port to listen on, 0 for a free one (default 8787)" },
      { name: "public-url", value: "URL", text: "where devices and clients reach the gateway" },
      { name: "log", value: "FORMAT", text: "pretty (default) or json", choices: ["pretty", "json"] },
      {
        name: "console",
        value: null,
        text: "serve the web console at /console (default on loopback with the pretty log)",
      },
      ...storage,
    ],
  },
  {
    name: "keys create",
    summary: "Create a gateway key and print it, once.",
    operands: [],
    options: [
      ...grants,
      { name: "tenant", value: "TENANT", text: "the tenant of the key (default 'default')" },
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
    summary: "Change a key; options that are not given change nothing.",
    operands: ["ID"],
    options: [
      ...grants,
      shared,
      {
        name: "clear",
        value: "OPTION",
        text: `remove what an option had set: ${clearableOptions.join(", ")}`,
        isRepeatable: true,
        choices: clearableOptions,
      },
      ...keyStorage,
    ],
    notes: [
      "--scope, --device, --device-name, --tag, --agent and --deny-tool replace the whole list of the key.",
      "--rate-limit POLICY=default removes the limit of one policy. Tenant and secret cannot be changed.",
      "--shared and --clear shared count for devices that the key enrols from then on.",
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
    options: [
      { name: "overlap", value: "DURATION", text: "how long the old secret stays valid (default 1h)" },
      ...keyStorage,
    ],
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
    summary: "Let the next key of the tenant that enrols a device own it.",
    operands: ["ID"],
    options: [deviceTenant, ...deviceStorage],
    notes: ["Its socket stays open. If its current key is still valid, that key can enrol it again too."],
  },
  {
    name: "devices remove",
    summary: "Remove a device: its socket is closed, and its id and name can be used again.",
    operands: ["ID"],
    options: [deviceTenant, ...deviceStorage],
    notes: ["A connected device whose key is still valid registers again at once. Revoke or disable the key first."],
  },
  {
    name: "devices invite",
    summary: "Print one command that enrols a new device.",
    operands: [],
    options: [
      { name: "name", value: "NAME", text: "the name of the device (default: its host name)" },
      { name: "tag", value: "TAG", text: "a tag for the device", isRepeatable: true },
      { name: "expires", value: "TIME", text: `until when it can be used first: ${timeForms} (default 1h)` },
      {
        name: "gateway",
        value: "URL",
        text: "where the device reaches the gateway (default: the public URL, else the address of the running gateway)",
      },
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
      { name: "scope", value: "SCOPE", text: `one of ${scopes.join(", ")}`, isRepeatable: true, choices: scopes },
      {
        name: "gateway",
        value: "URL",
        text: "where the browser reaches the gateway (default: the public URL, else the address of the running gateway)",
      },
      { ...deviceTenant, text: "the tenant of the session (default 'default')" },
      ...storage,
    ],
    notes: [
      `Without --scope the session has the scopes ${linkScopes.join(", ")}.`,
      "It ends after twelve hours. The link is a key of its own, which 'letta-proxy keys revoke ID' ends.",
    ],
  },
  { name: "config check", summary: "Check the configuration without starting.", operands: [], options: storage },
  {
    name: "audit list",
    summary: "Show the latest records of the audit log.",
    operands: [],
    options: [
      {
        name: "since",
        value: "TIME",
        text: `only records from then on: ${timeForms} (a duration counts back from now)`,
      },
      { name: "until", value: "TIME", text: "only records before then" },
      { name: "key", value: "ID", text: "only records about this key" },
      { name: "device", value: "ID", text: "only records about this device" },
      {
        name: "event",
        value: "EVENT",
        text: `only these events: ${eventNames.join(", ")}`,
        isRepeatable: true,
        choices: eventNames,
      },
      {
        name: "action",
        value: "ACTION",
        text: `only these changes of keys and devices: ${actionNames.join(", ")}`,
        isRepeatable: true,
        choices: actionNames,
      },
      {
        name: "outcome",
        value: "OUTCOME",
        text: `only this outcome: ${outcomeNames.join(", ")}`,
        choices: outcomeNames,
      },
      { name: "limit", value: "NUMBER", text: "the largest number of records (default 50)" },
      { ...json, text: "print the records as they are stored, one per line" },
      ...storage,
    ],
  },
  {
    name: "audit verify",
    summary: "Check that no record of the audit log was edited, added or removed.",
    operands: [],
    options: [
      { name: "against", value: "FILE", text: "an earlier --json report that must hold (- for standard input)" },
      { ...json, text: "print JSON, with the end of each chain" },
      ...storage,
    ],
  },
  {
    name: "audit prune",
    summary: "Drop old records of the audit log, and leave sealed checkpoints.",
    operands: [],
    options: [
      {
        name: "before",
        value: "TIME",
        text: `drop records before then: ${timeForms} (a duration counts back from now)`,
      },
      ...storage,
    ],
    notes: ["'audit verify' verifies what remains from the checkpoints. Back up first: dropped records are gone."],
  },
  {
    name: "explain",
    summary: "Explain how a request with a key or a token is decided, rule by rule, without sending it.",
    operands: ["KEY-ID", "METHOD", "[PATH]"],
    options: [
      {
        name: "token-claims",
        value: "FILE",
        text: "the claims of a token as JSON, in place of KEY-ID; they are not a credential (- for standard input)",
      },
      { name: "body", value: "FILE", text: "the body of the request, as JSON (- for standard input)" },
      json,
      { name: "url", value: "URL", text: "ask this running gateway, with ADMIN_TOKEN from the environment" },
      ...storage,
    ],
    notes: [
      "explain --token-claims FILE METHOD PATH shows the same for a token, without one: the signature is not checked.",
      "Without --url the state of limits and connections is not known: only a running gateway has it.",
    ],
  },
  {
    name: "backup",
    summary: "Write everything in the data directory to one file, while the gateway runs.",
    operands: ["FILE"],
    options: [
      { name: "with-pepper", value: null, text: "include the pepper; the file is then enough to create keys" },
      ...storage,
    ],
    notes: ["FILE must not exist. It is a tar archive with mode 0600."],
  },
  {
    name: "restore",
    summary: "Fill a new data directory from a backup.",
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
        ["2", "the command line breaks a rule"],
      ],
    },
  ],
};
