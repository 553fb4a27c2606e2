import { constantTimeEqual, hmacSha256Hex, sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createHttpJwksFetch } from "../../adapters/http-jwks-fetch.ts";
import { type AuthenticateToken, createAuthenticateToken } from "../../auth/jwt/authenticate-token.ts";
import { keepTokenWay } from "../../auth/jwt/keep-token-way.ts";
import type { JwtSettings } from "../../auth/jwt-settings.ts";
import { version } from "../../version.ts";

/** What judges the tokens of all gateways that this process composes, one after the other. */
export function openTokenWay(log: (event: LogEvent) => void): (settings: JwtSettings) => AuthenticateToken {
  const ports = {
    clock: systemClock,
    digests: { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual },
    telemetry: log,
    fetchJwks: createHttpJwksFetch(globalThis.fetch, `letta-environments-proxy/${version}`),
  };
  return keepTokenWay((settings) => createAuthenticateToken(ports, settings));
}
