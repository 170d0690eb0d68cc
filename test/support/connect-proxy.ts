/** A proxy that opens tunnels (CONNECT) and does nothing else, as those of company networks do. */
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** A proxy that runs. */
export interface ConnectProxy {
  /** As `HTTPS_PROXY` has it. */
  url: string;
  /** Hosts and ports that tunnels were asked for, in order. */
  asked: string[];
  close(): Promise<void>;
}

/** @param routes to which port of this machine a tunnel to a host and port leads; to any other it is refused. */
export async function startConnectProxy(routes: Readonly<Record<string, number>>): Promise<ConnectProxy> {
  const asked: string[] = [];
  const open = new Set<Socket>();
  const server = createServer((_, response) => response.writeHead(405).end('tunnels only'));
  server.on('connect', ({ url = '' }, client: Socket) => {
    asked.push(url);
    const port = routes[url];
    if (port === undefined) {
      client.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      return;
    }
    const upstream = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      client.pipe(upstream).pipe(client);
    });
    for (const socket of [client, upstream]) {
      open.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async close() {
      for (const socket of open) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
