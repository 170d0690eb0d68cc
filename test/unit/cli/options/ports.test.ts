import { describe, expect, it } from 'vitest';
import { collectPort } from '../../../../cli/options/ports.ts';

describe('--port', () => {
  it('is of S3, or of the service that it names, and may be repeated', () => {
    const first = collectPort('4566', undefined);
    expect(collectPort('sqs=4567', first)).toEqual({ s3: 4566, sqs: 4567 });
  });

  it.each([
    ['mail=25', '"mail" is none of s3, dynamodb, sqs'],
    ['sqs=', 'a port is 1 to 65535'],
    ['70000', 'a port is 1 to 65535'],
    ['abc', 'a port is 1 to 65535'],
  ])('refuses %s', (text, message) => {
    expect(() => collectPort(text)).toThrow(message);
  });
});
