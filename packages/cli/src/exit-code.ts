/** Exit codes by meaning; README.md lists them. */
export const exitCodes = {
  done: 0,
  failed: 1,
  /** The command line or the environment breaks a rule; nothing was sent. */
  misused: 2,
  /** The device is offline; nothing was sent. */
  offline: 3,
  /** The key, the server or the device does not allow it; nothing was done. */
  refused: 4,
  /** A message may have been taken by the device; ask again with the same message id. */
  unknown: 5,
  notFound: 6,
  /** Nothing was done; the same command may succeed later. */
  later: 7,
  hungUp: 129,
  interrupted: 130,
  terminated: 143,
} as const;

/** What the process ends with. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

const ofSignals: Readonly<Record<string, ExitCode>> = { SIGHUP: exitCodes.hungUp, SIGTERM: exitCodes.terminated };

/** What the process ends with when the user ends it by a signal: 128 and its number, as shells say it. */
export function exitCodeOfSignal(name: unknown): ExitCode {
  return ofSignals[String(name)] ?? exitCodes.interrupted;
}
