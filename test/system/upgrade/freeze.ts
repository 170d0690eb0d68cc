/**
 * `npm run freeze`: writes down what this release leaves in a stack with live jobs, for the tests of later releases,
 * and the shapes of all that is stored. With `--shapes` the shapes alone. Shapes that another release would not read
 * right are refused.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import packageJson from '../../../package.json' with { type: 'json' };
import { breakingChanges, type Shape, STORED, shapeOf } from '../../support/stored-shapes.ts';
import { freeze } from './frozen-stack.ts';
import { DROPS, openStackWithLiveJobs, SETTINGS } from './live-jobs.ts';

const SHAPES = join(import.meta.dirname, '../../support/stored-shapes.json');

const { values } = parseArgs({ options: { shapes: { type: 'boolean', default: false } } });
const before = JSON.parse(readFileSync(SHAPES, 'utf8')) as Record<string, Shape>;
const now = Object.fromEntries(Object.entries(STORED).map(([name, schema]) => [name, shapeOf(schema)]));
const changes = Object.entries(now).flatMap(([name, shape]) => {
  const frozen = before[name];
  return frozen === undefined || frozen['.v'] !== shape['.v']
    ? []
    : breakingChanges(frozen, shape).map((change) => `${name}: ${change}`);
});
if (changes.length > 0) {
  console.error(
    `${changes.join('\n')}\nGive it a new version (\`v\`) and read the old one, too; or make the member optional.`,
  );
  process.exit(1);
}
writeFileSync(SHAPES, `${JSON.stringify(now, undefined, 2)}\n`);
if (!values.shapes) await freezeStack();

async function freezeStack(): Promise<void> {
  const stack = await openStackWithLiveJobs();
  try {
    const of = { settings: SETTINGS, drops: Object.fromEntries(DROPS) };
    console.log(await freeze(stack, packageJson.version, of));
  } finally {
    await stack.close();
  }
}
