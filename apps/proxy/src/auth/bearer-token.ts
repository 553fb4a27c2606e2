import type { GatewayPorts } from "../ports.ts";

const credentialsPattern = /^Bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/**
 * Reads the token of `Authorization: Bearer <token>` (RFC 6750 section 2.1). Everything else is `malformed`: another scheme,
 * and also several fields or values, because two readers could pick different ones.
 */
export function readBearerToken(
  authorization: string | null,
): { readonly kind: "token"; readonly token: string } | { readonly kind: "absent" } | { readonly kind: "malformed" } {
  if (authorization === null || authorization === "") return { kind: "absent" };
  const token = credentialsPattern.exec(authorization)?.[1];
  return token === undefined ? { kind: "malformed" } : { kind: "token", token };
}

/**
 * Returns a function that recognises the operator's token. It compares digests of equal length in constant time, so that its
 * duration reveals nothing about the token.
 */
export function createIsOperatorToken(
  { digests, pepper }: Pick<GatewayPorts, "digests" | "pepper">,
  operatorToken: string,
): (token: string) => boolean {
  const expected = digests.hmacSha256(pepper.secret, operatorToken);
  return (token) => digests.constantTimeEqual(digests.hmacSha256(pepper.secret, token), expected);
}
