/** The time for texts such as "5 min ago", which changes every few seconds. */
import { signal } from "@preact/signals";
import { every, now } from "../platform/browser.ts";

/** Epoch milliseconds. */
export const time = signal(now());

every(5_000, () => (time.value = now()));
