import type { Settings } from "../config/settings.ts";
import type { CredentialOf } from "./settings.ts";

/** The credentials of tenants at the upstream where none of them lies in a file. */
export function credentialsFromSettings({ tenants, upstream }: Pick<Settings, "tenants" | "upstream">): CredentialOf {
  const defaultCredential = upstream.kind === "http" ? upstream.credential : null;
  return (tenant) => {
    const credential = tenants.get(tenant)?.credential ?? null;
    return credential?.kind === "environment" ? credential.value : defaultCredential;
  };
}
