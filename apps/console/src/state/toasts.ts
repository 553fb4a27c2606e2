/** Short messages about the user's latest actions. */
import { effect, signal } from "@preact/signals";
import { info } from "./session.ts";

/** A message. */
export interface Toast {
  readonly id: number;
  readonly tone: "good" | "bad";
  readonly text: string;
}

/** The messages that are shown. */
export const toasts = signal<readonly Toast[]>([]);

// They concern actions of one session.
effect(() => {
  if (info.value === null) toasts.value = [];
});

let last = 0;
const goodMs = 4_000;
const badMs = 12_000;

/** Shows a message for some seconds. It replaces an equal one. */
export function toast(tone: Toast["tone"], text: string): void {
  if (info.peek() === null) return;
  last += 1;
  const id = last;
  const others = toasts.value.filter((shown) => shown.text !== text || shown.tone !== tone);
  toasts.value = [...others, { id, tone, text }].slice(-4);
  setTimeout(() => dismiss(id), tone === "good" ? goodMs : badMs);
}

/** Removes a message. */
export function dismiss(id: number): void {
  toasts.value = toasts.value.filter((shown) => shown.id !== id);
}
