import type { JwtSettings } from "../jwt-settings.ts";
import { isSameValue } from "../../reload/is-same-value.ts";
import type { AuthenticateToken } from "./authenticate-token.ts";

/**
 * Keeps what judges tokens for as long as their settings say the same, so that a gateway that takes another's place knows its keys: an issuer that is
 * away for now is not needed by a reload of something else.
 */
export function keepTokenWay(
  open: (settings: JwtSettings) => AuthenticateToken,
): (settings: JwtSettings) => AuthenticateToken {
  let kept: { readonly settings: JwtSettings; readonly way: AuthenticateToken } | null = null;
  return (settings) => {
    if (kept === null || !isSameValue(kept.settings, settings)) kept = { settings, way: open(settings) };
    return kept.way;
  };
}
