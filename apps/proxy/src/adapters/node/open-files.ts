/** How many files and sockets this process may have open. Each connection of a caller, of a device and to the upstream is one. */
import { readFileSync } from "node:fs";
import process from "node:process";

/** Assumed where the limit cannot be read: the usual limit of a login shell. */
const assumedLimit = 1_024;

/** Returns the process's limit of open files. Deno does not show it. */
export function openFileLimit(): number {
  return limitOfLinux() ?? limitOfReport() ?? assumedLimit;
}

function limitOfLinux(): number | null {
  try {
    return parseLimit(/^Max open files +(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
  } catch {
    return null;
  }
}

/** The report takes 10 ms, so it is read only where there is no faster way. */
function limitOfReport(): number | null {
  const report: unknown = process.report?.getReport?.();
  if (typeof report !== "object" || report === null || !("userLimits" in report)) return null;
  // Deno's report has the member without a value.
  const limits = report.userLimits as { readonly open_files?: { readonly soft?: number | string } } | undefined;
  return parseLimit(limits?.open_files?.soft);
}

function parseLimit(value: string | number | undefined): number | null {
  if (value === "unlimited") return Number.MAX_SAFE_INTEGER;
  const limit = Number(value);
  return Number.isSafeInteger(limit) && limit > 0 ? limit : null;
}
