import type { GatewayPorts } from "../ports.ts";

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
