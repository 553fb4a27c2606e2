/** Whether a box hides a part of its text. A reader who does not see that a text continues takes its beginning for all of it. */

/**
 * Watches a box whose text is in its only child. Returns a function that stops watching.
 *
 * @param onLook receives the number of lines if they do not fit, otherwise 0, and whether there are more below the visible ones
 */
export function watchOverflow(box: HTMLElement, onLook: (lines: number, isMoreBelow: boolean) => void): () => void {
  const text = box.firstElementChild;
  const look = (): void => {
    // Heights of boxes are rounded.
    const below = box.scrollHeight - box.clientHeight - box.scrollTop;
    const fits = box.scrollHeight <= box.clientHeight + 1;
    const height = text?.getBoundingClientRect().height ?? 0;
    onLook(fits ? 0 : Math.round(height / Number.parseFloat(getComputedStyle(box).lineHeight)), below > 1);
  };
  const observer = new ResizeObserver(look);
  observer.observe(box);
  if (text !== null) observer.observe(text);
  box.addEventListener("scroll", look, { passive: true });
  return () => {
    observer.disconnect();
    box.removeEventListener("scroll", look);
  };
}
