/** What a gateway key may do. `connect` lets a device enrol, `approve` answers approval requests, `details` shows hidden members. */
export type Scope = "list" | "read" | "send" | "approve" | "connect" | "details" | "admin";

/** Every {@link Scope}, in the order in which they are shown. */
export const scopes: readonly Scope[] = ["list", "read", "send", "approve", "connect", "details", "admin"];
