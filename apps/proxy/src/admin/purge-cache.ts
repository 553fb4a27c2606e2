/** Purges cached responses of a tenant (`POST /admin/v1/cache/purge`). */
import { exactObject } from "../lib/strict-schemas.ts";
import { IdentifierSchema, type PlainResponse, problemResponse } from "@letta-environments/schema";
import * as v from "valibot";
import type { EnvironmentCache } from "../cache/environment-cache.ts";
import { type AdminAuthority, mayKnowKey, tenantOf } from "./admission.ts";

/** The responses to purge: those of a device and the lists that contain it, all lists, or by default all of the tenant. */
export interface CachePurge {
  readonly tenant?: string;
  readonly deviceId?: string;
  readonly group?: "everything" | "lists";
}

/** Whether a purge names at most one of a device and a group. */
export function hasOneTarget({ deviceId, group }: CachePurge): boolean {
  return deviceId === undefined || group === undefined;
}

/** Validates a {@link CachePurge}, without other members. */
export const CachePurgeSchema: v.GenericSchema<unknown, CachePurge> = v.pipe(
  exactObject(
    {
      tenant: v.exactOptional(IdentifierSchema),
      deviceId: v.exactOptional(IdentifierSchema),
      group: v.exactOptional(v.picklist(["everything", "lists"], "must be everything or lists")),
    },
    () => "is not a member of a purge",
  ),
  v.check<CachePurge, string>(hasOneTarget, "must not have both deviceId and group"),
);

/** Purges the responses of a tenant: its own for an administering key, any for the operator. */
export async function purgeCache(
  cache: EnvironmentCache | null,
  authority: AdminAuthority,
  { tenant = tenantOf(authority), deviceId, group = "everything" }: CachePurge,
): Promise<PlainResponse> {
  if (!mayKnowKey(authority, { tenant })) {
    return problemResponse("grant_not_allowed", {
      issues: [{ member: "tenant", rule: "must be that of the administering key" }],
    });
  }
  await cache?.invalidate(tenant, deviceId === undefined ? { group } : { deviceId });
  return { status: 204, headers: {}, body: null };
}
