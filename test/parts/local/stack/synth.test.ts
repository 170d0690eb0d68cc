import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { ensureSynth, findSynth } from '../../../../local/stack/synth.ts';
import { defaultSettings } from '../../../../src/contract/settings.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

/** A repository whose app writes an assembly, counts its runs, and fails when a source says so. */
function makeRepository() {
  const root = temporaryFolder();
  const write = (path: string, text: string) => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  write('cdk.json', JSON.stringify({ app: 'node bin/app.cjs', context: { flag: true } }));
  write('lib/stack.ts', 'one');
  write(
    'bin/app.cjs',
    `const fs = require('node:fs');
    const output = process.env.CDK_OUTDIR;
    const context = JSON.parse(process.env.CDK_CONTEXT_JSON);
    const source = fs.readFileSync('lib/stack.ts', 'utf8');
    fs.appendFileSync('runs', 'x');
    if (source === 'broken') { console.error('Stack is broken'); process.exit(1); }
    if (!context.flag || !context['aws:cdk:enable-path-metadata']) { console.error('no context'); process.exit(2); }
    fs.mkdirSync(output, { recursive: true });
    const { settings } = context;
    fs.writeFileSync(output + '/manifest.json', settings === undefined ? source : fs.readFileSync(settings, 'utf8'));`,
  );
  const runs = () => readFileSync(join(root, 'runs'), 'utf8').length;
  return { root, write, runs };
}

test('the first call runs the app with the context of cdk.json and says so; later ones give the same folder at once', async () => {
  const { root, runs } = makeRepository();
  expect(findSynth({ root })).toBeUndefined();
  const onProgress = vi.fn();
  const folder = await ensureSynth({ root, onProgress });
  expect(onProgress.mock.calls[0]).toEqual(['Synthesizing the stack ...']);
  expect(readFileSync(join(folder, 'manifest.json'), 'utf8')).toBe('one');
  expect(findSynth({ root })).toBe(folder);
  expect(await ensureSynth({ root })).toBe(folder);
  expect(runs()).toBe(1);
});

test('a changed source is synthesized into another folder, and back again costs nothing', async () => {
  const { root, write, runs } = makeRepository();
  const first = await ensureSynth({ root });
  write('lib/stack.ts', 'two');
  const second = await ensureSynth({ root });
  expect(readFileSync(join(second, 'manifest.json'), 'utf8')).toBe('two');
  write('lib/stack.ts', 'one');
  expect(await ensureSynth({ root })).toBe(first);
  expect(runs()).toBe(2);
});

test('other settings are synthesized into another folder, and the sources alone give the first one', async () => {
  const { root, runs } = makeRepository();
  const first = await ensureSynth({ root });
  const settings = defaultSettings();
  const second = await ensureSynth({ root, settings });
  expect(readFileSync(join(second, 'manifest.json'), 'utf8')).toBe(JSON.stringify(settings));
  expect(await ensureSynth({ root, settings })).toBe(second);
  expect(await ensureSynth({ root })).toBe(first);
  expect(runs()).toBe(2);
});

test('calls at the same time share one run', async () => {
  const { root, runs } = makeRepository();
  const folders = await Promise.all([1, 2, 3].map(() => ensureSynth({ root })));
  expect(new Set(folders).size).toBe(1);
  expect(runs()).toBe(1);
});

test('fails with the output of the app and leaves nothing behind', async () => {
  const { root, write } = makeRepository();
  write('lib/stack.ts', 'broken');
  await expect(ensureSynth({ root })).rejects.toThrow(
    /"node bin\/app.cjs" failed with status 1:\nStack is broken/,
  );
  expect(readdirSync(join(root, '.batchdrop', 'synth'))).toEqual([]);
});

test('a lock that a killed process left is taken over', async () => {
  const { root, runs } = makeRepository();
  const folder = await ensureSynth({ root });
  rmSync(folder, { recursive: true });
  // No process has this id: the systems give smaller ones.
  writeFileSync(`${folder}.lock`, '99999999');
  expect(await ensureSynth({ root })).toBe(folder);
  expect(runs()).toBe(2);
});

test('the five latest results are kept', async () => {
  const { root, write } = makeRepository();
  for (let i = 0; i < 7; i += 1) {
    write('lib/stack.ts', String(i));
    await ensureSynth({ root });
  }
  expect(readdirSync(join(root, '.batchdrop', 'synth'))).toHaveLength(5);
});
