/** What the weather does to the drops of a seed: see {@link KINDS}. */
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../../src/contract/time.ts';
import type { Drop } from './drops.ts';
import type { Random } from './random.ts';
import type { Kind } from './weather.ts';

/** What else there is to know of the seed. */
interface DropWeather {
  kinds: ReadonlySet<Kind>;
  isVersioned: boolean;
  /** Whether the same content may be dropped twice. */
  mayDropAgain: boolean;
}

/** The drops as the kinds of a seed change them. */
export function inWeather(random: Random, drops: Drop[], weather: DropWeather): Drop[] {
  let changed = drops;
  if (weather.kinds.has('same-content') && weather.mayDropAgain)
    changed = withSameContent(random.fork('same-content'), changed, weather.isVersioned);
  if (weather.kinds.has('late-sidecars')) changed = withSidecars(random.fork('late-sidecars'), changed);
  if (weather.kinds.has('denied-inputs')) {
    changed = withDenied(random.fork('denied-inputs'), changed);
    const again = random.fork('denied and dropped again');
    if (weather.mayDropAgain && again.chance(0.5)) changed = withDeniedAgain(again, changed);
  }
  if (weather.kinds.has('late-denials')) changed = withLateDenials(random.fork('late-denials'), changed);
  if (weather.kinds.has('cancel-and-run') && weather.mayDropAgain)
    changed = withCancelAndRun(random.fork('cancel-and-run'), changed);
  return changed;
}

/** X, Y and X once more under one key; some of them in one second. */
function withSameContent(random: Random, drops: readonly Drop[], isVersioned: boolean): Drop[] {
  const [first, ...others] = drops as [Drop, ...Drop[]];
  const other = others.find(({ sameAs }) => sameAs === undefined);
  if (other === undefined) return [...drops];
  const gap = (): number =>
    isVersioned && random.chance(0.7)
      ? random.whole(1, 400)
      : random.pick([5 * SECOND_MS, MINUTE_MS, random.spread(MINUTE_MS, 10 * HOUR_MS), 25 * HOUR_MS]);
  const { key, stack } = first;
  const [second, third] = [first.at + gap(), gap()];
  const between: Drop = { ...other, key, stack, at: second };
  const { cancelled: _, destroyedAt: __, ...again } = first;
  return [
    random.chance(0.2) ? first : withoutEnd(first),
    ...others.map((drop) => (drop === other ? withoutEnd(between) : drop)),
    { ...again, index: drops.length, sameAs: first.index, at: second + third },
  ];
}

/** The same, neither cancelled nor destroyed. */
function withoutEnd({ cancelled: _, destroyedAt: __, ...drop }: Drop): Drop {
  return drop;
}

/** Options beside the first drop of each key, put well before it or after it. */
function withSidecars(random: Random, drops: readonly Drop[]): Drop[] {
  const seen = new Set<string>();
  return drops.map((drop) => {
    const isFirst = !seen.has(drop.key);
    seen.add(drop.key);
    // Time for what is put before the first one.
    const later = { ...drop, at: drop.at + 10 * SECOND_MS };
    if (drop.destroyedAt !== undefined) later.destroyedAt = drop.destroyedAt! + 10 * SECOND_MS;
    if (!isFirst || random.chance(0.3)) return later;
    const distance = random.spread(2 * SECOND_MS, 10 * SECOND_MS);
    const at = random.chance(0.5) ? later.at - distance : later.at + random.spread(2 * SECOND_MS, HOUR_MS);
    return { ...later, sidecar: { at, maxTries: random.whole(1, 5) } };
  });
}

/** Some cannot be read for a while, as an object that is archived or whose key is withdrawn. */
function withDenied(random: Random, drops: readonly Drop[]): Drop[] {
  return drops.map((drop) => {
    if (random.chance(0.4)) return drop;
    const forMs = random.chance(0.4) ? Number.POSITIVE_INFINITY : random.spread(MINUTE_MS, 12 * HOUR_MS);
    const reason = random.pick(['AccessDenied', 'InvalidObjectState'] as const);
    const isOfHead = reason === 'AccessDenied' && random.chance(0.5);
    return { ...drop, denied: { forMs, reason, isOfHead } };
  });
}

/** One that cannot be read at first is dropped again, so that it can. */
function withDeniedAgain(random: Random, drops: readonly Drop[]): Drop[] {
  const first = drops.find(({ denied }) => denied !== undefined);
  if (first === undefined) return [...drops];
  const { denied: _, ...again } = withoutEnd(first);
  // For so long that the other one has come before it can be read.
  const forMs = random.spread(HOUR_MS, 12 * HOUR_MS);
  const denied = random.chance(0.6)
    ? ({ forMs, reason: 'AccessDenied', isOfHead: true } as const)
    : first.denied!;
  return [
    ...drops.map((drop) => (drop === first ? { ...withoutEnd(drop), denied } : drop)),
    {
      ...again,
      index: drops.length,
      sameAs: first.sameAs ?? first.index,
      at: first.at + random.spread(10 * SECOND_MS, 3 * HOUR_MS),
    },
  ];
}

/** Most cannot be read any more at some time after they were planned. */
function withLateDenials(random: Random, drops: readonly Drop[]): Drop[] {
  return drops.map((drop) => {
    if (random.chance(0.3)) return drop;
    const deniedLater = {
      // Right away, so that nothing of it is sent, or when some of it is at OpenAI.
      afterMs: random.chance(0.5) ? random.whole(0, 500) : random.spread(MINUTE_MS, 24 * HOUR_MS),
      forMs: random.chance(0.4) ? Number.POSITIVE_INFINITY : random.spread(MINUTE_MS, 12 * HOUR_MS),
      reason: random.pick(['AccessDenied', 'InvalidObjectState'] as const),
    };
    return { ...drop, deniedLater };
  });
}

/** The first one is dropped again soon, and cancelled within the seconds in which a worker finalizes it. */
function withCancelAndRun(random: Random, drops: readonly Drop[]): Drop[] {
  const [first, ...others] = drops as [Drop, ...Drop[]];
  const { cancelled: _, destroyedAt: __, deniedLater: ___, denied: ____, ...again } = first;
  const cancelled = { state: 'finalizing', delayMs: random.whole(0, 900), duplicates: 'run' } as const;
  return [
    { ...withoutEnd(first), cancelled },
    ...others,
    {
      ...again,
      index: drops.length,
      sameAs: first.sameAs ?? first.index,
      at: first.at + random.whole(10, 50) * SECOND_MS,
    },
  ];
}
