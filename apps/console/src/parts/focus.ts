import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

/** Gives an element the focus when it appears, and not again when it is drawn again. */
export function useFocus<Target extends HTMLElement>(): RefObject<Target | null> {
  const target = useRef<Target | null>(null);
  useLayoutEffect(() => target.current?.focus(), []);
  return target;
}
