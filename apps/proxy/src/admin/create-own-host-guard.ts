import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { GatewayRequest } from "../http/gateway-request.ts";

const hostPattern = /^(?:([A-Za-z0-9.-]+)|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;
const ipv4Pattern = /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/;

const misdirected: PlainResponse = problemResponse("invalid_request", {
  status: 421,
  issues: [{ member: "host", rule: "must be an address, localhost, or a name of the administration listener" }],
});

/**
 * Creates what refuses requests whose `Host` cannot be this listener's own: an address, `localhost`, or one of its names. A page that makes its own
 * name point here (DNS rebinding) sends that name.
 */
export function createOwnHostGuard(hostnames: readonly string[]): (request: GatewayRequest) => PlainResponse | null {
  const known: ReadonlySet<string> = new Set(["localhost", ...hostnames.map((name) => name.toLowerCase())]);
  return (request) => {
    const match = hostPattern.exec(request.header("host") ?? "");
    if (match === null) return misdirected;
    const [, name] = match;
    return name === undefined || ipv4Pattern.test(name) || known.has(name.toLowerCase()) ? null : misdirected;
  };
}
