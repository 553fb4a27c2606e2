/** `GET /admin/v1/audit`: a search of the audit log. A key sees the records of its tenant, the operator those of every tenant. */
import { IdentifierSchema, jsonResponse, ListLimitSchema, type PlainResponse } from "@letta-environments/schema";
import * as v from "valibot";
import { events, outcomes } from "../audit/filter.ts";
import { type AuditQuery, type AuditTail, searchAudit } from "../audit/search.ts";
import { exactObject, oneOf } from "../lib/strict-schemas.ts";
import type { AdminExtension, AdminExtensionEndpoint } from "./endpoints.ts";

/** The query as the schema decodes it. */
interface DecodedQuery {
  readonly limit: number;
  readonly before?: number;
  readonly key?: string;
  readonly device?: string;
  readonly event?: string;
  readonly outcome?: string;
}

const TimeSchema: v.GenericSchema<unknown, number> = v.pipe(
  v.string("must be a time in epoch milliseconds"),
  v.regex(/^[0-9]{1,15}$/, "must be a time in epoch milliseconds"),
  v.transform(Number),
);

const AuditQuerySchema: v.GenericSchema<unknown, DecodedQuery> = exactObject(
  {
    limit: v.exactOptional(ListLimitSchema, "50"),
    before: v.exactOptional(TimeSchema),
    key: v.exactOptional(IdentifierSchema),
    device: v.exactOptional(IdentifierSchema),
    event: v.exactOptional(oneOf(events)),
    outcome: v.exactOptional(oneOf(outcomes)),
  },
  () => "is not a parameter of the search",
);

/** The endpoint as data. */
export const auditSearchEndpoint: AdminExtensionEndpoint & { readonly operation: "searchAudit" } = {
  operation: "searchAudit",
  method: "GET",
  path: "/admin/v1/audit",
  query: AuditQuerySchema,
  body: null,
};

/** Creates the endpoint over stored records. */
export function createAuditSearch(tail: AuditTail): AdminExtension {
  return {
    endpoint: auditSearchEndpoint,
    respond({ queryValues }, authority): Promise<PlainResponse> {
      // The endpoint's own schema has decoded it.
      const { limit, before, key, device, event, outcome } = queryValues as DecodedQuery;
      const query: AuditQuery = { limit, before, key, device, event, outcome };
      const tenant = authority.kind === "operator" ? null : authority.record.tenant;
      const { records, cursor } = searchAudit(tail, query, tenant);
      return Promise.resolve(jsonResponse(200, { records, cursor: cursor === null ? null : String(cursor) }));
    },
  };
}
