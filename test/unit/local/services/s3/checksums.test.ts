import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type ChecksumAlgorithm,
  checksumOfParts,
  createDigest,
} from '../../../../../local/services/s3/checksums.ts';

function digestOf(algorithm: ChecksumAlgorithm, bytes: Uint8Array): Buffer {
  const digest = createDigest(algorithm);
  digest.update(Buffer.from(bytes));
  return digest.digest();
}

describe('createDigest', () => {
  // The check values of the CRC RevEng catalogue.
  it.each([
    ['crc32', 'cbf43926'],
    ['crc32c', 'e3069283'],
    ['crc64nvme', 'ae8b14860a799888'],
  ] as const)('computes the published check value of %s', (algorithm, expected) => {
    expect(digestOf(algorithm, Buffer.from('123456789')).toString('hex')).toBe(expected);
  });
});

describe('checksumOfParts', () => {
  it.each(['crc32', 'crc32c', 'crc64nvme'] as const)(
    'combines the %s of parts into that of the whole object',
    (algorithm) => {
      fc.assert(
        fc.property(fc.array(fc.uint8Array({ maxLength: 5000 }), { minLength: 1, maxLength: 6 }), (parts) => {
          const combined = checksumOfParts(
            algorithm,
            'FULL_OBJECT',
            parts.map((part) => ({
              sizeBytes: part.length,
              value: digestOf(algorithm, part).toString('base64'),
            })),
          );
          expect(combined.value).toBe(digestOf(algorithm, Buffer.concat(parts)).toString('base64'));
        }),
      );
    },
  );

  it('makes a composite checksum from the checksums and names the number of parts', () => {
    const value = digestOf('sha256', Buffer.from('part')).toString('base64');
    const composite = checksumOfParts('sha256', 'COMPOSITE', [
      { sizeBytes: 4, value },
      { sizeBytes: 4, value },
    ]);
    const expected = digestOf(
      'sha256',
      Buffer.concat([Buffer.from(value, 'base64'), Buffer.from(value, 'base64')]),
    );
    expect(composite.value).toBe(`${expected.toString('base64')}-2`);
  });
});
