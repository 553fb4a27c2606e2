/** The views of administrators, in one file that is loaded when one of them is first shown. */
export { Audit } from "./audit.tsx";
export { Invite } from "./invite.tsx";
export { Keys } from "./keys.tsx";
export { Overview } from "./overview.tsx";
