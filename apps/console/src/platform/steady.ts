/**
 * Whether something on the page keeps still. A press is meant for the content that the reader saw a moment ago, which may just have moved: a
 * decision removes a card, and the next one moves under the pointer. Scrolling by the reader does not count as a move.
 */
import { every, monotonic } from "./browser.ts";

/** How long something must have kept still before a press counts for it: longer than a double click or a reaction. */
export const settleMs = 500;

/** Time between two checks. A press also checks, so that no move is noticed too late. */
const lookEveryMs = 100;

/** Where something is, in pixels. */
export interface Place {
  /** From the top of the window. */
  readonly top: number;
  /** From the top of the page. */
  readonly offset: number;
  /** Height of the page. */
  readonly height: number;
}

/** Whether something has moved under the reader, and was not scrolled. A page that becomes shorter is scrolled by the browser. */
export function isMove(before: Place, after: Place): boolean {
  return differs(before.top, after.top) && (differs(before.offset, after.offset) || after.height < before.height);
}

/** Sums of fractions of pixels are not exact. */
function differs(left: number, right: number): boolean {
  return Math.abs(left - right) > 0.5;
}

/** An element that is watched. */
export interface Watch {
  /** Whether it has kept still for {@link settleMs}. */
  isSteady(): boolean;
  end(): void;
}

/** Watches the buttons of an element that has just appeared. @param onLook regularly receives whether it is steady */
export function watchPlace(element: HTMLElement, onLook: (isSteady: boolean) => void): Watch {
  let place = placeOf(element);
  let since = monotonic();
  const isSteady = (): boolean => {
    const present = placeOf(element);
    if (isMove(place, present)) since = monotonic();
    place = present;
    return monotonic() - since >= settleMs;
  };
  return { isSteady, end: every(lookEveryMs, () => onLook(isSteady())) };
}

/** The buttons move with the element, and within it. */
function placeOf(element: HTMLElement): Place {
  const { top } = (element.querySelector(".actions, .deny") ?? element).getBoundingClientRect();
  return { top, offset: top + scrollY, height: document.documentElement.scrollHeight };
}
