/** The tenants of a simulation. Nobody may see anything of another one. */
import type { PlainResponse } from "@letta-environments/schema";
import type { SimulatedKey } from "./callers.ts";
import type { Truth } from "./truth.ts";

/** The tenants. Their devices, agents, conversations and messages have the same ids. No random id contains these letters. */
export const tenants: readonly string[] = ["oslo", "lulu"];

/** No response has data of another tenant. */
export function checkTenant(truth: Truth, key: SimulatedKey, response: PlainResponse): void {
  const foreign = tenants.find((tenant) => tenant !== key.tenant && textOf(response).includes(tenant));
  if (foreign !== undefined) truth.violate(`${key.name} received data of ${foreign}`);
}

function textOf({ body, headers }: PlainResponse): string {
  const text = body === null ? "" : typeof body === "string" ? body : new TextDecoder().decode(body);
  return `${JSON.stringify(headers)}${text}`;
}
