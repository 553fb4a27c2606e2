/** The restrictions that can be in shadow mode. */
export type ShadowRule = "devices" | "agents" | "maxMode";

/** Every {@link ShadowRule}. */
export const shadowRules: readonly ShadowRule[] = ["devices", "agents", "maxMode"];
