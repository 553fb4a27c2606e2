/** Calls a hook. It is somebody else's code, and a failing log must not turn a send that worked into an error. */
export const tell = <News>(hook: ((news: News) => void) | undefined, news: News): void => {
  try {
    hook?.(news);
  } catch {
    // Documented to be ignored.
  }
};
