/** The commands and options of `letta-env`; parser, help and completion follow from them. */
import {
  type CommandDefinition,
  completionCommand,
  type HelpSection,
  type OptionDefinition,
  type ProgramDefinition,
} from "@letta-environments/command-line";
import { ceilingModes, messageStates } from "@letta-environments/schema";

/** Names of the commands. */
export type CommandName =
  | "list"
  | "get"
  | "send"
  | "messages"
  | "watch"
  | "approve"
  | "deny"
  | "approvals"
  | "stop"
  | "mode"
  | "mcp"
  | "completion";

const commonOptions: readonly OptionDefinition[] = [
  { name: "base-url", value: "URL", text: "the gateway or server (default LETTA_BASE_URL)" },
  { name: "api-key-file", value: "FILE", text: "read the key from a file (default LETTA_API_KEY)" },
  { name: "timeout", value: "DURATION", text: "the time limit for a request, with its retries (default 60s)" },
  {
    name: "allow-insecure",
    value: null,
    text: "accept http: to other machines; the key is sent unencrypted",
  },
  { name: "verbose", value: null, text: "print more about failures: status, request id, cause" },
];

const json: OptionDefinition = { name: "json", value: null, text: "print JSON" };
const source: OptionDefinition = {
  name: "source",
  value: "SOURCE",
  text: "only local or only remote devices",
  choices: ["local", "remote"],
};
const user: OptionDefinition = { name: "user", value: "ID", text: "only devices of this user (needs scope details)" };
const tag: OptionDefinition = {
  name: "tag",
  value: "TAG",
  text: "only devices that have all given tags",
  isRepeatable: true,
};
const online: OptionDefinition = { name: "online", value: null, text: "only devices that are online" };
const connection: OptionDefinition = {
  name: "connection",
  value: "ID",
  text: "send to this connectionId instead of DEVICE",
};
const agent: OptionDefinition = { name: "agent", value: "ID", text: "the agent on the device" };
const conversation: OptionDefinition = {
  name: "conversation",
  value: "ID",
  text: "a conversation of the agent (default: the agent's own)",
};
const deviceNote = "DEVICE is a deviceId, or a name. If several devices have the name, the one that is online is used.";

const decisionOptions: readonly OptionDefinition[] = [
  agent,
  { name: "request", value: "ID", text: "the tool call that waits for permission (its tool_call_id)" },
  { name: "reason", value: "TEXT", text: "a reason that the agent receives" },
  conversation,
  connection,
  json,
];

