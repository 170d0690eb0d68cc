import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TmpScratch } from '../../../src/adapters/tmp-scratch.ts';
import type { Scratch, ScratchFile } from '../../../src/core/ports/scratch.ts';
import { bytesOf, textOf } from '../../support/contracts/object-store.suite.ts';
import { MemoryScratch } from '../../support/memory/scratch.ts';

async function readOf(file: ScratchFile, offset: number, length: number): Promise<Uint8Array> {
  const into = new Uint8Array(length);
  await file.read(offset, into);
  return into;
}

describe.each<[string, () => Scratch]>([
  ['memory', () => new MemoryScratch()],
  ['a temporary folder', () => new TmpScratch()],
])('scratch: %s', (_name, create) => {
  let file: ScratchFile;
  beforeAll(async () => {
    file = await create().open();
  });
  afterAll(() => file?.dispose());

  test('reads anywhere in what was appended, and continues appending at the end', async () => {
    await file.append(bytesOf('hello '));
    await file.append(bytesOf('world'));
    expect(textOf(await readOf(file, 4, 5))).toBe('o wor');
    expect(textOf(await readOf(file, 0, 1))).toBe('h');
    await file.append(bytesOf('!'));
    expect(textOf(await readOf(file, 0, 12))).toBe('hello world!');
  });

  test('says how much it holds', () => {
    expect(file.roomBytes).toBeGreaterThan(1_000_000);
  });

  test('does not keep the buffer that it was given', async () => {
    const other = await create().open();
    const buffer = bytesOf('abc');
    await other.append(buffer);
    buffer.fill(0);
    expect(textOf(await readOf(other, 0, 3))).toBe('abc');
    await other.dispose();
  });

  test('keeps two files apart', async () => {
    const scratch = create();
    const [one, other] = [await scratch.open(), await scratch.open()];
    await one.append(bytesOf('one'));
    await other.append(bytesOf('other'));
    expect(textOf(await readOf(one, 0, 3))).toBe('one');
    await one.dispose();
    expect(textOf(await readOf(other, 0, 5))).toBe('other');
    await other.dispose();
  });
});
