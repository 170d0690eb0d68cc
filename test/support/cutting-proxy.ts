import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy in front of a server, whose answers break off. */
export interface CuttingProxy {
  endpoint: string;
  /** Connections that clients opened. */
  connections(): number;
  /** Resolves when no client is connected. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** @param cuts the n-th connection is reset after so many bytes to the client; those after the last are not. */
export async function startCuttingProxy(port: number, cuts: number[]): Promise<CuttingProxy> {
  let connections = 0;
  const open = new Set<Socket>();
  let whenIdle: (() => void)[] = [];
  const server = createServer((client) => {
    const limit = cuts[connections] ?? Number.POSITIVE_INFINITY;
    connections += 1;
    open.add(client);
    const upstream = connect(port, '127.0.0.1');
    let sent = 0;
    client.pipe(upstream);
    upstream.on('data', (chunk: Buffer) => {
      if (sent + chunk.length > limit) {
        client.end(chunk.subarray(0, limit - sent));
        upstream.destroy();
        return;
      }
      sent += chunk.length;
      if (client.write(chunk)) return;
      upstream.pause();
      client.once('drain', () => upstream.resume());
    });
    upstream.on('close', () => client.destroy());
    client.on('close', () => {
      upstream.destroy();
      open.delete(client);
      if (open.size === 0) for (const resolve of whenIdle.splice(0)) resolve();
    });
    for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    idle: () =>
      open.size === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            whenIdle = [...whenIdle, resolve];
          }),
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
