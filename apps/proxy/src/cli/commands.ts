import { ceilingModes, scopes } from "@letta-environments/schema";

/** An option of a command. */
export interface OptionDefinition {
  readonly name: string;
  /** What stands for the value in the help; `null` when the option takes none. */
  readonly value: string | null;
  readonly isRepeatable: boolean;
  readonly text: string;
}

/** A command of `letta-proxy`. */
export interface CommandDefinition {
  readonly name: CommandName;
  readonly summary: string;
  /** Names of what must follow the command. */
  readonly operands: readonly string[];
  readonly options: readonly OptionDefinition[];
}

/** Names of the commands. */
export type CommandName =
  | "start"
  | "keys create"
  | "keys list"
  | "keys disable"
  | "keys enable"
  | "keys revoke"
  | "keys rotate"
  | "config check"
  | "audit verify"
  | "audit list";

function option(name: string, value: string | null, text: string): OptionDefinition {
  return { name, value, isRepeatable: false, text };
}

function repeatable(name: string, value: string, text: string): OptionDefinition {
  return { name, value, isRepeatable: true, text };
}

const common: readonly OptionDefinition[] = [
  option("data-dir", "DIR", "where keys and rows are kept (default .data)"),
  option("config", "FILE", "configuration file (default proxy.config.json, where there is one)"),
];

/** Of the commands for keys, which may be those of a gateway elsewhere. */
const ofKeys: readonly OptionDefinition[] = [
  option("url", "URL", "a gateway elsewhere, administered with ADMIN_TOKEN from the environment"),
  ...common,
];

/** Every command, in the order of the help. */
export const commands: readonly CommandDefinition[] = [
  {
    name: "start",
    summary: "Start the proxy.",
    operands: [],
    options: [
      option("host", "HOST", "address to listen on (default 127.0.0.1)"),
      option("port", "PORT", "port to listen on, 0 for any (default 8787)"),
      option("public-url", "URL", "where devices and callers reach the proxy"),
      option("log", "FORMAT", "pretty (default) or json"),
      ...common,
    ],
  },
  {
    name: "keys create",
    summary: "Create a gateway key and print it, once.",
    operands: [],
    options: [
      option("name", "NAME", "who or what holds the key"),
      option("tenant", "TENANT", "tenant of the key (default 'default')"),
      repeatable("scope", "SCOPE", `${scopes.join(", ")} (default list and read)`),
      option("description", "TEXT", "what the key is for"),
      option("owner", "OWNER", "who holds the key, as rows of devices show it (default its name)"),
      repeatable("device", "ID", "a device the key is held to (default every device)"),
      repeatable("device-name", "PATTERN", "the same by name; * stands for any characters"),
      repeatable("agent", "ID", "an agent that sends of the key are held to (default every agent)"),
      option("max-mode", "MODE", `freest mode of a device that the key may send to: ${ceilingModes.join(", ")}`),
      repeatable(
        "rate-limit",
        "POLICY=LIMIT/WINDOW",
        "the key's own measure of a rate limit, such as 10/1m, 10/1m/20 (burst) or none",
      ),
      option("expires", "DURATION", "30d, 12h, 15m or 30s (default never)"),
      option("shared", null, "devices enrolled with the key do not belong to it alone"),
      ...ofKeys,
    ],
  },
  {
    name: "keys list",
    summary: "List the keys.",
    operands: [],
    options: [option("json", null, "as JSON"), ...ofKeys],
  },
  { name: "keys disable", summary: "Take a key out of use.", operands: ["ID"], options: ofKeys },
  { name: "keys enable", summary: "Put a disabled key back into use.", operands: ["ID"], options: ofKeys },
  { name: "keys revoke", summary: "End a key for good.", operands: ["ID"], options: ofKeys },
  {
    name: "keys rotate",
    summary: "Give a key a new secret and print it, once.",
    operands: ["ID"],
    options: [option("overlap", "DURATION", "how long the old one stays good (default 1h)"), ...ofKeys],
  },
  {
    name: "config check",
    summary: "Check the configuration without starting.",
    operands: [],
    options: common,
  },
  {
    name: "audit verify",
    summary: "Check that nothing in the audit log was edited, added or taken away.",
    operands: [],
    options: [
      option("against", "FILE", "an earlier report (--json) that must still hold"),
      option("json", null, "as JSON, with the end of each chain"),
      ...common,
    ],
  },
  {
    name: "audit list",
    summary: "Show the latest records of the audit log.",
    operands: [],
    options: [
      option("limit", "NUMBER", "how many (default 50)"),
      option("json", null, "as JSON, a record a line"),
      ...common,
    ],
  },
];
