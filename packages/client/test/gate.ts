/** An event that happens once, with a promise to wait for it. */
export interface Gate {
  readonly passed: Promise<void>;
  readonly open: () => void;
}

/** Creates a closed gate. */
export function createGate(): Gate {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => void (open = resolve));
  return { passed, open: () => open() };
}
