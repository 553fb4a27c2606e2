/** A slice: load on one server for a second or so, and whether other processes disturbed it. */
import type { LoadFigures } from "./run-load.ts";

/** How a core was used during a slice, in microseconds. */
export interface CoreUse {
  readonly wallUs: number;
  /** Not idle, whatever process it worked for. */
  readonly busyUs: number;
  /** Taken away by the hypervisor. */
  readonly stolenUs: number;
  /** The CPU time used by the processes of the measurement. */
  readonly ownUs: number;
}

/** The figures of a slice. */
export interface Slice extends LoadFigures {
  /** CPU time of the server with its threads and children. */
  readonly cpuUs: number;
  readonly gatewayCore: CoreUse;
  readonly loadCore: CoreUse;
}

/** Largest share of a core that others may use. Below it the kernel's ticks of 10 ms and its own threads cannot be told apart from them. */
export const defaultToleratedShare = 0.05;

/**
 * Whether others used the cores during a slice: a core was busier than the processes of the measurement explain, or was taken away. Such a
 * slice says little about the server and is dropped.
 */
export function isDisturbed({ gatewayCore, loadCore }: Slice, toleratedShare = defaultToleratedShare): boolean {
  return Math.max(foreignShare(gatewayCore), foreignShare(loadCore)) > toleratedShare;
}

/** The share of a core that others used. */
export function foreignShare({ wallUs, busyUs, stolenUs, ownUs }: CoreUse): number {
  return Math.max(0, busyUs - ownUs + stolenUs) / wallUs;
}

/** Requests a second. */
export function perSecond({ requests, seconds }: Slice): number {
  return requests / seconds;
}

/** CPU time of the server for a request, in microseconds. */
export function cpuUsEach({ cpuUs, requests }: Slice): number {
  return cpuUs / requests;
}
