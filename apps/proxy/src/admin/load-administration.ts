import type { MatchRoute } from "@letta-environments/schema";
import type { AdminEndpoint } from "./admin-endpoints.ts";
import type { Administer, AdministerPorts } from "./create-admin.ts";

/** The endpoints of the administration, and what is behind them. */
export interface Administration {
  readonly match: MatchRoute<AdminEndpoint>;
  readonly administer: Administer;
}

/** Creates what loads the {@link Administration} with its first request: a gateway serves millions of others for one of these. */
export function createAdministrationLoader(ports: AdministerPorts): () => Promise<Administration> {
  let loading: Promise<Administration> | null = null;
  return () => {
    loading ??= load(ports).catch((cause: unknown) => {
      loading = null;
      throw cause;
    });
    return loading;
  };
}

async function load(ports: AdministerPorts): Promise<Administration> {
  const [{ matchAdminEndpoint }, { createAdminister }] = await Promise.all([
    import("./admin-endpoints.ts"),
    import("./create-admin.ts"),
  ]);
  return { match: matchAdminEndpoint, administer: createAdminister(ports) };
}
