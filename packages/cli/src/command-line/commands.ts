/** An option of a command. */
export interface OptionDefinition {
  readonly name: string;
  /** What stands for the value in the help; `null` when the option takes none. */
  readonly value: string | null;
  /** A value that may be left out: the next word is taken only when it looks like one. */
  readonly optionalValue?: RegExp;
  readonly text: string;
}

/** A command of `letta-env`. */
export interface CommandDefinition {
  readonly name: CommandName;
  readonly summary: string;
  /** What follows the command; brackets mark what may be left out. */
  readonly operands: readonly string[];
  readonly options: readonly OptionDefinition[];
  /** Lines behind the options. */
  readonly notes: readonly string[];
}

/** Names of the commands. */
export type CommandName = "list" | "get" | "send" | "watch" | "approve" | "deny" | "help";

/** Options that every command takes. */
export const commonOptions: readonly OptionDefinition[] = [
  { name: "base-url", value: "URL", text: "the gateway or server (default LETTA_BASE_URL)" },
  { name: "api-key-file", value: "FILE", text: "read the key from a file (default LETTA_API_KEY)" },
  { name: "timeout", value: "DURATION", text: "longest a request may take, with its retries (default 60s)" },
  {
    name: "allow-insecure",
    value: null,
    text: "accept http: beyond this machine; the key crosses the network in clear",
  },
  { name: "verbose", value: null, text: "say more about failures: request id, status, cause" },
  { name: "help", value: null, text: "show this help" },
];

const json: OptionDefinition = { name: "json", value: null, text: "print JSON" };
const source: OptionDefinition = { name: "source", value: "SOURCE", text: "local or remote" };
const user: OptionDefinition = { name: "user", value: "ID", text: "devices of this user" };
const online: OptionDefinition = { name: "online", value: null, text: "only devices that can be messaged now" };
const connection: OptionDefinition = {
  name: "connection",
  value: "ID",
  text: "send to this connectionId, in place of DEVICE",
};
const agent: OptionDefinition = { name: "agent", value: "ID", text: "the agent on the device" };
const conversation: OptionDefinition = {
  name: "conversation",
  value: "ID",
  text: "a conversation of the agent (default its own)",
};
const deviceNote = "DEVICE is a deviceId, or a name that just one device has.";

const decisionOptions: readonly OptionDefinition[] = [
  agent,
  { name: "request", value: "ID", text: "the tool call that waits for the answer (its tool_call_id)" },
  { name: "reason", value: "TEXT", text: "told to the agent" },
  conversation,
  connection,
  json,
];

/** Every command, in the order of the help. */
export const commands: readonly CommandDefinition[] = [
  {
    name: "list",
    summary: "List devices.",
    operands: [],
    options: [
      online,
      { name: "limit", value: "NUMBER", text: "at most so many devices (default 50)" },
      { name: "all", value: null, text: "every device, however many pages there are" },
      source,
      user,
      { ...json, text: "print one JSON document, as the API answers" },
    ],
    notes: [
      "In a pipe each device is a line of columns separated by tabs:",
      "deviceId, name, online or offline, mode, last seen, connectionId.",
    ],
  },
  { name: "get", summary: "Show one device.", operands: ["DEVICE"], options: [json], notes: [deviceNote] },
  {
    name: "send",
    summary: "Send a message to an agent on a device, and wait until the device has taken it.",
    operands: ["[DEVICE]", "[MESSAGE]"],
    options: [
      agent,
      conversation,
      connection,
      {
        name: "wait-online",
        value: "DURATION",
        optionalValue: /^\d+(?:ms|s|m|h|d)$/,
        text: "wait for an offline device (default 5m)",
      },
      { name: "message-id", value: "ID", text: "id of the message; repeat a send with its id, and it runs once" },
      { name: "idempotency-key", value: "KEY", text: "sent as Idempotency-Key" },
      json,
    ],
    notes: [
      deviceNote,
      "Without MESSAGE, or with -, the message is read from standard input.",
      "-- ends the options, for a MESSAGE that starts with a dash.",
    ],
  },
  {
    name: "watch",
    summary: "Print what happens to devices, until it is ended.",
    operands: [],
    options: [
      online,
      source,
      user,
      { name: "interval", value: "DURATION", text: "time between two looks (default 2s)" },
      { ...json, text: "print a JSON document a line" },
    ],
    notes: ["In a pipe an event is a line of columns separated by tabs: time, event, deviceId, name."],
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
  { name: "help", summary: "Show the help of a command.", operands: ["[COMMAND]"], options: [], notes: [] },
];
