/** The simulation can fail: each safety of the core that is taken away is missed. */
import { expect, test } from 'vitest';
import { NEED_A_RESTORE, SAFETIES, SAFETY_WEATHER } from './safeties.ts';
import { scenarioOf, simulate } from './simulation.ts';
import type { Kind } from './weather.ts';

const SEEDS = 500;
/** One seed in fifty has its table restored; to draw the others costs next to nothing. */
const SEEDS_TO_DRAW = 5_000;

function weatherOf(name: string): { weather?: readonly Kind[] } {
  const weather = SAFETY_WEATHER[name];
  return weather === undefined ? {} : { weather };
}

function seedsFor(name: string): number {
  return NEED_A_RESTORE.has(name) ? SEEDS_TO_DRAW : SEEDS;
}

function mayMiss(name: string, seed: number): boolean {
  return !NEED_A_RESTORE.has(name) || scenarioOf(seed).restore !== undefined;
}

for (const [name, tamper] of Object.entries(SAFETIES)) {
  test(`is seen within ${seedsFor(name)} seeds that ${name}`, { timeout: 300_000 }, async () => {
    let violation: string | undefined;
    for (let seed = 1; seed <= seedsFor(name) && violation === undefined; seed++) {
      if (!mayMiss(name, seed)) continue;
      violation = (await simulate(seed, { tamper, ...weatherOf(name) })).violations[0];
    }
    expect(violation).toBeDefined();
    expect(violation).not.toContain('the simulation itself failed');
  });
}
