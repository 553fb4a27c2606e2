import type { StoreRefusal } from "../decide/refusal-to-store.ts";
import type { UnreadBody } from "./upstream.ts";

/** What became of a request, for logs and metrics; the same stands in `Cache-Status`. */
export interface CacheReport {
  /** `stale` stands for an answer that was used because the upstream failed. */
  readonly outcome: "hit" | "revalidated" | "stale" | "fetched" | "bypassed" | "unsatisfied";
  /** Why, in one token. */
  readonly reason: string;
  /** Why the upstream's answer was not stored; `null` when it was, or when there was none. */
  readonly refusal: StoreRefusal | null;
  /** See `CacheStatus.isCollapsed`. */
  readonly isCollapsed: boolean | null;
}

/** What is sent to the client. */
export interface CacheAnswer<Unread extends UnreadBody = never> {
  readonly status: number;
  readonly headers: Record<string, string>;
  /** `null` where there is none. Bytes may be memory of the store and must not be written to. */
  readonly body: Uint8Array | Unread | null;
  readonly report: CacheReport;
}
