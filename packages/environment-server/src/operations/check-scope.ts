import { type Endpoint, type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";

/** The refusal when a principal lacks the scope of an endpoint: 403 `insufficient_scope`, naming the scope; else `null`. */
export function checkScope(endpoint: Pick<Endpoint, "scope">, principal: Principal): PlainResponse | null {
  if (principal.scopes.has(endpoint.scope)) return null;
  return problemResponse("insufficient_scope", {
    detail: `The gateway key lacks the scope '${endpoint.scope}', which this operation needs.`,
  });
}
