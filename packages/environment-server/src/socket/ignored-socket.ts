import type { PlainSocketListener } from "@letta-environments/schema";
import { maxFirstFrameBytes } from "../limits.ts";

/** Listens to a socket that was closed when it opened. */
export const ignoredSocket: PlainSocketListener = {
  maxFrameBytes: maxFirstFrameBytes,
  maxTextBytes: 0,
  onMessage: () => undefined,
  onOtherFrame: () => false,
  onClose: () => undefined,
};
