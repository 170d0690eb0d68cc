/** The simulation can fail: each safety of the core that is taken away is missed. */
import { expect, test } from 'vitest';
import { SAFETIES, SAFETY_WEATHER } from './safeties.ts';
import { simulate } from './simulation.ts';
import type { Kind } from './weather.ts';

const SEEDS = 500;

function weatherOf(name: string): { weather?: readonly Kind[] } {
  const weather = SAFETY_WEATHER[name];
  return weather === undefined ? {} : { weather };
}

for (const [name, tamper] of Object.entries(SAFETIES)) {
  test(`is seen within ${SEEDS} seeds that ${name}`, { timeout: 300_000 }, async () => {
    let violation: string | undefined;
    for (let seed = 1; seed <= SEEDS && violation === undefined; seed++) {
      violation = (await simulate(seed, { tamper, ...weatherOf(name) })).violations[0];
    }
    expect(violation).toBeDefined();
    expect(violation).not.toContain('the simulation itself failed');
  });
}
