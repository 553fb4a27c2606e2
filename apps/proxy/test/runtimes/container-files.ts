/** Reads the Dockerfile and compose.yaml without Docker. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { runtimeProgram } from "./runtime-commands.ts";

/** The root of the repository. */
export const repositoryRoot: string = resolve(import.meta.dirname, "../../../..");

/** An instruction of the Dockerfile, in the order of the file. */
export interface Instruction {
  readonly name: string;
  readonly words: string;
  /** Name or number of the stage that it belongs to. */
  readonly stage: string;
}

/** The instructions of the Dockerfile; it has no continued lines. */
export function readDockerfile(): readonly Instruction[] {
  let stage = "";
  return readFileSync(join(repositoryRoot, "Dockerfile"), "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, name = "", words = ""] = /^([A-Z]+) (.+)$/.exec(line) ?? [];
      if (name === "FROM") stage = / AS (\S+)$/.exec(words)?.[1] ?? "final";
      return { name, words, stage };
    });
}

/** A service of compose.yaml, as far as it is looked at. */
export interface ComposeService {
  readonly build?: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
}

/** The contents of compose.yaml, read by Bun's YAML parser. */
export function readComposeFile(): {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, unknown>>;
} {
  const program = 'console.log(JSON.stringify(Bun.YAML.parse(await Bun.file("compose.yaml").text())))';
  return JSON.parse(execFileSync(runtimeProgram("bun"), ["-e", program], { cwd: repositoryRoot, encoding: "utf8" }));
}
