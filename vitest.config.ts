import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** Processes that tests start compile nothing anew: Node keeps what it has compiled, by content. */
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, 'node_modules/.cache/node');

/** Files with properties that state more runs than `npm test` tries: see test/support/property-runs.ts. */
const PROPERTY_FILES = globSync('test/{unit,parts}/**/*.test.ts').filter((path) =>
  /propertyRuns|contracts\/object-store/.test(readFileSync(path, 'utf8')),
);

/**
 * - `unit`, `parts` and `smoke` are `npm test`; `unit` alone is `npm run test:unit`.
 * - `properties` and `system` are `npm run test:system`.
 * - `deploy` is `npm run test:deploy`, `independent` is `npm run test:independent`: on services that are not ours.
 * - `grants` is `npm run test:grants`, after `npm run test:system`, whose runs record what they use of the policies.
 * - `packages` is `npm run test:packages`: what users install.
 */
export default defineConfig({
  test: {
    // Two cores: one file per core; each file owns the servers and processes that it starts.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Node runs the sources as they are, as it does in production: nothing is transformed, and modules are loaded once.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    isolate: false,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], pool: 'threads' } },
      { extends: true, test: { name: 'parts', include: ['test/parts/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'smoke',
          include: ['test/system/smoke/*.test.ts'],
          setupFiles: ['test/support/refused-calls.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'properties',
          include: PROPERTY_FILES,
          env: { PROPERTY_RUNS: 'all' },
          testTimeout: 120_000,
        },
      },
      { extends: true, test: { name: 'packages', include: ['test/packages/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts'],
          exclude: ['test/system/{smoke,deploy,independent,grants}/**'],
          globalSetup: ['test/support/clear-call-records.ts'],
          setupFiles: ['test/support/refused-calls.ts'],
        },
      },
      { extends: true, test: { name: 'grants', include: ['test/system/grants/*.test.ts'] } },
      {
        extends: true,
        test: { name: 'deploy', include: ['test/system/deploy/*.test.ts'], hookTimeout: 300_000 },
      },
      {
        extends: true,
        test: { name: 'independent', include: ['test/system/independent/*.test.ts'], testTimeout: 120_000 },
      },
    ],
  },
});
