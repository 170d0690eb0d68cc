import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MemoryScratch } from '../../src/adapters/memory/scratch.ts';
import { TmpScratch } from '../../src/adapters/tmp-scratch.ts';
import type { Scratch, ScratchFile } from '../../src/core/ports.ts';
import { bytesOf, textOf } from './object-store.suite.ts';

describe.each<[string, () => Scratch]>([
  ['memory', () => new MemoryScratch()],
  ['a temporary folder', () => new TmpScratch()],
])('scratch: %s', (_name, create) => {
  let file: ScratchFile;
  beforeAll(async () => {
    file = await create().open();
  });
  afterAll(() => file?.dispose());

  test('reads anywhere in what was appended, and goes on appending at the end', async () => {
    await file.append(bytesOf('hello '));
    await file.append(bytesOf('world'));
    expect(textOf(await file.read(4, 5))).toBe('o wor');
    expect(textOf(await file.read(0, 1))).toBe('h');
    await file.append(bytesOf('!'));
    expect(textOf(await file.read(0, 12))).toBe('hello world!');
  });

  test('tells how much it holds', () => {
    expect(file.roomBytes).toBeGreaterThan(1_000_000);
  });

  test('does not keep the buffer that it was given', async () => {
    const other = await create().open();
    const buffer = bytesOf('abc');
    await other.append(buffer);
    buffer.fill(0);
    expect(textOf(await other.read(0, 3))).toBe('abc');
    await other.dispose();
  });

  test('keeps two files apart', async () => {
    const scratch = create();
    const [one, other] = [await scratch.open(), await scratch.open()];
    await one.append(bytesOf('one'));
    await other.append(bytesOf('other'));
    expect(textOf(await one.read(0, 3))).toBe('one');
    await one.dispose();
    expect(textOf(await other.read(0, 5))).toBe('other');
    await other.dispose();
  });
});
