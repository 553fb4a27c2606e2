import { completionCommand, type ProgramDefinition } from "../src/definition.ts";

/** A program with a group, a repeatable option, choices, paths and a value that can be left out. */
export const sampleProgram: ProgramDefinition = {
  name: "sample-tool",
  summary: "Does things.",
  groups: { keys: "Create and list keys." },
  commands: [
    {
      name: "send",
      summary: "Send a message.",
      operands: ["DEVICE", "[MESSAGE]"],
      options: [
        { name: "agent", value: "ID", text: "the agent" },
        {
          name: "wait-online",
          value: "DURATION",
          text: "wait for the device (default 5m)",
          optionalValue: { pattern: /^\d+[smh]$/, fallback: "5m" },
        },
      ],
      notes: ["DEVICE is an id or a name."],
    },
    {
      name: "keys create",
      summary: "Create a key.",
      operands: [],
      options: [
        { name: "name", value: "NAME", text: "the name of the key" },
        { name: "scope", value: "SCOPE", text: "a scope", isRepeatable: true, choices: ["list", "read", "send"] },
        { name: "shared", value: null, text: "other keys can use its devices" },
      ],
      missingOptions: { id: "each key has a new id" },
    },
    {
      name: "mode",
      summary: "Change the mode.",
      operands: ["DEVICE", "MODE"],
      operandChoices: { MODE: ["plan", "free"] },
      options: [{ name: "agent", value: "ID", text: "the agent" }],
    },
    { name: "backup", summary: "Write a backup.", operands: ["FILE"], options: [] },
    { name: "keys list", summary: "List the keys.", operands: [], options: [] },
    completionCommand,
  ],
  commonOptions: [
    { name: "config", value: "FILE", text: "the configuration" },
    { name: "verbose", value: null, text: "say more" },
  ],
  sections: [{ title: "Exit codes", rows: [["0", "done"]] }],
  secretOption: { pattern: /^--(?:key|token)$/, text: "the key is never an option: set SAMPLE_KEY" },
};
