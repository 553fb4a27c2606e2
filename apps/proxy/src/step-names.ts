/**
 * The names of the steps of the API, in the order of `pipeline.ts`. "open the socket" is the last step of the pipeline of sockets, which ends after
 * "apply the rate limits".
 */

/** The name of a step. Wrappers refer to steps by name, so code that uses an old name does not compile. */
export type StepName =
  | "match the endpoint"
  | "authenticate"
  | "open the audit record"
  | "authorise the endpoint"
  | "apply the rate limits"
  | "refuse a plain request for a socket"
  | "read the idempotency key"
  | "validate query and body"
  | "decide again after a late body"
  | "authorise the input"
  | "check the precondition"
  | "prepare the upstream call"
  | "read through the cache"
  | "call the upstream"
  | "open the socket";
