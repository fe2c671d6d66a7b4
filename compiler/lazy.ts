/** A record whose values are made when they are first read. */
export function lazily<T>(names: readonly string[], make: (name: string) => T): Readonly<Record<string, T>> {
  const made = new Map<string, T>();
  const get = (name: string): T => {
    const value = made.get(name) ?? make(name);
    made.set(name, value);
    return value;
  };
  const properties = names.map((name) => [name, { enumerable: true, get: () => get(name) }] as const);
  return Object.defineProperties<Record<string, T>>({}, Object.fromEntries(properties));
}
