import { describeIssues } from "@letta-environments/schema";
import { type GenericSchema, safeParse } from "valibot";
import type { SettingProblem } from "../lib/setting-rules.ts";
import type { ConfigFile } from "./file.ts";

/** Validates a parsed configuration file; `undefined` stands for no file. */
export function parseConfigFile(
  schema: GenericSchema<unknown, ConfigFile>,
  file: unknown,
):
  | { readonly ok: true; readonly config: ConfigFile }
  | { readonly ok: false; readonly problems: readonly SettingProblem[] } {
  const parsed = safeParse(schema, file === undefined ? {} : file);
  if (parsed.success) return { ok: true, config: parsed.output };
  const issues = describeIssues(parsed.issues, "the configuration file");
  return { ok: false, problems: issues.map(({ member, rule }) => ({ setting: member, rule })) };
}
