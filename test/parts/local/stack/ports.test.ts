import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { choosePorts, rememberPorts } from '../../../../local/stack/ports.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

/** A server on a port that the system chose. */
async function takenPort(): Promise<{ port: number; free(): Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const free = () => new Promise<void>((resolve) => server.close(() => resolve()));
  onTestFinished(free);
  return { port: (server.address() as { port: number }).port, free };
}

test('the ports of the last run are those of the next, as far as they are free; given ones come first', async () => {
  const dir = temporaryFolder();
  const [s3, sqs, events] = [await takenPort(), await takenPort(), await takenPort()];
  rememberPorts(dir, {
    s3: `http://127.0.0.1:${s3.port}`,
    sqs: `http://127.0.0.1:${sqs.port}/`,
    events: `http://127.0.0.1:${events.port}`,
  });
  await s3.free();
  await events.free();
  const told: unknown[] = [];
  const chosen = await choosePorts(dir, { events: 4567 }, (name, port) => told.push([name, port]));
  expect(chosen).toEqual({ events: 4567, s3: s3.port });
  expect(told).toEqual([['sqs', sqs.port]]);
});

test('without a last run, or with a file that cannot be read, only the given ports are fixed', async () => {
  const dir = temporaryFolder();
  const fail = () => expect.unreachable();
  expect(await choosePorts(dir, { s3: 4566 }, fail)).toEqual({ s3: 4566 });
  writeFileSync(join(dir, 'ports.json'), '{"s3": "cut');
  expect(await choosePorts(dir, {}, fail)).toEqual({});
});
