/** The restrictions that can be in shadow mode. */
export const shadowRules = ["devices", "agents", "maxMode"] as const;

export type ShadowRule = (typeof shadowRules)[number];

/** The keys whose restrictions are not enforced. */
export interface ShadowSettings {
  readonly keyIds: ReadonlySet<string>;
  readonly rules: ReadonlySet<ShadowRule>;
}

/** Returns the settings of a list of keys; all rules if none is named. */
export function toShadowSettings(
  keyIds: readonly string[],
  rules: readonly ShadowRule[] = shadowRules,
): ShadowSettings {
  return { keyIds: new Set(keyIds), rules: new Set(rules) };
}
