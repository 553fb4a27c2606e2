/** Who changes keys, as the audit log names them. */
export type KeyActor =
  /** The holder of a gateway key of scope `admin`. */
  | { readonly kind: "key"; readonly keyId: string; readonly tenant: string }
  /** Whoever runs `letta-proxy` on the machine; the name of the system's user, where it is known. */
  | { readonly kind: "command-line"; readonly user: string | null }
  /** The gateway itself, at its first start. */
  | { readonly kind: "start" }
  /** The operator, by `ADMIN_TOKEN`: behind the separate listener, or on Workers behind the only one. */
  | { readonly kind: "admin-listener" };
