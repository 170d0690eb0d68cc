import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import OpenAI from 'openai';
import { onTestFinished } from 'vitest';

/** A secret in the form of the service's. */
export const SECRET = `whsec_${Buffer.from('a secret of the test').toString('base64')}`;

/** An event that was accepted. */
export type Received = { id: string; type: string; about: string };

/**
 * A receiver that checks each event with the official client; `statuses` are its first answers, then 200. Stops with
 * the test. What it takes for its secret may be changed.
 */
export async function startReceiver(statuses: number[] = []) {
  const received: Received[] = [];
  const refused: string[] = [];
  const signatures: string[] = [];
  const takes = { secret: SECRET };
  const client = new OpenAI({ apiKey: 'sk-test' });
  const server = createServer(async (request, response) => {
    const body = await text(request);
    const status = statuses.shift() ?? 200;
    signatures.push(String(request.headers['webhook-signature']));
    try {
      const headers = request.headers as Record<string, string>;
      const event = await client.webhooks.unwrap(body, headers, takes.secret);
      const { id: about } = event.data as { id: string };
      received.push({ id: String(request.headers['webhook-id']), type: event.type, about });
    } catch (error) {
      refused.push((error as Error).message);
    }
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  return { received, refused, signatures, takes, url, endpoint: { url, secret: SECRET } };
}
