/** An object whose optional members may also be given as `undefined`. */
type OrUndefined<T> = {
  [Name in keyof T]: Record<never, never> extends Pick<T, Name> ? T[Name] | undefined : T[Name];
};

/**
 * The members that have a value, in their order. For what is written down: a record has a member or has it not, since
 * in a change `undefined` stands for a member that is removed.
 */
export function defined<T extends object>(members: NoInfer<OrUndefined<T>>): T {
  const kept = Object.entries(members).filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept) as T;
}
