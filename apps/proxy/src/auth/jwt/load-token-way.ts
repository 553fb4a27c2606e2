import type { JwtSettings } from "../../config/settings.ts";
import type { JwksFetch, ProxyPorts } from "../../ports.ts";
import type { AuthenticateToken } from "./authenticate-token.ts";

/** Creates an {@link AuthenticateToken} that is loaded with the first token: most gateways are never shown one. */
export function createTokenWayLoader(
  ports: Pick<ProxyPorts, "clock" | "digests" | "telemetry"> & { readonly fetchJwks: JwksFetch },
  settings: JwtSettings,
): AuthenticateToken {
  let authenticate: AuthenticateToken | null = null;
  let loading: Promise<AuthenticateToken> | null = null;

  async function load(): Promise<AuthenticateToken> {
    const { createAuthenticateToken } = await import("./authenticate-token.ts");
    authenticate = createAuthenticateToken(ports, settings);
    return authenticate;
  }

  return (token, onlyKnown) => {
    if (authenticate !== null) return authenticate(token, onlyKnown);
    loading ??= load().finally(() => (loading = null));
    return loading.then((loaded) => loaded(token, onlyKnown));
  };
}
