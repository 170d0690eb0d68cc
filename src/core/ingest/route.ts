import picomatch from 'picomatch';
import { OPTIONS_SUFFIX } from '../../contract/options.ts';
import type { Route, Settings } from '../../contract/settings.ts';

/**
 * The route that a key belongs to: the longest prefix that the key begins with, if the rest matches one of its globs
 * and none that it ignores. `undefined` for directory markers, the options of other objects, and everything else that is not to become a job.
 */
export function routeOf(settings: Pick<Settings, 'routes'>, key: string): Route | undefined {
  if (key.endsWith('/') || key.endsWith(OPTIONS_SUFFIX)) return undefined;
  let found: Route | undefined;
  for (const route of settings.routes) {
    if (key.startsWith(route.prefix) && route.prefix.length > (found?.prefix.length ?? -1)) found = route;
  }
  if (found === undefined) return undefined;
  const below = key.slice(found.prefix.length);
  const matches = (globs: readonly string[]): boolean =>
    // Every key is meant by `**`; picomatch would leave out those with line ends or dot segments, which S3 allows.
    globs.some((glob) => glob === '**' || picomatch.isMatch(below, glob, { dot: true }));
  return matches(found.match) && !matches(found.ignore) ? found : undefined;
}

/**
 * Whether an object marks a folder in tools that see S3 as a file system: empty, with a name that ends in `_$folder$`
 * (Hadoop's S3N and EMRFS). Those that end in "/" have no route.
 */
export function isFolderMarker({ key, size }: { key: string; size: number }): boolean {
  return size === 0 && key.endsWith('_$folder$');
}