const commands: readonly CommandDefinition<CommandName>[] = [
  {
    name: "list",
    summary: "List devices.",
    operands: [],
    options: [
      online,
      { name: "limit", value: "NUMBER", text: "the maximum number of devices (default 50)" },
      { name: "all", value: null, text: "every device" },
      source,
      user,
      tag,
      { ...json, text: "print one JSON document, in the form of the API" },
    ],
    notes: [
      "In a pipe, each device is a line of columns separated by tabs:",
      "deviceId, name, online or offline, mode, last seen, connectionId.",
    ],
  },
  {
    name: "get",
    summary: "Show one device.",
    operands: ["DEVICE"],
    options: [json],
    notes: ["DEVICE is a deviceId, or a name that only one device has."],
  },
  {
    name: "send",
    summary: "Send a message to an agent on a device, and wait until the device has accepted it.",
    operands: ["[DEVICE]", "[MESSAGE]"],
    options: [
      agent,
      conversation,
      connection,
      {
        name: "wait-online",
        value: "DURATION",
        // A word that starts with a digit counts as the duration, so that a mistyped one is refused instead of sent as the message.
        optionalValue: { pattern: /^\d/, fallback: "5m" },
        text: "do not fail when the device is offline: wait this long for it (5m if no DURATION follows)",
      },
      {
        name: "message-id",
        value: "ID",
        text: "the id of the message; a message that is sent twice with the same id runs once",
      },
      { name: "idempotency-key", value: "KEY", text: "the Idempotency-Key header" },
      {
        name: "follow",
        value: null,
        text: "print the turn until it ends: texts of the agent, tool calls, errors",
      },
      { ...json, text: "print JSON; with --follow one document per line" },
    ],
    notes: [
      deviceNote,
      "Without MESSAGE, or with -, the message is read from standard input.",
      "Use -- before a MESSAGE that starts with a dash.",
      "With --follow, texts of the agent go to standard output, everything else to standard error. On a",
      "terminal, it prompts for each permission. Ctrl-C asks once whether to stop the turn; a second",
      "Ctrl-C, or no, only ends following: the turn goes on. Without a terminal Ctrl-C only ends following.",
      "The key needs the scopes send, read and view, and approve and control to decide and to stop.",
    ],
  },
  {
    name: "messages",
    summary: "List the messages of a device with outcome and duration, the latest first.",
    operands: ["DEVICE"],
    options: [
      { name: "limit", value: "NUMBER", text: "the maximum number of messages (default 20)" },
      { name: "all", value: null, text: "every stored message" },
      { ...agent, text: "only of this agent" },
      { ...conversation, text: "only of this conversation" },
      {
        name: "state",
        value: "STATE",
        text: "only messages in one of the given states",
        choices: messageStates,
        isRepeatable: true,
      },
      { name: "text", value: null, text: "include the agent's last text; the key needs the scope view" },
      json,
    ],
    notes: [
      "DEVICE is a deviceId, or a name that only one device has.",
      "In a pipe, each message is a line of columns separated by tabs: message id, state, stop reason,",
      "duration in milliseconds, time of the send, agent, conversation, error, text.",
    ],
  },
  {
    name: "watch",
    summary: "Print what happens to devices until you press Ctrl-C.",
    operands: [],
    options: [
      online,
      source,
      user,
      tag,
      { name: "interval", value: "DURATION", text: "the time between two requests (default 2s)" },
      { ...json, text: "print one JSON document per line" },
    ],
    notes: ["In a pipe, each event is a line of columns separated by tabs: time, event, deviceId, name."],
  },
  {
    name: "approve",
    summary: "Allow a tool call that waits for permission.",
    operands: ["[DEVICE]"],
    options: decisionOptions,
    notes: [deviceNote],
  },
  {
    name: "deny",
    summary: "Refuse a tool call that waits for permission.",
    operands: ["[DEVICE]"],
    options: decisionOptions,
    notes: [deviceNote],
  },
  {
    name: "approvals",
    summary: "List the tool calls that wait for permission, or decide on one.",
    operands: ["[ACTION]", "[ID]"],
    operandChoices: { ACTION: ["list", "allow", "deny"] },
    options: [
      { name: "reason", value: "TEXT", text: "a reason that the agent receives" },
      {
        name: "requested-at",
        value: "TIME",
        text: "with allow or deny: decide only on the request from this time, as the list prints it",
      },
      {
        name: "suggestion",
        value: "ID",
        text: "with allow: also grant this lasting permission, which the request suggests",
        isRepeatable: true,
      },
      { ...agent, text: "only of this agent" },
      { ...conversation, text: "only of this conversation" },
      json,
    ],
    notes: [
      "ACTION is list (the default), allow or deny; ID is the id of a request in the list. A device can use the",
      "same ID for another request later: --requested-at decides only on the request that you have seen.",
      "In a pipe, each request is a line of columns separated by tabs:",
      "id, tool, input, deviceId, agent, conversation, time of the request, message id,",
      "and 'truncated' if the input is longer than shown; the device runs all of it.",
      "The input is its command or path if it has nothing else, otherwise all of it as JSON.",
      "On a terminal, the whole input, the commands that decide and the lasting permissions that a request suggests",
      "follow below the table; --json has all of it, too.",
    ],
  },
  {
    name: "stop",
    summary: "Stop the turn that runs on a device.",
    operands: ["DEVICE"],
    options: [
      agent,
      conversation,
      { name: "run", value: "ID", text: "stop the turn only while it is in this run" },
      json,
    ],
    notes: [deviceNote, "Messages queued after the turn stay in the device's queue until the next message."],
  },
  {
    name: "mode",
    summary: "Change the permission mode of a conversation on a device.",
    operands: ["DEVICE", "MODE"],
    operandChoices: { MODE: ceilingModes },
    options: [agent, conversation, json],
    notes: [deviceNote, `MODE is one of ${ceilingModes.join(", ")}.`],
  },
  {
    name: "mcp",
    summary: "Offer the devices to an MCP client as tools, over standard input and output.",
    operands: [],
    options: [],
    notes: [
      "An MCP client starts it; docs/mcp.md has the configuration. The tools list devices, send messages, report",
      "what became of them, and list and decide requests for permission, all with the rights of the key.",
    ],
  },
  completionCommand,
];

const sections: readonly HelpSection[] = [
  {
    title: "Environment",
    rows: [
      ["LETTA_BASE_URL", "the address of the gateway or server"],
      ["LETTA_API_KEY", "the key; there is no option for it, because other processes can read options"],
      ["NO_COLOR", "if set, no colours"],
    ],
  },
  {
    title: "Exit codes",
    rows: [
      ["0", "done"],
      ["1", "failed"],
      ["2", "the command line or an environment variable is not valid; nothing was sent"],
      ["3", "the device is offline; nothing was sent"],
      ["4", "refused by the server or the device"],
      ["5", "it is unknown whether the device received what was sent, or how its turn ended"],
      ["6", "there is no such device or request"],
      [
        "7",
        "the request did not reach a device: unreachable, overloaded or rate limited; the same command is safe to repeat",
      ],
      ["8", "send --follow: the turn failed"],
      ["9", "send --follow: the turn was stopped, or the message was removed from the queue"],
      ["129, 130, 143", "ended by SIGHUP, Ctrl-C or SIGTERM"],
    ],
  },
];

/** `letta-env`. */
export const program: ProgramDefinition<CommandName> = {
  name: "letta-env",
  summary: "List, watch, message and control the devices of the Letta Code Environments API.",
  groups: {},
  commands,
  commonOptions,
  sections,
  secretOption: {
    pattern: /^--(?:api-?)?(?:key|token)$/,
    text: "the key is never an option, because other processes could read it: set LETTA_API_KEY, or use --api-key-file FILE",
  },
};
