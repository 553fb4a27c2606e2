import type { GatewayPorts } from "../ports.ts";

const credentialsPattern = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/**
 * Reads the token of `Authorization: Bearer <token>` (RFC 6750 section 2.1). Anything else is `malformed`: another scheme,
 * and several fields or values too, because two readers could pick different ones.
 */
export function readBearerToken(
  authorization: string | null,
): { readonly kind: "token"; readonly token: string } | { readonly kind: "absent" | "malformed" } {
  if (authorization === null || authorization === "") return { kind: "absent" };
  const token = credentialsPattern.exec(authorization)?.[1];
  return token === undefined ? { kind: "malformed" } : { kind: "token", token };
}

/**
 * Creates what tells the operator's token. Digests of the same length are compared, in constant time, so that the time tells
 * nothing of the token.
 */
export function createIsOperatorToken(
  { digests, pepper }: Pick<GatewayPorts, "digests" | "pepper">,
  operatorToken: string,
): (token: string) => boolean {
  const expected = digests.hmacSha256(pepper.secret, operatorToken);
  return (token) => digests.constantTimeEqual(digests.hmacSha256(pepper.secret, token), expected);
}
