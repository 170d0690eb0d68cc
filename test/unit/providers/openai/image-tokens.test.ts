import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { imageSizeOf } from '../../../../src/providers/openai/endpoints/image-size.ts';
import { imageTokens } from '../../../../src/providers/openai/image-tokens.ts';

const tokens = (model: string, width: number, height: number, detail?: string): number =>
  imageTokens(model, { size: { width, height }, ...(detail === undefined ? {} : { detail }) }).tokens;

describe('imageTokens', () => {
  it.each<[string, number, number, string, number]>([
    ['gpt-4o', 1_024, 1_024, 'high', 765],
    ['gpt-4o', 2_048, 4_096, 'high', 1_105],
    ['gpt-4o', 4_096, 8_192, 'low', 85],
    ['gpt-4o', 512, 512, 'high', 255],
    ['gpt-4o-2024-08-06', 1_024, 1_024, 'high', 765],
    ['ft:gpt-4o-2024-08-06:org::id', 1_024, 1_024, 'high', 765],
    ['gpt-4o-mini', 1_024, 1_024, 'high', 25_501],
    ['gpt-5', 1_024, 1_024, 'high', 630],
    ['o3', 1_024, 1_024, 'auto', 675],
    ['gpt-4.1-mini', 1_024, 1_024, 'high', 1_659],
    ['gpt-4.1-mini', 1_800, 2_400, 'high', 2_353],
    ['gpt-5-nano', 32, 32, 'high', 3],
  ])('follows the guide: %s, %i x %i, %s', (model, width, height, detail, expected) => {
    expect(tokens(model, width, height, detail)).toBe(expected);
  });

  it('never exceeds what an image of unknown size is taken to cost', () => {
    const side = fc.integer({ min: 1, max: 20_000 });
    fc.assert(
      fc.property(
        fc.constantFrom('gpt-4o', 'gpt-5', 'o4-mini', 'gpt-5-nano', 'gpt-4o-mini'),
        side,
        side,
        (model, width, height) => {
          const { tokens, atMost, isExact } = imageTokens(model, { size: { width, height } });
          expect(isExact).toBe(true);
          expect(tokens).toBeGreaterThan(0);
          expect(atMost).toBeLessThanOrEqual(imageTokens(model, {}).atMost);
        },
      ),
    );
  });

  it('has a bound, and no more, for models without a documented rule', () => {
    expect(imageTokens('gpt-7', { size: { width: 10, height: 10 } })).toMatchObject({
      isExact: false,
      atMost: 24_600,
    });
  });
});

describe('imageSizeOf', () => {
  const url = (type: string, bytes: Buffer): string =>
    `data:image/${type};base64,${bytes.toString('base64')}`;

  it('reads PNG', () => {
    const png = Buffer.alloc(24);
    png.writeUInt32BE(0x89504e47, 0);
    png.writeUInt32BE(640, 16);
    png.writeUInt32BE(480, 20);
    expect(imageSizeOf(url('png', png))).toEqual({ width: 640, height: 480 });
  });

  it('reads GIF', () => {
    const gif = Buffer.from('474946383961800240010000', 'hex');
    expect(imageSizeOf(url('gif', gif))).toEqual({ width: 640, height: 320 });
  });

  it('reads JPEG past its notes', () => {
    const jpeg = Buffer.from('ffd8ffe000040000ffc4000300ffc0000b08014002800301', 'hex');
    expect(imageSizeOf(url('jpeg', jpeg))).toEqual({ width: 640, height: 320 });
  });

  it('reads the three kinds of WebP', () => {
    const webp = (kind: string, at: number, bytes: string): Buffer => {
      const file = Buffer.alloc(30);
      file.write('RIFF', 0, 'latin1');
      file.write(`WEBP${kind}`, 8, 'latin1');
      file.write(bytes, at, 'hex');
      return file;
    };
    for (const file of [
      webp('VP8X', 24, '7f02003f0100'),
      webp('VP8 ', 26, '80024001'),
      webp('VP8L', 21, '7fc24f00'),
    ])
      expect(imageSizeOf(url('webp', file))).toEqual({ width: 640, height: 320 });
  });

  it('knows nothing of anything else, and never throws', () => {
    for (const text of [
      'data:image/png,abc',
      'data:;base64,',
      'data:image/png',
      url('jpeg', Buffer.from('ffd8ffe0ffff', 'hex')),
    ])
      expect(imageSizeOf(text)).toBeUndefined();
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.constantFrom('ffd8', '89504e47', '47494638', '52494646'),
        (bytes, magic) => {
          imageSizeOf(url('x', Buffer.concat([Buffer.from(magic, 'hex'), bytes])));
        },
      ),
    );
  });
});
