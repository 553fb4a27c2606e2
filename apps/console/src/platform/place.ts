/**
 * Where the reader is on a page: how far from its top, or at which link. A page that is shown again, such as the list of devices after one
 * of them, returns there; a new page starts at its top with the focus on its heading, so that a screen reader announces it.
 */
interface Place {
  readonly top: number;
  /** The link in the content that had the focus, and its distance from the top of the window: rows that are not drawn yet have no exact height. */
  readonly link: { readonly address: string; readonly offset: number } | null;
}

/** By the address of the page. */
const places = new Map<string, Place>();

/** Frames until the heading of a page must be there, and then until the rest must: a view may need to load, and rows are drawn gradually. */
const maxFrames = { heading: 600, rest: 60 };

/** Frames in which the rows around a link get their heights. */
const settleFrames = 3;

/** Inputs with which the reader goes elsewhere. */
const inputs = ["keydown", "pointerdown", "wheel", "touchmove"];

/** Notes the reader's place on the page that they leave. */
export function leavePage(address: string): void {
  const focused = document.activeElement?.closest("main a");
  const link = focused && { address: focused.getAttribute("href") ?? "", offset: focused.getBoundingClientRect().top };
  places.set(address, { top: scrollY, link: link ?? null });
}

/** Scrolls a page to its place as soon as that is drawn, unless the reader moves first. Returns a function that ends the wait. */
export function enterPage(address: string): () => void {
  // The browser would restore a place before the rows are there.
  history.scrollRestoration = "manual";
  scrollTo(0, 0);
  const { top, link } = places.get(address) ?? { top: 0, link: null };
  let [frame, frames] = [0, 0];
  let hasHeading = false;
  const end = (): void => {
    cancelAnimationFrame(frame);
    for (const input of inputs) removeEventListener(input, end);
  };
  const hold = (target: HTMLElement, offset: number, left: number): void => {
    scrollBy(0, target.getBoundingClientRect().top - offset);
    if (left === 0) end();
    else frame = requestAnimationFrame(() => hold(target, offset, left - 1));
  };
  const look = (): void => {
    const heading = document.querySelector<HTMLElement>("main h1");
    const target = link && document.querySelector<HTMLElement>(`main a[href="${CSS.escape(link.address)}"]`);
    const isDrawn = link === null ? document.documentElement.scrollHeight - innerHeight >= top : target !== null;
    frames += 1;
    if (heading !== null && !hasHeading) [hasHeading, frames] = [true, 0];
    const isOver = frames > (hasHeading ? maxFrames.rest : maxFrames.heading);
    if ((heading === null || !isDrawn) && !isOver) return void (frame = requestAnimationFrame(look));
    if (heading !== null) heading.tabIndex = -1;
    (target ?? heading)?.focus({ preventScroll: true });
    if (link !== null && target !== null) return hold(target, link.offset, settleFrames);
    scrollTo(0, top);
    end();
  };
  for (const input of inputs) addEventListener(input, end, { passive: true });
  look();
  return end;
}
