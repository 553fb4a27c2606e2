import { expect, test } from "vitest";
import { commands } from "./commands.ts";
import { helpText } from "./help-text.ts";

test("the help names every command and every exit code, and fits 120 columns", () => {
  const help = helpText(null);
  for (const { name } of commands) expect(help).toMatch(new RegExp(`^  ${name} `, "m"));
  for (const code of ["0", "1", "2", "3", "4", "5", "6", "7", "129, 130, 143"]) {
    expect(help).toMatch(new RegExp(`^  ${code} `, "m"));
  }
  for (const text of [help, ...commands.map((command) => helpText(command))]) {
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  }
});

test("the help of a command names its options and the common ones", () => {
  const send = commands.find(({ name }) => name === "send") ?? null;
  const help = helpText(send);
  expect(help).toContain("Usage: letta-env send [DEVICE] [MESSAGE] [options]\n");
  for (const option of ["--agent ID", "--wait-online [DURATION]", "--api-key-file FILE", "--allow-insecure"]) {
    expect(help).toContain(`  ${option} `);
  }
});
