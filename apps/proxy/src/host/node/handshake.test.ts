import { expect, test } from "vitest";
import type { GatewayRequest } from "../../http/gateway-request.ts";
import { refuseHandshake } from "./handshake.ts";

/** The status of the refusal of a handshake with this list of subprotocols; `null` if it is not refused. */
function statusWith(protocols: string): number | null {
  const headers: Readonly<Record<string, string>> = {
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-protocol": protocols,
  };
  const request: Pick<GatewayRequest, "method" | "header"> = {
    method: "GET",
    header: (name) => headers[name] ?? null,
  };
  return refuseHandshake(request)?.status ?? null;
}

test("subprotocols are different tokens in a list", () => {
  for (const list of ["a", "a,b", " a ,\tb "]) expect(statusWith(list)).toBeNull();
  for (const list of ["", ",", "a,,b", "a,a", "a, a", "a b", "a\u00a0", "\u00a0a"]) expect(statusWith(list)).toBe(400);
});

test("a list of subprotocols with many blanks takes linear time, since anybody can send it", () => {
  const blanks = " \t".repeat(2_000_000);
  for (const list of [`a${blanks}b`, `${blanks}`, `a${blanks},b`, `a${blanks}\u00a0`]) statusWith(list);
  expect(statusWith(`a${blanks},${blanks}b`)).toBeNull();
});
