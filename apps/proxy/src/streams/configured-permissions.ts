/** The permissions of a key under the configuration: approval policies are added, and restrictions in shadow mode are lifted. */
import type { ConfigurePermissions } from "../keys/socket-key-watch.ts";
import { type ApprovalPolicies, approvalPolicyOf } from "../tenants/approval-policies.ts";
import { liftRestrictions } from "../auth/shadow.ts";
import type { ShadowSettings } from "../auth/shadow-rules.ts";

/** The settings that change the permissions of keys. */
export interface PermissionSettings {
  readonly approvals: ApprovalPolicies | null;
  readonly shadow: ShadowSettings | null;
}

/** Creates a source of {@link ConfigurePermissions} over the present settings; the function changes with the settings. */
export function createConfigurePermissions(settings: () => PermissionSettings): () => ConfigurePermissions {
  let known: { readonly settings: PermissionSettings; readonly configure: ConfigurePermissions } | null = null;
  return () => {
    const present = settings();
    if (known?.settings !== present) known = { settings: present, configure: configureWith(present) };
    return known.configure;
  };
}

function configureWith({ approvals, shadow }: PermissionSettings): ConfigurePermissions {
  return (own) => {
    const approvalPolicy = approvals === null ? null : approvalPolicyOf(approvals, own);
    const lifted = shadow === null ? own : liftRestrictions(own, shadow);
    return approvalPolicy === null ? lifted : { ...lifted, approvalPolicy };
  };
}
