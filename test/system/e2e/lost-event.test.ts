/**
 * A bucket that tells nobody of its objects, on the synthesized stack: the functions list them with the rights they
 * have.
 */
import { PutBucketNotificationConfigurationCommand } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { receiptSchema } from '../../../src/contract/receipt.ts';
import { startEmulatedStack } from '../../support/emulated-stack.ts';
import { chatLine } from '../../support/pipeline.ts';

const POLL_MS = 20 * 60_000;
/** Five hours. */
const MAX_POLLS = 15;

test('an object of which no event came is found by the hourly listing and runs to its receipt', {
  timeout: 240_000,
}, async () => {
  const { s3, bucket, drop, read, poll } = await startEmulatedStack();
  // The first run of the deployment: what is put from now on is looked for.
  await poll(POLL_MS);
  await s3.send(
    new PutBucketNotificationConfigurationCommand({ Bucket: bucket, NotificationConfiguration: {} }),
  );
  await drop('input/a b+ü.jsonl', chatLine('a'));
  let receipt: string | undefined;
  for (let polls = 0; receipt === undefined && polls < MAX_POLLS; polls++) {
    await poll(POLL_MS);
    receipt = await read('receipts/a b+ü.json');
  }
  expect(receiptSchema.parse(JSON.parse(receipt!))).toMatchObject({ result: 'succeeded' });
});
