import * as v from "valibot";
import { parseJson } from "../lib/json.ts";
import type { EarlierEnds } from "./verify-audit.ts";

const ReportSchema = v.object({
  chains: v.array(v.object({ writer: v.string(), sequence: v.number(), hash: v.string() })),
});

/** Reads the ends of chains from the JSON of an earlier report; `null` when it is none. */
export function readEarlierEnds(json: string): EarlierEnds | null {
  const report = v.safeParse(ReportSchema, parseJson(json));
  if (!report.success) return null;
  return new Map(report.output.chains.map(({ writer, sequence, hash }) => [writer, { sequence, hash }]));
}
