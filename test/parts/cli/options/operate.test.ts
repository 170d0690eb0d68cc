/** Requests to the function of operators whose answer does not come: what to repeat is said by the id of the job. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { askStack } from '../../../../cli/options/operate.ts';
import type { OpenStack } from '../../../../cli/options/stack.ts';
import { CannotRunError } from '../../../../cli/view/exit.ts';

const jobId = 'a'.repeat(32);

/** A stack whose function of operators answers so. */
async function stackWith(listener: RequestListener): Promise<OpenStack> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const OperateUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' };
  return {
    name: 'films',
    kind: 'deployed',
    outputs: { OperateUrl },
    connectionTo: () => ({ region: 'us-east-1', credentials }),
    close: async () => {},
  } as unknown as OpenStack;
}

test.each<[string, RequestListener, RegExp]>([
  ['is cut off', (request) => request.socket.destroy(), /socket hang up/],
  ['does not come in time', () => {}, /timeout/],
  [
    'is that of a function that was ended by its time-out',
    (_request, response) => response.writeHead(502).end('{"Message":"Internal Server Error"}'),
    /502: Internal Server Error/,
  ],
])('where the answer %s, the job to repeat it with is named', async (_what, listener, why) => {
  const stack = await stackWith(listener);
  const error = await askStack(stack, { action: 'forget', jobId }, 200).catch((failed: unknown) => failed);
  expect(error).toBeInstanceOf(CannotRunError);
  expect((error as Error).message).toMatch(why);
  expect((error as Error).message).toMatch(
    new RegExp(`may have done it in part: repeat the command with the job id, ${jobId}$`),
  );
});

test('what is of no job is repeated as it was', async () => {
  const stack = await stackWith((request) => request.socket.destroy());
  await expect(askStack(stack, { action: 'pause' })).rejects.toThrow(/in part: repeat the command$/);
});

test('a function that is not reached has done nothing, and nothing else is said', async () => {
  const stack = { ...(await stackWith(() => {})), outputs: { OperateUrl: 'http://127.0.0.1:1/' } };
  await expect(askStack(stack, { action: 'pause' })).rejects.toThrow(/^connect ECONNREFUSED/);
});
