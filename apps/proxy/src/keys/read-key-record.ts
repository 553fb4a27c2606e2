/** Records of keys as stores keep them: JSON by id. */
import { ceilingModes, type EnvironmentMode, type Scope } from "@letta-environments/schema";
import * as v from "valibot";
import { parseJson } from "../parse-json.ts";
import { type KeyRecord, unrestricted } from "./key-record.ts";
import { KeyRecordDamagedError } from "./key-record-damaged-error.ts";

const TimeSchema = v.pipe(
  v.number(),
  v.check((time: number) => Number.isFinite(time)),
);
const EndSchema = v.nullable(TimeSchema);
const ListSchema = v.nullable(v.array(v.string()));

/** A member that older versions did not write restricts nothing. Members that newer versions add are kept. */
const KeyRecordSchema = v.looseObject({
  id: v.string(),
  name: v.string(),
  description: v.exactOptional(v.nullable(v.string()), null),
  owner: v.string(),
  tenant: v.string(),
  // A scope that this version does not know allows nothing; a ceiling that it does not know could not be kept.
  scopes: v.array(v.custom<Scope>((scope) => typeof scope === "string")),
  deviceIds: ListSchema,
  connectionNames: v.exactOptional(ListSchema, null),
  agentIds: v.exactOptional(ListSchema, null),
  maxMode: v.exactOptional(v.nullable(v.picklist<readonly EnvironmentMode[]>(ceilingModes)), null),
  shared: v.boolean(),
  rateLimits: v.exactOptional(v.nullable(v.record(v.string(), v.string())), null),
  requires: v.exactOptional(v.array(v.string()), []),
  createdAt: TimeSchema,
  expiresAt: EndSchema,
  revokedAt: EndSchema,
  disabledAt: v.exactOptional(EndSchema, null),
  secrets: v.array(
    v.looseObject({ digest: v.string(), pepperId: v.string(), createdAt: TimeSchema, expiresAt: EndSchema }),
  ),
});

/** Reads what a store has under an id; `null` when it is damaged: no JSON, no record of a key, or that of another one. */
export function readKeyRecord(id: string, json: string): KeyRecord | null {
  const result = v.safeParse(KeyRecordSchema, parseJson(json));
  return result.success && result.output.id === id ? result.output : null;
}

/**
 * Changes what a store has under an id. A damaged record takes one change, its revocation, which puts a readable one in its
 * place: of no tenant, without rights and without secrets, since nothing of what was there can be trusted.
 *
 * @throws KeyRecordDamagedError at any other change of a damaged record.
 */
export function changeKeyRecord(id: string, json: string, change: (record: KeyRecord) => KeyRecord): KeyRecord {
  const record = readKeyRecord(id, json);
  if (record !== null) return change(record);
  const changed = change(damagedRecord(id));
  if (changed.revokedAt === null) throw new KeyRecordDamagedError(id);
  return changed;
}

function damagedRecord(id: string): KeyRecord {
  return {
    ...unrestricted,
    id,
    name: "damaged record",
    owner: "",
    tenant: "",
    scopes: [],
    deviceIds: [],
    agentIds: [],
    createdAt: 0,
    revokedAt: null,
    disabledAt: null,
    secrets: [],
  };
}
