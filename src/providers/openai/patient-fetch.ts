/**
 * `fetch` for requests that are answered late. Node's own gives up when no headers have come for five minutes
 * (undici's `headersTimeout`), and an answer that comes later has been paid for and is lost; flex may take 15 minutes
 * (guide "Flex processing"). This one waits for as long as its signal lets it. Each request has a connection of its
 * own: a kept one that the other side is just closing could not say whether the request was received. It goes by the
 * proxy of the environment where Node's own does (`NODE_USE_ENV_PROXY=1`, `HTTPS_PROXY`, `NO_PROXY`).
 */
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent, request as requestHttps } from 'node:https';
import type { TLSSocket } from 'node:tls';

/** Until there is a connection; nothing was sent before. */
const CONNECT_MS = 10_000;
/** How often a silent connection sends a keep-alive: NAT gateways forget an idle connection after minutes. */
const KEEP_ALIVE_MS = 30_000;

/** Code of the error if there was no connection in time. */
export const NOT_CONNECTED = 'ENOTCONN';

/** Takes text as the body; gives the whole answer, and follows no redirect. */
export function patientFetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  return new Promise((resolve, reject) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const isPlain = url.protocol === 'http:';
    const request = (isPlain ? requestHttp : requestHttps)(url, {
      method: init.method,
      signal: init.signal ?? undefined,
      headers: Object.fromEntries(new Headers(init.headers)),
      agent: isPlain ? false : oneConnection(),
    });
    // A tunnel is opened before there is a socket.
    const timer = setTimeout(() => {
      const reason = `${url.host}: no connection after ${CONNECT_MS} ms`;
      request.destroy(Object.assign(new Error(reason), { code: NOT_CONNECTED }));
    }, CONNECT_MS);
    const isConnected = (): void => clearTimeout(timer);
    request.on('error', reject);
    request.on('close', isConnected);
    request.on('response', (answer) => read(answer).then(resolve, reject));
    request.on('socket', (socket) => {
      socket.setKeepAlive(true, KEEP_ALIVE_MS);
      if (isPlain) socket.once('connect', isConnected);
      else if ((socket as TLSSocket).getProtocol() === null) socket.once('secureConnect', isConnected);
      // The agent gives the socket of a tunnel when all is done.
      else isConnected();
    });
    request.end(init.body as string | undefined);
  });
}

/** Node's own agent goes by the proxy of the environment; another one does only if it is given that. */
function oneConnection(): false | Agent {
  const { NODE_USE_ENV_PROXY, HTTPS_PROXY, NO_PROXY } = process.env;
  return NODE_USE_ENV_PROXY === '1' && HTTPS_PROXY !== undefined
    ? new Agent({ proxyEnv: { HTTPS_PROXY, NO_PROXY } })
    : false;
}

/** Fails if the answer is cut short. */
async function read(answer: IncomingMessage): Promise<Response> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const headers = new Headers();
  for (const [name, values = []] of Object.entries(answer.headersDistinct))
    for (const value of values) headers.append(name, value);
  return new Response(body.length === 0 ? null : body, { status: answer.statusCode!, headers });
}
