/** How answers to reads are kept. */
export interface CacheSettings {
  readonly store: "memory" | "valkey";
  readonly maxBytes: number;
  readonly maxEntries: number;
  readonly statusFor: CacheStatusAudience;
}

/** Who sees `Cache-Status`: it tells whether somebody else asked a moment ago. */
export type CacheStatusAudience = "everybody" | "details" | "nobody";

/** Every {@link CacheStatusAudience}. */
export const cacheStatusAudiences: readonly CacheStatusAudience[] = ["everybody", "details", "nobody"];
