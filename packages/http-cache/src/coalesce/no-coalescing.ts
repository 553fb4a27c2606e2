import type { Coalescer } from "../ports.ts";

/** Every request goes by itself: for runtimes on which a request may not wait for another one. */
export const noCoalescing: Coalescer = { enter: () => ({ role: "solo" }) };
