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
  const found = routeAbove(settings, key);
  return found !== undefined && whyNot(found, key) === undefined ? found : undefined;
}

/** Why an object is no input. */
export type WhyIgnored = 'no_route' | 'not_matched' | 'ignored' | 'folder' | 'options';

/** Why {@link routeOf} gives no route for a key, and which route's globs say so. */
export function whyIgnored(
  settings: Pick<Settings, 'routes'>,
  key: string,
): { why: WhyIgnored; route?: string } {
  const found = routeAbove(settings, key);
  if (found === undefined) return { why: 'no_route' };
  return { why: whyNot(found, key) ?? 'ignored', route: found.name };
}

/** The route with the longest prefix that the key begins with. */
function routeAbove(settings: Pick<Settings, 'routes'>, key: string): Route | undefined {
  let found: Route | undefined;
  for (const route of settings.routes) {
    if (key.startsWith(route.prefix) && route.prefix.length > (found?.prefix.length ?? -1)) found = route;
  }
  return found;
}

/** Why a route does not take a key below its prefix; `undefined`: it does. */
function whyNot(route: Route, key: string): WhyIgnored | undefined {
  if (key.endsWith('/')) return 'folder';
  if (key.endsWith(OPTIONS_SUFFIX)) return 'options';
  const below = key.slice(route.prefix.length);
  const matches = (globs: readonly string[]): boolean => matchersOf(globs).some((match) => match(below));
  if (!matches(route.match)) return 'not_matched';
  return matches(route.ignore) ? 'ignored' : undefined;
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
