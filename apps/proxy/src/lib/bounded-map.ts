/** A map that forgets its oldest entry when it is full, so that no caller can make it grow without bound. */
export interface BoundedMap<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
  delete(key: string): void;
  /** Takes as long as the map is large: for what is rare. */
  deleteWhere(isMeant: (key: string) => boolean): void;
  clear(): void;
}

/** Creates a {@link BoundedMap}. */
export function createBoundedMap<Value>(capacity: number): BoundedMap<Value> {
  const entries = new Map<string, Value>();
  return {
    get: (key) => entries.get(key),
    set(key, value) {
      if (entries.size >= capacity && !entries.has(key)) {
        const oldest = entries.keys().next();
        if (oldest.done !== true) entries.delete(oldest.value);
      }
      entries.set(key, value);
    },
    delete: (key) => void entries.delete(key),
    deleteWhere(isMeant) {
      for (const key of entries.keys()) if (isMeant(key)) entries.delete(key);
    },
    clear: () => entries.clear(),
  };
}
