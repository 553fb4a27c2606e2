/** The completion scripts, loaded into real shells. bash is required; zsh and fish are tested if they are installed. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { completionScript } from "../src/completion.ts";
import { sampleProgram } from "./sample-program.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "completion-"));
  for (const shell of ["bash", "zsh", "fish"])
    writeFileSync(join(folder, shell), completionScript(sampleProgram, shell));
  writeFileSync(join(folder, "one file.json"), "");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Completes a line in a shell that sources its script, and returns the candidates. */
type Complete = (line: string) => readonly string[];

const bash: Complete = (line) => {
  // Bash treats each equals sign as a separate word.
  const words = line
    .split(" ")
    .flatMap((word) => (word === "" ? [""] : word.split(/(=)/).filter((part) => part !== "")));
  const script = `cd "$1"; source ./bash; shift
    COMP_WORDS=("$@"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); compopt() { :; }
    _sample_tool; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return lines(execFileSync("bash", ["--norc", "-c", script, "bash", folder, ...words], { encoding: "utf8" }));
};

const fish: Complete = (line) =>
  lines(
    execFileSync("fish", ["--no-config", "-c", `cd ${folder}; source fish; complete -C "${line}"`], {
      encoding: "utf8",
      env: { ...process.env, HOME: folder },
    }),
  ).map((candidate) => candidate.split("\t")[0]?.replace(/^--[a-z]+=/, "") ?? "");

// Completion functions of zsh only work in its line editor; a stub of the two builtins shows their arguments.
const zsh: Complete = (line) => {
  const script = `cd "$1"; shift
    compdef() { :; }; compset() { :; }; compadd() { shift; print -l -- "$@"; }; _files() { print -l -- *.json; }
    _describe() { print -l -- "\${(@)\${(P)2}%%:*}"; }
    source ./zsh; words=("$@"); CURRENT=$#; _sample_tool`;
  const candidates = lines(
    execFileSync("zsh", ["-f", "-c", script, "zsh", folder, ...line.split(" ")], { encoding: "utf8" }),
  );
  const typed =
    line
      .split(" ")
      .at(-1)
      ?.replace(/^--[a-z]+=/, "") ?? "";
  return candidates.filter((candidate) => candidate.startsWith(typed));
};

const shells: readonly (readonly [string, Complete])[] = [
  ["bash", bash],
  ["zsh", zsh],
  ["fish", fish],
];
const installed = shells.filter(([name]) => name === "bash" || spawnSync(name, ["--version"]).status === 0);

describe.each(installed)("in %s", (_name, complete) => {
  const completed = (line: string): string[] => [...complete(line)].sort();

  test("commands and groups are offered first, then the commands of a group", () => {
    expect(completed("sample-tool ").filter((word) => !word.startsWith("-"))).toEqual([
      "backup",
      "completion",
      "keys",
      "mode",
      "send",
    ]);
    expect(completed("sample-tool k")).toEqual(["keys"]);
    expect(completed("sample-tool keys ").filter((word) => !word.startsWith("-"))).toEqual(["create", "list"]);
  });

  test("the program itself also has its version", () => {
    expect(completed("sample-tool --v")).toEqual(["--verbose", "--version"]);
    expect(completed("sample-tool keys list --v")).toEqual(["--verbose"]);
  });

  test("the offered options are those of the command, including common ones", () => {
    expect(completed("sample-tool keys create --")).toEqual([
      "--config",
      "--help",
      "--name",
      "--scope",
      "--shared",
      "--verbose",
    ]);
    expect(completed("sample-tool send laptop --w")).toEqual(["--wait-online"]);
  });

  test("values are the choices of the option, paths, or nothing", () => {
    expect(completed("sample-tool keys create --scope ")).toEqual(["list", "read", "send"]);
    expect(completed("sample-tool keys create --scope list --scope se")).toEqual(["send"]);
    expect(completed("sample-tool keys create --name ")).toEqual([]);
    expect(completed("sample-tool keys list --config one").join("\n").replaceAll("\\", "")).toBe("one file.json");
  });

  test("a value after an equals sign is completed like one after a space", () => {
    expect(completed("sample-tool keys create --scope=")).toEqual(["list", "read", "send"]);
    expect(completed("sample-tool keys create --scope=list --scope=se")).toEqual(["send"]);
    expect(completed("sample-tool keys list --config=one").join("\n").replaceAll("\\", "")).toBe("one file.json");
  });

  test("operands are the choices of their place, or paths for FILE", () => {
    const operands = (line: string): string[] => completed(line).filter((word) => !word.startsWith("-"));
    expect(operands("sample-tool completion ")).toEqual(["bash", "fish", "zsh"]);
    expect(operands("sample-tool mode ")).toEqual([]);
    expect(operands("sample-tool mode laptop ")).toEqual(["free", "plan"]);
    expect(operands("sample-tool mode --agent a --config=b laptop ")).toEqual(["free", "plan"]);
    expect(operands("sample-tool mode laptop p")).toEqual(["plan"]);
    expect(operands("sample-tool mode laptop plan ")).toEqual([]);
    expect(operands("sample-tool backup one").join("\n").replaceAll("\\", "")).toBe("one file.json");
    expect(completed("sample-tool backup --h")).toEqual(["--help"]);
  });
});

test("the scripts for zsh and fish name every command and every option of it", () => {
  for (const shell of ["zsh", "fish"]) {
    const script = completionScript(sampleProgram, shell);
    for (const text of ["create", "list", "send", "scope", "wait-online", "config", "Create a key."]) {
      expect(script).toContain(text);
    }
  }
});

test("the script of a program that is not on the PATH explains how to load it with the same invocation, and how to define the command", () => {
  for (const [shell, load, definition] of [
    ["bash", "source <(npx sample-tool completion bash)", `sample-tool() { npx sample-tool "$@"; }`],
    ["zsh", "source <(npx sample-tool completion zsh)", `sample-tool() { npx sample-tool "$@"; }`],
    ["fish", "npx sample-tool completion fish | source", "function sample-tool; npx sample-tool $argv; end"],
  ] as const) {
    const script = completionScript(sampleProgram, shell, "npx sample-tool");
    expect(script).toContain(`Load it with: ${load}\n`);
    expect(script).toContain(`define it: ${definition}\n`);
    expect(completionScript(sampleProgram, shell)).not.toContain("define it");
  }
});

test("any other shell is refused, and the three supported ones are named", () => {
  for (const shell of ["powershell", "constructor", "toString", "__proto__"])
    expect(() => completionScript(sampleProgram, shell)).toThrow("SHELL must be bash, zsh or fish");
});

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
