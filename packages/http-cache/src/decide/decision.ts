import type { StoredResponse } from "./stored-response.ts";

/** Why a request is not looked up: its method, its `no-store`, or a precondition that only the origin can judge. */
export type BypassReason = "method" | "no-store" | "precondition";
/** Why a stored answer is used. */
export type HitReason = "fresh" | "max-stale" | "stale-while-revalidate";
/** Why the origin is asked about a stored answer first. */
export type RevalidateReason =
  | "stale"
  | "no-cache"
  | "clock"
  | "request-no-cache"
  | "request-max-age"
  | "request-min-fresh";

/** What a cache does with a request. Ages and what is left of freshness are in milliseconds. */
export type Decision =
  | {
      readonly kind: "hit";
      readonly reason: HitReason;
      readonly stored: StoredResponse;
      readonly ageMs: number;
      /** Negative when stale. */
      readonly ttlMs: number;
    }
  | {
      readonly kind: "revalidate";
      readonly reason: RevalidateReason;
      readonly stored: StoredResponse;
      readonly ageMs: number;
      readonly ttlMs: number;
    }
  | {
      readonly kind: "miss";
      readonly reason: "uri-miss" | "vary-miss";
      /** What the stored answers of the resource vary by; empty when there is none. */
      readonly vary: readonly string[];
    }
  | { readonly kind: "bypass"; readonly reason: BypassReason }
  /** Nothing may be used, and the client wants nothing else (`only-if-cached`): 504. */
  | { readonly kind: "unsatisfied"; readonly reason: "only-if-cached" };

/** A decision that lets a stored answer be sent. */
export type Hit = Extract<Decision, { readonly kind: "hit" }>;
/** A decision to ask the origin, about a stored answer or for a new one. */
export type Fetch = Extract<Decision, { readonly kind: "revalidate" | "miss" }>;
