/**
 * `GET /admin/v1/audit`: a search of the audit log. A key sees the records of its tenant, the operator those of every tenant. A record
 * names devices and agents, so a key that is limited to some of them sees none.
 */
import { type Clock, sleep } from "@letta-environments/platform";
import {
  type DeviceAllowlist,
  IdentifierSchema,
  jsonResponse,
  ListLimitSchema,
  problemResponse,
} from "@letta-environments/schema";
import * as v from "valibot";
import { eventNames, outcomeNames } from "../audit/reader.ts";
import { type AuditQuery, type AuditTail, type FoundRecord, searchInTurns } from "../audit/search.ts";
import { exactObject, oneOf } from "../lib/strict-schemas.ts";
import type { AdminAuthority } from "./admission.ts";
import type { OptionalAdminEndpoint, OptionalAdminRoute } from "./endpoints.ts";

const TimeSchema: v.GenericSchema<unknown, number> = v.pipe(
  v.string("must be a time in epoch milliseconds"),
  v.regex(/^[0-9]{1,15}$/, "must be a time in epoch milliseconds"),
  v.transform(Number),
);

const AuditQuerySchema: v.GenericSchema<unknown, AuditQuery> = exactObject(
  {
    limit: v.exactOptional(ListLimitSchema, "50"),
    before: v.exactOptional(TimeSchema),
    key: v.exactOptional(IdentifierSchema),
    device: v.exactOptional(IdentifierSchema),
    event: v.exactOptional(oneOf(eventNames)),
    outcome: v.exactOptional(oneOf(outcomeNames)),
  },
  () => "is not a parameter of the search",
);

/** The endpoint as data. */
export const auditSearchEndpoint: OptionalAdminRoute & { readonly operation: "searchAudit" } = {
  operation: "searchAudit",
  method: "GET",
  path: "/admin/v1/audit",
  query: AuditQuerySchema,
  body: null,
};

/** Creates the endpoint over stored records. */
export function createAuditSearch(tail: AuditTail, clock: Clock): OptionalAdminEndpoint {
  return {
    endpoint: auditSearchEndpoint,
    async respond({ query, tenantDevices }, authority) {
      if (isLimited(authority, tenantDevices)) return limitedKeyRefusal;
      const tenant = authority.kind === "operator" ? null : authority.record.tenant;
      // The endpoint's own schema has decoded the query.
      const search = searchInTurns(tail, query as AuditQuery, tenant);
      let step = search.next();
      for (; step.done !== true; step = search.next()) await sleep(clock, 0);
      const { records, cursor } = step.value;
      const shown = mayReadContent(authority) ? records : records.map(withoutContent);
      return jsonResponse(200, { records: shown, cursor: cursor === null ? null : String(cursor) });
    },
  };
}

function isLimited(authority: AdminAuthority, tenantDevices: DeviceAllowlist | null): boolean {
  if (authority.kind === "operator") return false;
  const { deviceIds, connectionNames, deviceTags, agentIds } = authority.record;
  return [deviceIds, connectionNames, deviceTags, agentIds, tenantDevices].some((limit) => limit !== null);
}

const limitedKeyRefusal = problemResponse("insufficient_scope", {
  detail:
    "A key that is limited to devices or agents, itself or by its tenant, may not search the audit log: its records name other devices and agents too.",
});

/** Whether an authority may read messages, which records contain where the configuration says so. */
function mayReadContent(authority: AdminAuthority): boolean {
  return authority.kind === "operator" || authority.record.scopes.includes("view");
}

function withoutContent(found: FoundRecord): FoundRecord {
  const { content: _content, ...members } = found.members;
  return { ...found, members };
}
