/**
 * Whether the buttons of a card keep still. A press is meant for what the reader saw half a second ago, so the very same button must have been at
 * the same place in the window since then, behind the same layers. It does not matter what has moved, replaced, covered or uncovered a button: a
 * decision that removes the card above, a scrollbar that makes rows narrower, a dialog that has closed, or scrolling, which the browser also does itself.
 */
import { monotonic } from "./browser.ts";

/** How long something must have kept still before a press counts for it: longer than a double click or a reaction. */
export const settleMs = 500;

/** Each button that was looked at: where it was, and since when. */
const seen = new WeakMap<Element, { readonly place: string; readonly since: number }>();

/** Elements that can be in front of a button. */
const layers = "dialog, .toast, .top, .composer, .menu[open] > div";

/**
 * Looks at all buttons of an element. Returns whether each has kept still for {@link settleMs}, as far as earlier calls have seen it: so they must be
 * frequent, and the press makes one too. While the element has an open dialog, only the buttons of the dialog count: no other can be pressed.
 */
export function isSteady(element: Element): boolean {
  const time = monotonic();
  const { offsetLeft = 0, offsetTop = 0, scale = 1 } = visualViewport ?? {};
  const boxes = [...document.querySelectorAll(layers)].map((layer) => layer.getBoundingClientRect());
  const pressable = element.querySelector("dialog") ?? element;
  const areSteady = Array.from(element.querySelectorAll("button"), (button) => {
    const box = button.getBoundingClientRect();
    const place = JSON.stringify([box, boxes.filter((layer) => overlap(box, layer)), offsetLeft, offsetTop, scale]);
    const last = seen.get(button);
    const since = last?.place === place ? last.since : time;
    seen.set(button, { place, since });
    return time - since >= settleMs || !pressable.contains(button);
  });
  return !areSteady.includes(false);
}

function overlap(one: DOMRect, other: DOMRect): boolean {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}
