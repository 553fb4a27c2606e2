import type { StoreRefusal } from "../decide/refusal-to-store.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import type { FlightOutcome } from "../ports.ts";
import type { StoreVerdict } from "./store-answer.ts";

/** True when requests that waited for a stored answer can use it as it is. */
export function isShareable({
  validatesAlways,
  freshForMs,
  initialAgeMs,
  staleWhileRevalidateMs,
}: StoredResponse): boolean {
  return !validatesAlways && freshForMs + staleWhileRevalidateMs > initialAgeMs;
}

/** True when an answer that is not stored shows that the one stored before is over; not so when only this request is the reason. */
export function spoilsStored(refusal: StoreRefusal): boolean {
  return refusal !== "authorization" && refusal !== "request-no-store" && refusal !== "outdated";
}

/** True for a status that tells what the resource is now, rather than what this client may see or that something failed. */
export function describesResource(status: number): boolean {
  return (status >= 200 && status < 400 && status !== 304) || status === 404 || status === 410;
}

/** What requests that waited for an answer are told. A refusal of one client, or an error, says nothing of what the next one gets. */
export function outcomeOf({ stored, refusal }: StoreVerdict, status: number): FlightOutcome {
  if (refusal === null && stored !== null && isShareable(stored)) return "stored";
  // What changed meanwhile says nothing about whom an answer is for: somebody else asks again.
  if (refusal === "outdated") return "failed";
  return describesResource(status) ? "unshared" : "failed";
}
