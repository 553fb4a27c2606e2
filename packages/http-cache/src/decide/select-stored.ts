import type { HeaderRecord } from "../fields/header-record.ts";
import type { CachePolicy } from "./cache-policy.ts";
import { preferredLanguage } from "./preferred-language.ts";
import type { StoredResponse } from "./stored-response.ts";
import { variantPart } from "./variant.ts";

/** Of the answers stored for a resource the newest one that fits the request (RFC 9111, 4.1); undefined when none does. */
export function selectStored(
  headers: HeaderRecord,
  candidates: readonly StoredResponse[],
  policy: CachePolicy,
): StoredResponse | undefined {
  let selected: StoredResponse | undefined;
  for (const candidate of candidates) {
    if (!fits(candidate, headers, policy)) continue;
    if (selected === undefined || bornAtMs(candidate) > bornAtMs(selected)) selected = candidate;
  }
  return selected;
}

function bornAtMs({ receivedAtMs, initialAgeMs }: StoredResponse): number {
  return receivedAtMs - initialAgeMs;
}

function fits(candidate: StoredResponse, headers: HeaderRecord, policy: CachePolicy): boolean {
  const { vary, variant } = candidate;
  for (let index = 0; index < vary.length; index++) {
    const name = vary[index] ?? "";
    if (variantPart(name, headers) === variant[index]) continue;
    if (name !== "accept-language" || !policy.matchesContentLanguage) return false;
    if (!isInPreferredLanguage(candidate, headers)) return false;
  }
  return true;
}

/** No origin has a better answer than one in the language that is preferred to all others (RFC 9111, 4.1). */
function isInPreferredLanguage(
  { headers: { "content-language": language } }: StoredResponse,
  headers: HeaderRecord,
): boolean {
  const accepted = headers["accept-language"];
  if (language === undefined || accepted === undefined) return false;
  return preferredLanguage(accepted) === language.toLowerCase();
}
