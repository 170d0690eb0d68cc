import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Block } from '../../../../src/core/base/block.ts';

test('bytes come out in the order in which they were added, after each clearing', () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 100_000 }), { maxLength: 8 });
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 4 }), (rounds) => {
      const block = new Block();
      for (const round of rounds) {
        block.clear();
        for (const piece of round) {
          block.add(piece);
          block.addByte(0x0a);
        }
        const expected = Buffer.concat(round.flatMap((piece) => [piece, Buffer.from('\n')]));
        expect(block.length).toBe(expected.length);
        expect(Buffer.compare(block.bytes(), expected)).toBe(0);
      }
    }),
    { numRuns: 50 },
  );
});

test('taken bytes are the content once they are filled, and nothing is left of what was there', () => {
  const block = new Block();
  block.add(Buffer.from('before'));
  block.take(3).set(Buffer.from('new'));
  expect(Buffer.from(block.bytes()).toString()).toBe('new');
});
