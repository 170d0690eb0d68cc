/**
 * A proxy between the functions and OpenAI, for when a test wants to see their calls: passes everything on as it is,
 * and shows each call before it is sent and after its answer has begun.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Intercept } from '../services/interception.ts';

export interface OpenAiRelay {
  /** What a process calls in place of OpenAI: says which process it is, since the API key is the same for all. */
  baseUrlFor(sessionToken: string): string;
  close(): Promise<void>;
}

/**
 * Starts the relay on 127.0.0.1.
 *
 * @param options.baseUrl of the service, such as `https://api.openai.com/v1`
 */
export async function startOpenAiRelay(options: {
  baseUrl: string;
  intercept: Intercept;
}): Promise<OpenAiRelay> {
  const server = createServer({ requestTimeout: 0 }, (incoming, response) =>
    relay(options, incoming, response),
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    baseUrlFor: (sessionToken) => `http://127.0.0.1:${port}/${sessionToken}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function relay(
  { baseUrl, intercept }: { baseUrl: string; intercept: Intercept },
  incoming: IncomingMessage,
  response: ServerResponse,
): void {
  const [, sessionToken = '', path = ''] = /^\/([^/]+)(.*)$/.exec(incoming.url ?? '') ?? [];
  const target = new URL(baseUrl + path);
  const operation = `${incoming.method} ${target.pathname}`;
  const isCut = (moment: 'before' | 'after'): boolean => {
    const verdict = intercept({ service: 'openai', operation, resource: '', moment, sessionToken });
    if (verdict === 'cut') incoming.socket.destroy();
    return verdict === 'cut';
  };
  if (isCut('before')) return;
  const send = target.protocol === 'https:' ? secureRequest : request;
  const outgoing = send(
    target,
    { method: incoming.method, headers: { ...incoming.headers, host: target.host } },
    (answer) => {
      if (isCut('after')) {
        answer.destroy();
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.headers);
      answer.pipe(response);
      // What breaks off there breaks off here.
      answer.on('error', () => response.destroy());
    },
  );
  // A cut connection is passed on as one, from either side.
  outgoing.on('error', () => response.destroy());
  response.on('close', () => {
    if (!response.writableFinished) outgoing.destroy();
  });
  incoming.on('error', () => outgoing.destroy());
  incoming.pipe(outgoing);
}
