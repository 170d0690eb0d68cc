import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { mountLayers } from '../../../../local/stack/layers.ts';

const folder = mkdtempSync(join(tmpdir(), 'batchdrop-layers-'));
afterAll(() => rmSync(folder, { recursive: true }));

function layer(name: string, file: string): string {
  mkdirSync(join(folder, name, 'batchdrop'), { recursive: true });
  writeFileSync(join(folder, name, file), name);
  return join(folder, name);
}

test('a variable that names a file below /opt names the file of the last layer that has it; others stay as they are', () => {
  const layers = [layer('one', 'batchdrop/a'), layer('two', 'batchdrop/a'), layer('three', 'batchdrop/b')];
  const variables = {
    A: '/opt/batchdrop/a',
    B: '/opt/batchdrop/b',
    C: '/opt/none',
    D: 'opt/a',
    E: '/optional',
  };
  expect(mountLayers(variables, layers)).toEqual({
    ...variables,
    A: join(folder, 'two', 'batchdrop/a'),
    B: join(folder, 'three', 'batchdrop/b'),
  });
});
