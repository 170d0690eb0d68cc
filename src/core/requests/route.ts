import { compileGlob, type Matcher } from '../../contract/glob.ts';
import { OPTIONS_SUFFIX } from '../../contract/options.ts';
import type { Route } from '../../contract/route.ts';
import type { Settings } from '../../contract/settings.ts';

/**
 * The route that a key belongs to: the longest prefix that the key begins with, if the rest matches one of its globs
 * and none that it ignores. `undefined` for directory markers, the options of other objects, and everything else that
 * is not to become a job.
 */
export function routeOf(settings: Pick<Settings, 'routes'>, key: string): Route | undefined {
  if (key.endsWith('/') || key.endsWith(OPTIONS_SUFFIX)) return undefined;
  let found: Route | undefined;
  for (const route of settings.routes) {
    if (key.startsWith(route.prefix) && route.prefix.length > (found?.prefix.length ?? -1)) found = route;
  }
  if (found === undefined) return undefined;
  const below = key.slice(found.prefix.length);
  const matches = (globs: readonly string[]): boolean => matchersOf(globs).some((match) => match(below));
  return matches(found.match) && !matches(found.ignore) ? found : undefined;
}

/**
 * Whether an object marks a folder in tools that see S3 as a file system: empty, with a name that ends in `_$folder$`
 * (Hadoop's S3N and EMRFS). Those that end in "/" have no route.
 */
export function isFolderMarker({ key, size }: { key: string; size: number }): boolean {
  return size === 0 && key.endsWith('_$folder$');
}

/** Compiled once for each list, not for each key. */
const compiled = new WeakMap<readonly string[], Matcher[]>();

function matchersOf(globs: readonly string[]): Matcher[] {
  const known = compiled.get(globs);
  if (known !== undefined) return known;
  const matchers = globs.map((glob) => compileGlob(glob));
  compiled.set(globs, matchers);
  return matchers;
}
