import { type Environment, isOnline } from "@letta-environments/client";
import type { Style } from "./style.ts";

/** `online` or `offline`, and how it looks. */
export function describePresence(environment: Environment, nowMs: number): { text: string; style: Style } {
  return isOnline(environment, nowMs) ? { text: "online", style: "green" } : { text: "offline", style: "dim" };
}

/** Modes in which a device runs what it is told without asking. */
const freeModes: ReadonlySet<string> = new Set(["bypassPermissions", "unrestricted"]);

/** The permission mode of a device; empty when it has not told. */
export function describeMode({ currentMode = "" }: Environment): { text: string; style: Style | null } {
  return { text: currentMode, style: freeModes.has(currentMode) ? "yellow" : null };
}
