/** Something that happens once and is waited for. */
export interface Gate {
  readonly passed: Promise<void>;
  readonly open: () => void;
}

/** Makes a gate that is not open yet. */
export function createGate(): Gate {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => void (open = resolve));
  return { passed, open: () => open() };
}
