import { signal } from "@preact/signals";
import type { OverviewBody } from "../model/overview.ts";

/** The figures of the last hour; `null` until they are read. */
export const overview = signal<OverviewBody | null>(null);
