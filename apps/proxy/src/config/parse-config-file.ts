import { describeIssues } from "@letta-environments/schema";
import { safeParse } from "valibot";
import type { ConfigFile } from "./config-file.ts";
import { ConfigFileSchema } from "./config-file-schema.ts";
import type { SettingProblem } from "../lib/setting-problem.ts";

/** Checks a parsed configuration file, `undefined` for none, member by member. */
export function parseConfigFile(
  file: unknown,
):
  | { readonly ok: true; readonly config: ConfigFile }
  | { readonly ok: false; readonly problems: readonly SettingProblem[] } {
  const parsed = safeParse(ConfigFileSchema, file === undefined ? {} : file);
  if (parsed.success) return { ok: true, config: parsed.output };
  const issues = describeIssues(parsed.issues, "the configuration file");
  return { ok: false, problems: issues.map(({ member, rule }) => ({ setting: member, rule })) };
}
