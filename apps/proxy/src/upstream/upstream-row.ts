import type { PlainResponse, PresentableEnvironment } from "@letta-environments/schema";
import * as v from "valibot";
import { parseJsonObject } from "./parse-json-object.ts";

/** What decisions need of an environment of a foreign server; everything else in it stays as it is. */
export interface UpstreamRow extends PresentableEnvironment {
  readonly [member: string]: unknown;
  readonly id: string;
  readonly deviceId: string;
  readonly connectionName: string;
  /** Absent and `null` while offline. */
  readonly connectionId?: string | null | undefined;
}

/** A page of a foreign server's list. */
export interface UpstreamList {
  readonly [member: string]: unknown;
  readonly connections: readonly UpstreamRow[];
  readonly hasNextPage: boolean;
}

const UpstreamRowSchema = v.looseObject({
  id: v.string(),
  deviceId: v.string(),
  connectionName: v.string(),
  connectionId: v.exactOptional(v.nullable(v.string())),
});

const UpstreamListSchema = v.looseObject({
  connections: v.array(UpstreamRowSchema),
  hasNextPage: v.boolean(),
});

/** Reads one environment; `null` when it is none. */
export function readUpstreamRow(body: PlainResponse["body"]): UpstreamRow | null {
  const row: unknown = parseJsonObject(body);
  return v.is(UpstreamRowSchema, row) ? row : null;
}

/** Reads a page of the list; `null` when it is none. */
export function readUpstreamList(body: PlainResponse["body"]): UpstreamList | null {
  const list: unknown = parseJsonObject(body);
  return v.is(UpstreamListSchema, list) ? list : null;
}
