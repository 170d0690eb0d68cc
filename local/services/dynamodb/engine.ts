/** dynalite on a private port, called over its public HTTP API. */
import { Agent, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import dynalite from 'dynalite';
import { AwsError } from '../aws-json-server.ts';

/** An item or a key as DynamoDB writes it: attribute name to `{ S: … }`, `{ N: … }`, … */
export type Item = Record<string, unknown>;

/** The database under the front. */
export interface Engine {
  /** Sends a call as it is and gives the answer as it is. */
  forward(operation: string, body: Buffer): Promise<{ status: number; body: Buffer }>;
  /** Sends a call and parses the answer. @throws {AwsError} the exception that the database gave */
  call<Output = Record<string, never>>(operation: string, input: object): Promise<Output>;
  close(): Promise<void>;
}

/** dynalite wants these to be present; it does not verify them. */
const SIGNED_HEADERS = {
  authorization:
    'AWS4-HMAC-SHA256 Credential=local/20200101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=local',
  'content-type': 'application/x-amz-json-1.0',
  'x-amz-date': '20200101T000000Z',
};

/** Connections to the engine: enough for the functions of one laptop. */
const MAX_CONNECTIONS = 64;

/** Opens (or makes) the database in folder `path`. */
export async function openEngine(path: string): Promise<Engine> {
  const server = dynalite({ path, createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });

  const forward: Engine['forward'] = (operation, body) =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        {
          agent,
          host: '127.0.0.1',
          port,
          method: 'POST',
          path: '/',
          headers: {
            ...SIGNED_HEADERS,
            'content-length': body.length,
            'x-amz-target': `DynamoDB_20120810.${operation}`,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 500, body: Buffer.concat(chunks) }),
          );
          response.on('error', reject);
        },
      );
      outgoing.on('error', reject);
      outgoing.end(body);
    });

  return {
    forward,
    async call(operation, input) {
      const { status, body } = await forward(operation, Buffer.from(JSON.stringify(input)));
      const answer = JSON.parse(body.toString() || '{}');
      if (status === 200) return answer;
      const { __type, message, Message, ...members } = answer;
      throw new AwsError(String(__type).split('#').pop()!, message ?? Message ?? '', members, status);
    },
    close: () =>
      new Promise((resolve, reject) => {
        agent.destroy();
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}
